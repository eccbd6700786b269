"""
What a task's Markdown promises, and whether it is there: files, their lines, and its own checks.

    **Deliverables**:
    1. **docs/FAQ.md** (300-400 lines)

    **Acceptance checks**:
    ```bash
    pytest tests/test_faq.py
    ```
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import attrs

from telemetry.model.errors import UsageError
from telemetry.storage.gates import Outcome, Verdict

#: How long one acceptance check may take.
CHECK_TIMEOUT_S = 600.0
MAX_SPEC_BYTES = 4 << 20
_MISSING, _LENGTH = "CRITICAL", "HIGH"
SEVERITIES = (_MISSING, _LENGTH, "MEDIUM", "LOW")
_HEADING = re.compile(r"#{1,6}\s|\*\*[^*]+\*\*\s*:?$")
_ITEM = re.compile(r"\s*(?:\d+[.)]|[-*+])\s+(?:\*\*`?([^*`]+)`?\*\*|`([^`]+)`)(.*)")
_RANGE = re.compile(r"\(\s*(\d+)\s*(?:[-\u2013]|to)\s*(\d+)\s+lines?\b", re.IGNORECASE)
_LEAST = re.compile(r"\(\s*(?:at least\s+|>=?\s*)?(\d+)\s*\+?\s+lines?\b", re.IGNORECASE)
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*(%)?")
_PIECE_BYTES = 1 << 20


@attrs.frozen(kw_only=True)
class Deliverable:
    """
    A file, and how many lines it is to have.
    """

    path: str
    least: Optional[int] = None
    most: Optional[int] = None


@attrs.frozen(kw_only=True)
class Task:
    """
    What a task's Markdown asks for.
    """

    name: str
    deliverables: Sequence[Deliverable]
    #: Lines for a shell, each of which must end with 0.
    checks: Sequence[str]


@attrs.frozen(kw_only=True)
class Leniency:
    """
    How much may be amiss.
    """

    #: By which share a file may be shorter or longer than asked for.
    tolerance: float = 0.0
    #: Which severities block; the others are only told.
    blocking: frozenset[str] = frozenset((_MISSING, _LENGTH))


def leniency_from(tolerance: Optional[str], blocking: str) -> Leniency:
    """
    Return what the line says of it.

    Raises:
        UsageError: It can mean nothing.
    """
    words = frozenset(word.strip().upper() for word in blocking.split(",") if word.strip())
    unknown = sorted(words - set(SEVERITIES))
    if unknown:
        raise UsageError(f"--blocking must name {', '.join(SEVERITIES)} (got {unknown[0]!r})")
    match = _SHARE.fullmatch((tolerance or "0").strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else 2.0
    if share > 1:
        raise UsageError(f"--tolerance must be a share such as 0.1 or 10% (got {tolerance!r})")
    return Leniency(tolerance=share, blocking=words)


def task_in(path: Path) -> Task:
    """
    Read a task.

    Raises:
        OSError: The file cannot be read.
        UsageError: It is no text, or lists nothing that could be checked.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SPEC_BYTES + 1)
    except FileNotFoundError:
        text = f"the task {path} must exist to be checked; name another file"
        raise FileNotFoundError(text) from None
    if len(data) > MAX_SPEC_BYTES:
        raise UsageError(f"the task {path} must have at most {MAX_SPEC_BYTES} bytes; shorten it")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the task {path} must be UTF-8 text ({error.reason}); save it so"
        ) from None
    found = [
        _deliverable(match) for match in map(_ITEM.match, _section(lines, "deliverable")) if match
    ]
    if not found:
        raise UsageError(
            f"the task {path} must list what to check (got no deliverable); write"
            ' "**Deliverables**:" and below it "1. **path** (10-20 lines)"'
        )
    return Task(name=path.stem, deliverables=found, checks=_commands(lines))


def verdicts_on(
    task: Task, root: Path, leniency: Leniency, *, runs_checks: bool = False
) -> Iterator[Verdict]:
    """
    Look for each deliverable, count its lines, and run the task's own checks if that is allowed.

    Args:
        root: The directory that paths begin in, and that checks run in.
        runs_checks: Whether the commands of the task may be run; it is as trusted as its author.
    """
    for one in task.deliverables:
        path = _inside(root, one.path)
        count = _line_count(path) if path is not None else None
        yield _existing(one, leniency, is_inside=path is not None, is_there=count is not None)
        if count is not None and one.least is not None:
            yield _long_enough(one, count, leniency)
    for command in task.checks:
        yield _ran(command, root, leniency) if runs_checks else _not_run(command)


