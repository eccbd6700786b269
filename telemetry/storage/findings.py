"""
What a check of a base directory finds, and how much it matters.
"""

from __future__ import annotations

from enum import IntEnum

import attrs

#: So many of one kind are named; of more, only that there are more.
MAX_NAMED = 20


class Level(IntEnum):
    """
    How much a finding matters.
    """

    #: Worth knowing, and no fault.
    NOTE = 0
    #: Something is missing or not as it should be; what is there can be relied on.
    ATTENTION = 1
    #: What is there cannot be relied on.
    DAMAGE = 2


@attrs.frozen
class Finding:
    """
    One thing that was found.
    """

    area: str
    level: Level
    text: str
    #: What to do about it; empty where there is nothing to be done.
    advice: str = ""
