"""
What the scripts share: they call ``telemetry`` and say how it went, as the original's did.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

WIDTH = 60
#: What asks for help, or for an answer that programs read: nothing may stand around it.
BARE = frozenset({"-h", "--help", "--json", "--prometheus", "--summary"})

if importlib.util.find_spec("telemetry") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def say(text: str, end: str = "\n") -> None:
    """
    Print a text; where nobody takes it, the exit status still tells how it went.
    """
    try:
        if sys.stdout is not None:
            print(text, end=end, flush=True)
    except OSError:
        # What is still buffered goes nowhere, instead of failing again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def heading(text: str) -> None:
    """
    Say what is about to be done.
    """
    say(f"{'=' * WIDTH}\n{text}\n{'=' * WIDTH}")


def telemetry(*args: str) -> int:
    """
    Call a command of ``telemetry`` and return its exit code.
    """
    from telemetry.cli.main import flushed, invoke

    return flushed(invoke([str(arg) for arg in args]))


def finish(code: int, good: str, bad: str) -> int:
    """
    Say how it went; return 0 or 1, as the scripts always did.
    """
    say(f"[OK] {good}" if code == 0 else f"[FAIL] {bad}")
    return 0 if code == 0 else 1


def take_no_options(description: str) -> None:
    """
    Show the help where it is asked for; refuse, with 2, whatever else the line says.
    """
    argparse.ArgumentParser(description=description.strip().splitlines()[0]).parse_args()


def hand_over(title: str, *command: str, good: str, bad: str) -> int:
    """
    Call a command with this script's own options, between a heading and a verdict.
    """
    given = sys.argv[1:]
    if BARE.intersection(given):
        return min(1, telemetry(*command, *given))
    heading(title)
    return finish(telemetry(*command, *given), good, bad)
