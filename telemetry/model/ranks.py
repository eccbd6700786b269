"""
What decides between two records that say different things of one field: the higher rank stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.model.choices import Status
from telemetry.model.records import Change

if TYPE_CHECKING:
    from telemetry.model.values import SqlValue

INFERRED, AGENT, EDIT = range(3)
#: The class of each change; one that is not here says nothing of a field.
CLASSES = {
    Change.STARTED.value: AGENT,
    Change.UPDATED.value: AGENT,
    Change.ENDED.value: AGENT,
    Change.RECORDED.value: AGENT,
    Change.POSTED.value: AGENT,
    Change.INFERRED.value: INFERRED,
    Change.EDITED.value: EDIT,
}
RUNNING = Status.RUNNING.value
#: A status of each class among all: running never hides an end, but where a person sets it.
_RUNNING_RANKS = (0, 1, 4)
_END_RANKS = (2, 3, 5)

#: The rank of what one record said: class, time, writer, number.
Key = tuple[int, str, str, int]
LOWEST: Key = (-1, "", "", 0)


def place_of(name: str, value: SqlValue, key: Key) -> tuple[Key, str]:
    """
    Return what decides between two values of a field: the higher one stands.

    Two records with one key and different values are none of ours; there the value decides, so that
    even then the order of arrival does not.
    """
    if name == "status":
        ranks = _RUNNING_RANKS if value == RUNNING else _END_RANKS
        key = (ranks[key[0]], *key[1:])
    return key, repr(value)


def key_text(key: Key) -> str:
    """
    Return a key as `parse_key` reads it.
    """
    rank, time, writer, number = key
    return f"{rank} {time} {writer}-{number}"


def parse_key(text: str) -> Key:
    """
    Return the key that a text stands for.

    Raises:
        ValueError: It stands for none.
    """
    rank, time, id_ = text.split(" ", 2)
    writer, _, number = id_.partition("-")
    return int(rank), time, writer, int(number)
