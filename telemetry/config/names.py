"""
Names of variables that are not settings: retired ones, and misspelt ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, Optional

PREFIX = "TELEMETRY_"
#: Names that begin like ours are looked at; others belong to other programs.
PREFIXES = (PREFIX, "METRICS_API_", "GOOGLE_SHEETS_API_")
#: Written for child processes by a run, never by a person.
HANDED_DOWN = frozenset({"TELEMETRY_PARENT_RUN_ID"})
#: Other programs' too: a value that only they understand is not wrong.
SHARED = frozenset({"LOG_LEVEL"})

MAX_NAME_LENGTH = 80
MAX_NAMES = 50
_SIMILAR_WORD = 0.7
_SIMILAR_NAME = 0.9
_MIN_STEM = 3


class Retired(NamedTuple):
    """
    A variable of the original that no longer means anything.
    """

    instead: str
    #: Values that ask for what happens anyway, so that nothing need be said.
    harmless: frozenset[str] = frozenset()


_JOURNAL_IS_BUFFER = Retired("the journal is the buffer, and TELEMETRY_NDJSON_DIR is its place")
_BATCHES = Retired("sinks follow the journal at once, in batches of TELEMETRY_BATCH_SIZE")
_WAITING = Retired("the agent never waits for the database, and the worker retries for ever")
_SHEETS = Retired("METRICS_API_URL is the remote endpoint of every kind", frozenset({"false"}))

RETIRED: Mapping[str, Retired] = {
    "TELEMETRY_API_WORKERS": Retired(
        "the service is one process, and sinks do not wait for it", frozenset({"1"})
    ),
    "TELEMETRY_DB_JOURNAL_MODE": Retired(
        "the database uses WAL, and DELETE where the file system has no shared memory",
        frozenset({"wal"}),
    ),
    "TELEMETRY_DB_SYNCHRONOUS": Retired(
        "the database is rebuilt from the journal, and TELEMETRY_FSYNC is for the journal",
        frozenset({"normal"}),
    ),
    "TELEMETRY_LOCK_FILE": Retired("locks lie in the state directory under TELEMETRY_BASE_DIR"),
    "TELEMETRY_BUFFER_DIR": _JOURNAL_IS_BUFFER,
    "TELEMETRY_BUFFER_MAX_SIZE_MB": _JOURNAL_IS_BUFFER,
    "TELEMETRY_BUFFER_MAX_AGE_HOURS": _JOURNAL_IS_BUFFER,
    "TELEMETRY_SYNC_INTERVAL_SECONDS": _BATCHES,
    "TELEMETRY_SYNC_BATCH_SIZE": _BATCHES,
    "TELEMETRY_DB_BUSY_TIMEOUT_MS": _WAITING,
    "TELEMETRY_DB_CONNECT_TIMEOUT_SECONDS": _WAITING,
    "TELEMETRY_DB_MAX_RETRIES": _WAITING,
    "TELEMETRY_DB_RETRY_BASE_DELAY_SECONDS": _WAITING,
    "TELEMETRY_RETRY_BACKOFF_FACTOR": Retired("retries wait with full jitter, for ever"),
    "TELEMETRY_LEVEL": Retired("TELEMETRY_LOG_LEVEL is the level of telemetry's own log"),
    "TELEMETRY_ENABLED": Retired(
        "TELEMETRY_DISABLED=1 turns telemetry off", frozenset({"1", "true", "yes", "on"})
    ),
    "TELEMETRY_SAMPLING_RATE": Retired("every run is recorded", frozenset({"1", "1.0"})),
    "TELEMETRY_MAX_PAYLOAD_BYTES": Retired("TELEMETRY_MAX_LINE_BYTES bounds a record"),
    "TELEMETRY_RETENTION_DAYS": Retired("nothing is deleted unless a command asks for it"),
    "TELEMETRY_DRY_RUN_CLEANUP": Retired("nothing is deleted unless a command asks for it"),
    "METRICS_API_AUTH_REQUIRED": Retired(
        "METRICS_API_TOKEN is sent when it is set", frozenset({"false"})
    ),
    "GOOGLE_SHEETS_API_URL": _SHEETS,
    "GOOGLE_SHEETS_API_ENABLED": _SHEETS,
}


def unknown_names(
    environ: Mapping[str, str], known: Collection[str], plugins: Iterable[str]
) -> list[str]:
    """
    Return a line for each variable that is retired or looks misspelt.

    Args:
        environ: The variables that begin like ours and are not settings.
        known: Names of the settings' variables.
        plugins: Names of plugins, whose own variables pass.
    """
    sections = tuple(f"{PREFIX}{plugin.upper()}_" for plugin in plugins)
    lines = []
    for name in sorted(environ)[:MAX_NAMES]:
        line = _retired(name, environ[name]) or _misspelt(name, known, sections)
        if line:
            lines.append(line)
    return lines


def nearest(name: str, known: Iterable[str]) -> Optional[str]:
    """
    Return the known name that a name is a misspelling of, None for a name of its own.
    """
    if len(name) > MAX_NAME_LENGTH:
        return None
    near = [candidate for candidate in known if _alike(name, candidate)]
    return max(near, key=lambda candidate: _ratio(name, candidate), default=None)


def unknown_argument(name: str, value: Any, known: Iterable[str]) -> str:
    """
    Say that an argument is not a setting.
    """
    match = nearest(name, known)
    way_out = f"did you mean {match}?" if match else "`telemetry config` lists them"
    return f"{name} must be a setting (got a {type(value).__name__}); {way_out}"


def _retired(name: str, value: str) -> str:
    """
    Return what replaced a variable of the original; nothing where nothing need be said.
    """
    retired = RETIRED.get(name)
    if retired is None or not value.strip() or value.strip().lower() in retired.harmless:
        return ""
    return f"{name} has no effect: {retired.instead}; unset it"


def _misspelt(name: str, known: Collection[str], sections: tuple[str, ...]) -> str:
    """
    Return the nearest setting to a name that is none.
    """
    if name in RETIRED or name.startswith(sections):
        return ""
    match = nearest(name, known)
    return f"{name} must be the name of a setting; did you mean {match}?" if match else ""


def _alike(name: str, candidate: str) -> bool:
    """
    Return whether one name is likely a misspelling of the other.

    Word by word, so that TELEMETRY_HTTP_TIMEOUT_S, some plugin's own, is not taken for
    TELEMETRY_EXIT_TIMEOUT_S.
    """
    words, expected = name.split("_"), candidate.split("_")
    if len(words) == len(expected):
        return all(map(_alike_word, words, expected))
    if words[0] == expected[0]:
        # What all of ours begin with says nothing.
        del words[0], expected[0]
    return _ratio("".join(words), "".join(expected)) >= _SIMILAR_NAME


def _alike_word(word: str, expected: str) -> bool:
    """
    Return whether two words are the same, one cut short, or one misspelt.
    """
    if word == expected:
        return True
    shorter, longer = sorted((word, expected), key=len)
    if len(shorter) >= _MIN_STEM and longer.startswith(shorter):
        return True
    return _ratio(word, expected) >= _SIMILAR_WORD


def _ratio(one: str, other: str) -> float:
    """
    Return how much two texts have in common, from 0 to 1.
    """
    from difflib import SequenceMatcher

    return SequenceMatcher(None, one, other).ratio()
