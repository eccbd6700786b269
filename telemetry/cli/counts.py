"""
Numbers on the line: whoever asks for more than there can be means all of it.
"""

from __future__ import annotations

import math
from typing import Any, Optional

import click

#: More than any database of this kind holds, and no more than what SQLite counts in.
MAX_COUNT = 2_000_000_000
#: More than two centuries, and few enough for a calendar.
MAX_DAYS = 100_000.0


class Count(click.IntRange):
    """
    How many.
    """

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> int:
        """
        Return the number, at most `MAX_COUNT`.
        """
        return min(int(super().convert(value, param, ctx)), MAX_COUNT)


class Number(click.FloatRange):
    """
    How much of something, a fraction too; what is no number is in no range.
    """

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> float:
        """
        Return the number.
        """
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{str(value)!r} is not a valid float.", param, ctx)
        return number


class Days(Number):
    """
    How many days.
    """

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> float:
        """
        Return the number, at most `MAX_DAYS`.
        """
        return min(super().convert(value, param, ctx), MAX_DAYS)
