"""
A seeded agent draws what it would draw without telemetry.
"""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import random, sys
from telemetry import TelemetryClient, hookimpl
from telemetry.model.errors import TransientSinkError

class Failing:
    name = "failing"
    def write(self, batch, cursor):
        raise TransientSinkError("not now")
    def close(self):
        pass

class Plugin:
    @hookimpl
    def telemetry_register_sinks(self, config):
        return [Failing()]

random.seed(42)
state = random.getstate()
client = TelemetryClient(base_dir=sys.argv[1], plugins=[Plugin()])
with client.track_run("my_agent", "job") as run:
    for number in range(100):
        run.log_event("step", {"number": number})
client.flush(1)
print(random.getstate() == state)
"""


def test_the_random_module_is_left_alone(tmp_path):
    """
    Neither ids nor the waits of a failing sink draw from the agent's generator.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, capture_output=True, text=True
    )

    assert done.stdout == "True\n"