def _section(lines: Sequence[str], word: str) -> Iterator[str]:
    """
    Yield the lines below a heading that begins with a word, up to the next heading.
    """
    is_in, is_fenced = False, False
    for line in lines:
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif not is_fenced and _HEADING.match(line.strip()):
            is_in = line.strip().strip("#*: ").lower().startswith(word)
            continue
        if is_in:
            yield line


def _deliverable(match: re.Match[str]) -> Deliverable:
    path, rest = (match[1] or match[2]).strip(), match[3]
    between = _RANGE.search(rest)
    if between:
        low, high = sorted((int(between[1]), int(between[2])))
        return Deliverable(path=path, least=low, most=high)
    least = _LEAST.search(rest)
    return Deliverable(path=path, least=int(least[1]) if least else None)


def _commands(lines: Sequence[str]) -> list[str]:
    """
    Return the lines of the code below the heading of the acceptance checks.
    """
    commands, is_fenced, begun = [], False, ""
    for line in _section(lines, "acceptance check"):
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced and line.strip() and not line.lstrip().startswith("#"):
            begun += line.strip()
            if begun.endswith("\\"):
                begun = begun[:-1]
            else:
                commands.append(begun)
                begun = ""
    return commands


def _inside(root: Path, text: str) -> Optional[Path]:
    """
    Return a path below the directory; None for one that leaves it.
    """
    try:
        path = (root / text).resolve()
    except (OSError, ValueError, RuntimeError):
        return None
    return path if root.resolve() in path.parents else None


def _line_count(path: Path) -> Optional[int]:
    try:
        if not path.is_file():
            return None
        count, last = 0, b"\n"
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                count, last = count + piece.count(b"\n"), piece[-1:]
    except (OSError, ValueError):
        return None
    return count + (last != b"\n")


def _existing(one: Deliverable, leniency: Leniency, *, is_inside: bool, is_there: bool) -> Verdict:
    if is_there:
        reason = f"{one.path} is there"
    elif is_inside:
        reason = f"{one.path} must be a file that can be read, and there is none"
    else:
        reason = f"{one.path} must lie in the directory that is looked at; see --root"
    return _verdict(f"file_exists:{one.path}", _MISSING, leniency, is_there, 1.0, reason)


def _long_enough(one: Deliverable, count: int, leniency: Leniency) -> Verdict:
    least = (one.least or 0) * (1 - leniency.tolerance)
    most = None if one.most is None else one.most * (1 + leniency.tolerance)
    wanted = f"{one.least}-{one.most}" if one.most is not None else f"{one.least} or more"
    is_kept = count >= least and (most is None or count <= most)
    limit = least if count < least or most is None else most
    word = "has" if is_kept else "must have"
    reason = f"{one.path} {word} {wanted} lines (got {count})"
    return _verdict(f"line_count:{one.path}", _LENGTH, leniency, is_kept, limit, reason, count)


def _ran(command: str, root: Path, leniency: Leniency) -> Verdict:
    shell = shutil.which("bash") or shutil.which("sh")
    if shell is None:
        reason = f"{command}: there must be a shell to run it; install bash"
        return _verdict(f"acceptance:{command}", _MISSING, leniency, False, 0.0, reason)
    try:
        code = subprocess.run(
            [shell, "-c", command],
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_TIMEOUT_S,
            check=False,
        ).returncode
        told = f"exited with {code}"
    except subprocess.TimeoutExpired:
        code, told = -1, f"took longer than {CHECK_TIMEOUT_S:.0f} seconds"
    return _verdict(
        f"acceptance:{command}", _MISSING, leniency, not code, 0.0, f"{command}: {told}", code
    )


def _not_run(command: str) -> Verdict:
    return Verdict(
        rule=f"acceptance:{command}",
        outcome=Outcome.SKIPPED,
        measured=None,
        limit=0.0,
        reason=f"{command}: not run; --run-checks runs the commands of the task",
    )


def _verdict(  # noqa: PLR0913, PLR0917 (a verdict's parts)
    rule: str,
    severity: str,
    leniency: Leniency,
    is_kept: bool,
    limit: float,
    reason: str,
    measured: Optional[float] = None,
) -> Verdict:
    outcome = Outcome.PASSED
    if not is_kept:
        blocks = severity in leniency.blocking
        outcome = Outcome.FAILED if blocks else Outcome.SKIPPED
        reason = f"[{severity}] {reason}" + ("" if blocks else "; it does not block")
    return Verdict(
        rule=rule,
        outcome=outcome,
        measured=float(is_kept) if measured is None else measured,
        limit=limit,
        reason=reason,
    )
