"""
What both clients are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

from telemetry.api.attempts import Attempts
from telemetry.api.calls import MAX_PAGE_ROWS, NEWEST_FIRST, Call, FilterValue, page
from telemetry.api.results import Page
from telemetry.api.target import Target, target
from telemetry.config.secret import Secret

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_RETRIES = 3


class Caller:
    """
    Where the service is, and how often it is asked.
    """

    def __init__(
        self,
        url: Optional[str],
        token: Union[str, Secret, None],
        *,
        timeout_s: float,
        retries: int,
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0 (got {timeout_s}); leave it out for 30")
        if retries < 0:
            raise ValueError(f"retries must be 0 or more (got {retries}); leave it out for 3")
        self.target: Target = target(url, token)
        self.timeout_s = timeout_s
        self._retries = retries

    @property
    def url(self) -> str:
        """
        Return the address of the service.
        """
        return self.target.url

    def options(self) -> dict[str, Any]:
        """
        Return what the connections are made with.
        """
        return self.target.options(self.timeout_s)

    def address(self, call: Call[Any]) -> str:
        """
        Return where a call goes, beneath whatever path the service has.
        """
        return self.target.url + call.path

    def attempts(self, call: Call[Any]) -> Attempts:
        """
        Return the tries of a call.
        """
        return Attempts(call, self.target.shown + call.path, self._retries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target.shown!r})"


class Walk:
    """
    The pages of a list, one call after the other, and no more rows than are wanted.
    """

    def __init__(
        self, filters: Mapping[str, FilterValue], *, limit: Optional[int], page_size: int, sort: str
    ) -> None:
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more (got {limit}); leave it out for all runs")
        if not 1 <= page_size <= MAX_PAGE_ROWS:
            raise ValueError(
                f"page_size must be from 1 to {MAX_PAGE_ROWS} (got {page_size});"
                " leave it out for the usual one"
            )
        self._filters = filters
        self._left = limit
        self._page_size = page_size
        self._sort = sort
        self._cursor: Optional[str] = None

    def first(self) -> Optional[Call[Page]]:
        """
        Return the first call; None where nothing is wanted.
        """
        if self._left == 0:
            return None
        size = self._page_size if self._left is None else min(self._left, self._page_size)
        return page(self._filters, limit=size, cursor=self._cursor, sort=self._sort)

    def then(self, found: Page) -> Optional[Call[Page]]:
        """
        Return the call for the page behind one; None behind the last.
        """
        if self._left is not None:
            self._left = max(0, self._left - len(found.runs))
        self._cursor = found.next
        return self.first() if found.next and found.runs else None


__all__ = ["DEFAULT_RETRIES", "DEFAULT_TIMEOUT_S", "NEWEST_FIRST", "Caller", "Walk"]
