"""
Rules of the settings that name sites: hosts by which the service is asked, pages that may ask it.

An item that could never fit a request is refused and said; passed over in silence it would look
like a permission that does not work.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from telemetry.config.rules import Names, PartlyRefusedError


class _Sites(Names):
    """
    Several names of one form.
    """

    form: ClassVar[re.Pattern[str]]
    one: ClassVar[str]

    def parse(self, value: Any, /) -> tuple[str, ...]:
        """
        Take a list of names of the form.

        Raises:
            PartlyRefusedError: Some are not; the others are kept.
        """
        items = super().parse(value)
        kept = tuple(item for item in items if self.form.fullmatch(item))
        if len(kept) < len(items):
            refused = next(item for item in items if item not in kept)
            raise PartlyRefusedError(f"{self.one} (got {refused!r}); name each of them", kept)
        return kept


class Hosts(_Sites):
    """
    Names of hosts, without a scheme; a port is not looked at.
    """

    text = "names of hosts separated by commas, or a JSON list of them"
    one = "must be names of hosts such as telemetry.example"
    form = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s\[\]:@/\\?#*]+)(?::[0-9]{1,5})?")


class Origins(_Sites):
    """
    Origins of web pages: scheme, host and port as a browser says them.
    """

    text = "origins separated by commas, or a JSON list of them"
    one = "must be origins such as https://ops.example"
    form = re.compile(r"https?://[^\s@/\\?#*]+/?", re.IGNORECASE)
