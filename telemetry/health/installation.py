"""
What is installed: Python, the package and its libraries, SQLite, plugins; and what is set.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from telemetry.config import listing
from telemetry.health.results import Check, Detail, Outcome, Result
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.health.scene import Scene

DISTRIBUTION = "telemetry"
PYTHONS = ((3, 9), (3, 13))
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*(?:\(?>=\s*([0-9.]+))?")
#: Upserts, which every batch is written with.
_OLDEST_SQLITE = (3, 24, 0)
#: The WAL-reset bug, https://sqlite.org/wal.html#walresetbug: first and last release that has it,
#: and the releases of older lines that it was also mended in.
_WAL_RESET = ((3, 7, 0), (3, 51, 2))
_WAL_RESET_MENDED = ((3, 44, 6), (3, 50, 7))


def python(scene: Scene) -> Iterator[Result]:
    """
    Compare this Python with those that are supported.
    """
    version, (oldest, newest) = sys.version_info[:2], PYTHONS
    is_known = oldest <= version <= newest
    supported = f"{_dotted(oldest)} to {_dotted(newest)}"
    yield Result(
        name="python",
        outcome=Outcome.OK if is_known else Outcome.WARNING,
        sentence=f"Python {sys.version.split()[0]} of {sys.executable or 'an embedding program'}",
        way_out="" if is_known else f"use Python {supported}, which this release is tested with",
        details=(Detail(name="platform", actual=sys.platform),),
    )


def libraries(scene: Scene) -> Iterator[Result]:
    """
    Look for the package's own metadata and for what it needs.
    """
    try:
        version = metadata.version(DISTRIBUTION)
        needed = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Result(
            name="package",
            outcome=Outcome.FINDING,
            sentence="telemetry runs from a directory that was never installed, so that none of"
            " its plugins is found",
            way_out="pip install -e . in that directory",
        )
        return
    problems = [problem for problem in map(_problem_of, needed) if problem]
    always = [line for line in needed if ";" not in line]
    yield Result(
        name="package",
        outcome=Outcome.FINDING if problems else Outcome.OK,
        sentence="; ".join(problems)
        or f"telemetry {version} has the {len(always)} libraries that it needs everywhere",
        way_out="pip install --upgrade telemetry installs what is missing" if problems else "",
    )


def sqlite(scene: Scene) -> Iterator[Result]:
    """
    Compare this SQLite with the defects that are known of its release.
    """
    version = sqlite3.sqlite_version_info
    text = f"SQLite {sqlite3.sqlite_version}"
    if version < _OLDEST_SQLITE:
        yield Result(
            name="sqlite",
            outcome=Outcome.FINDING,
            sentence=f"{text} is older than {_dotted(_OLDEST_SQLITE)} and cannot write a batch",
            way_out="install a Python with a newer SQLite",
        )
    elif has_wal_reset_bug(version):
        yield Result(
            name="sqlite",
            outcome=Outcome.WARNING,
            sentence=f"{text} has the WAL-reset bug: a rare race between a checkpoint and a commit"
            " of two processes can damage the database",
            way_out="SQLite 3.51.3 and later, 3.50.7 and 3.44.6 are without it; here one process"
            " at a time both writes and checkpoints, and the journal can always be followed anew",
        )
    else:
        yield Result(
            name="sqlite", outcome=Outcome.OK, sentence=f"{text} has no defect that is known here"
        )


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """
    Return whether a release of SQLite has the WAL-reset bug.
    """
    first, last = _WAL_RESET
    if not first <= version <= last:
        return False
    return not any(version[:2] == mended[:2] and version >= mended for mended in _WAL_RESET_MENDED)


def settings(scene: Scene) -> Iterator[Result]:
    """
    Show what is set, and from where; what cannot be used is a finding.
    """
    config = scene.config
    said = [line for line in listing(config) if line.source != "default"]
    details = [
        Detail(name=line.name, actual=f"{line.value or 'none'} ({line.source})") for line in said
    ]
    is_usable, remarks = config.validate(strict=False)
    for remark in remarks:
        yield Result(
            name="settings",
            outcome=Outcome.FINDING
            if not is_usable or remark in config.problems
            else Outcome.WARNING,
            sentence=remark,
            way_out="telemetry config shows every setting, its value and its source",
        )
    yield Result(
        name="settings",
        outcome=Outcome.OK,
        sentence=f"{several(len(said), 'setting')} not at the default",
        details=tuple(details),
    )


def plugins(scene: Scene) -> Iterator[Result]:
    """
    Load every plugin and ask it what it adds; a broken one is a finding.
    """
    loaded, config = scene.plugins, scene.config
    _ = scene.sinks, scene.plugin_checks
    loaded.processors(config)
    loaded.commands()
    statuses = loaded.statuses
    for status in statuses:
        if status.problem:
            yield Result(
                name="plugins",
                subject=status.name,
                outcome=Outcome.FINDING,
                sentence=f"{status.name} {status.problem}",
                way_out=f"repair it, or leave it out: TELEMETRY_PLUGINS_DISABLED={status.name}",
            )
    yield Result(
        name="plugins",
        outcome=Outcome.OK,
        sentence=f"{several(sum(status.state.value == 'loaded' for status in statuses), 'plugin')}"
        " loaded",
        details=tuple(
            Detail(name=status.name, actual=f"{status.state.value} {status.version}".strip())
            for status in statuses
        ),
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _problem_of(requirement: str) -> str:
    """
    Return what is wrong with one requirement; empty for nothing, and where it depends.
    """
    match = _REQUIREMENT.match(requirement)
    if match is None or ";" in requirement:
        return ""
    name, least = match[1], match[2]
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    if least and _numbers(found) < _numbers(least):
        return f"{name} must be {least} or newer (got {found})"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """
    Return the numbers that a version begins with.
    """
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


CHECKS = (
    Check(name="python", run=python),
    Check(name="package", run=libraries),
    Check(name="sqlite", run=sqlite),
    Check(name="settings", run=settings),
    Check(name="plugins", run=plugins),
)
