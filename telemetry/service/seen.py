"""
Which records have been taken: by writer, as ranges of numbers.

It keeps a repeated delivery out of the journal. It is bounded and forgotten with the process; after
that the fold and the keys of the tables make a repetition harmless.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import OrderedDict

#: Writers that are remembered; the one that was silent longest is forgotten first.
MAX_WRITERS = 4096
#: Ranges of one writer; beyond that the lowest is forgotten.
MAX_RANGES = 256
_ID = re.compile(r"([0-9a-f]{16})-([1-9]\d{0,18})", re.ASCII)


class Seen:
    """
    A set of records' ids, small where the ids of a writer come one after the other.
    """

    def __init__(self) -> None:
        #: Of each writer the first and the last number of each range, in order.
        self._ranges: OrderedDict[str, tuple[list[int], list[int]]] = OrderedDict()

    def __contains__(self, record_id: str) -> bool:
        writer, number = split(record_id)
        found = self._ranges.get(writer)
        if found is None:
            return False
        firsts, lasts = found
        at = bisect_right(firsts, number) - 1
        return at >= 0 and number <= lasts[at]

    def add(self, record_id: str) -> None:
        """
        Remember an id.
        """
        writer, number = split(record_id)
        found = self._ranges.get(writer)
        if found is None:
            self._ranges[writer] = ([number], [number])
            if len(self._ranges) > MAX_WRITERS:
                self._ranges.popitem(last=False)
            return
        self._ranges.move_to_end(writer)
        _put(*found, number)


def _put(firsts: list[int], lasts: list[int], number: int) -> None:
    """
    Put a number into a writer's ranges, and join those that touch.
    """
    at = bisect_right(firsts, number) - 1
    if at >= 0 and number <= lasts[at]:
        return
    joins_below = at >= 0 and lasts[at] + 1 == number
    joins_above = at + 1 < len(firsts) and firsts[at + 1] == number + 1
    if joins_below and joins_above:
        lasts[at] = lasts.pop(at + 1)
        del firsts[at + 1]
    elif joins_below:
        lasts[at] = number
    elif joins_above:
        firsts[at + 1] = number
    else:
        firsts.insert(at + 1, number)
        lasts.insert(at + 1, number)
        if len(firsts) > MAX_RANGES:
            del firsts[0], lasts[0]


def is_id(text: str) -> bool:
    """
    Tell whether a text has the form of a record's id.
    """
    return _ID.fullmatch(text) is not None


def split(record_id: str) -> tuple[str, int]:
    """
    Return the writer and the number of an id.
    """
    writer, _, number = record_id.partition("-")
    return writer, int(number)
