"""
An agent that is asked to end: it ends, by that very signal, and what it was told is there.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import telemetry
from telemetry import TelemetryConfig
from telemetry.storage.chunks import chunks_of
from telemetry.storage.segments import SegmentReader

ROUNDS = int(os.environ.get("TELEMETRY_TEST_SIGNAL_ROUNDS", "6"))
MOST_EVENTS = 300

AGENT = """
import sys
from telemetry import TelemetryClient

client = TelemetryClient(base_dir=sys.argv[1])
with client.track_run("agent", "job") as run:
    number = 0
    while True:
        number += 1
        run.log_event("step", number)
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_agent_and_loses_nothing(tmp_path, forking, number):
    """
    At whatever moment; telemetry installs no handler, so the system's and Python's own hold.
    """
    dice = random.Random()
    for each in range(ROUNDS):
        base = tmp_path / str(each)
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(base)],
            env={**os.environ, "PYTHONPATH": str(Path(telemetry.__file__).parents[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = [agent.stdout.readline() for _ in range(dice.randrange(1, MOST_EVENTS))]
        agent.send_signal(number)
        lines += agent.stdout.readlines()
        err = agent.stderr.read()
        # Only whole lines: the signal may come while one is written.
        said = [int(line) for line in lines if line.endswith("\n")]

        assert agent.wait() == -number, err
        assert said == list(range(1, len(said) + 1))
        assert len(said) <= len(events(base)), err
        agent.stdout.close()
        agent.stderr.close()


def events(base):
    """
    Return the events that the journal has.
    """
    config = TelemetryConfig.from_env({}, base_dir=base)
    reader = SegmentReader(config.ndjson_dir)
    return [
        record
        for segment in reader.segments()
        for chunk in chunks_of(reader, segment)
        for record in chunk.records
        if record.record_type == "event"
    ]
