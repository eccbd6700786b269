"""
The process that the demo kills: it hashes files, an event for each, until it is no more.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from pathlib import Path
from typing import NoReturn

AGENT = "file-hasher"


def main(base_dir: str, db_path: str, ndjson_dir: str, *files: str) -> NoReturn:
    """
    Record a run that never ends by itself; each printed line acknowledges one event.
    """
    from telemetry.client import TelemetryClient
    from telemetry.config import TelemetryConfig

    config = TelemetryConfig.from_env(base_dir=base_dir, db_path=db_path, ndjson_dir=ndjson_dir)
    with TelemetryClient(config).track_run(AGENT, "hash-files") as run:
        _say(run.run_id)
        for number in itertools.count(1):
            name = files[number % len(files)] if files else __file__
            digest = hashlib.sha256(_content(Path(name))).hexdigest()
            run.log_event("hashed", {"file": name, "sha256": digest})
            run.set_metrics(items_succeeded=number)
            _say(str(number))
    raise AssertionError("the run is endless")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main(*sys.argv[1:])
