"""
The query string of a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import parse_qsl, quote, urlencode

from telemetry.service.problems import FieldError, Problem, bad_filter, invalid

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

    from telemetry.storage.queries import FilterError, Page

MAX_PARAMETERS = 200
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = 2**63 - 1
PAGING = ("limit", "offset", "cursor", "sort")
#: Runs by a part of their ids.
BY_PART = "id"


class Query:
    """
    The parameters of a request, in order.

    Raises:
        Problem: There are too many.
    """

    def __init__(self, request: Request) -> None:
        self._path = quote(request.scope["path"])
        raw = request.scope.get("query_string", b"").decode("latin-1")
        try:
            self.pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            rule = f"must have at most {MAX_PARAMETERS} parameters"
            raise invalid([FieldError(loc=("query",), rule=rule, value="more")]) from None

    def get(self, name: str) -> Optional[str]:
        """
        Return the last value of a parameter; None where it is missing or empty.
        """
        found = [value for key, value in self.pairs if key == name and value]
        return found[-1] if found else None

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """
        Return a parameter that is a number.

        Raises:
            Problem: It is none, or out of its range.
        """
        text = self.get(name)
        if text is None:
            return default
        digits = text.strip()
        if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_OFFSET)):
            number = int(digits)
            if least <= number <= most:
                return number
        raise invalid(
            [
                FieldError(
                    loc=("query", name),
                    rule=f"must be an integer from {least} to {most}",
                    value=text,
                    way_out=f"leave it out for {default}",
                    type="int_parsing",
                )
            ]
        )

    def limit(self) -> int:
        """
        Return how many rows are asked for.
        """
        return self.integer("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)

    def refuse_unknown(self, known: Collection[str]) -> None:
        """
        Refuse parameters that mean nothing.
        """
        for name, value in self.pairs:
            if name not in known:
                raise invalid(
                    [
                        FieldError(
                            loc=("query", name[:100]),
                            rule="must be a parameter of this list",
                            value=value,
                            way_out=f"use {', '.join(known)}",
                            type="extra_forbidden",
                        )
                    ]
                )

    def links(self, page: Page) -> dict[str, str]:
        """
        Return the header that leads to the pages beside one; nothing where there are none.
        """
        kept = [(name, value) for name, value in self.pairs if name not in {"cursor", "offset"}]
        links = [
            f'<{self._path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="{name}"'
            for name, cursor in (("next", page.next), ("prev", page.previous))
            if cursor
        ]
        return {"Link": ", ".join(links)} if links else {}


def filter_problem(error: FilterError) -> Problem:
    """
    Return the problem of a filter that the store refused.
    """
    described: dict[str, Any] = {
        "loc": ("query", error.field),
        "rule": error.rule,
        "value": error.value,
        "way_out": error.way_out,
    }
    field_error = FieldError(**described)
    if error.status == 404:  # noqa: PLR2004
        return Problem("no-such-statistic", 404, "Not Found", errors=[field_error])
    return bad_filter(field_error) if error.status == 400 else invalid([field_error])  # noqa: PLR2004
