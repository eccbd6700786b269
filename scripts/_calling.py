"""
What the scripts share: they call ``telemetry`` and say how it went, as the original's did.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

WIDTH = 60

if importlib.util.find_spec("telemetry") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def heading(text: str) -> None:
    """
    Say what is about to be done.
    """
    print(f"{'=' * WIDTH}\n{text}\n{'=' * WIDTH}", flush=True)


def telemetry(*args: str) -> int:
    """
    Call a command of ``telemetry`` and return its exit code.
    """
    from telemetry.cli.main import invoke

    code = invoke([str(arg) for arg in args])
    sys.stdout.flush()
    return code


def finish(code: int, good: str, bad: str) -> int:
    """
    Say how it went; return 0 or 1, as the scripts always did.
    """
    print(f"[OK] {good}" if code == 0 else f"[FAIL] {bad}", flush=True)
    return 0 if code == 0 else 1
