"""
Places in a list, as opaque texts that a client hands back.

A text holds the list it is of, its order, which way to read from there, and the last row's values
in that order; no filter, and nothing secret. A checksum tells one that was cut or made up.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Optional, Union

import attrs
import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.storage.queries.errors import FilterError

#: The longest key and the longest sorted value, and room for the rest.
_MAX_LENGTH = 8192
_CHECKSUM_BYTES = 4

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, str, bool, Union[str, int, None], str]).decode


@attrs.frozen(kw_only=True)
class Position:
    """
    Between two rows of a list: after one of them, or before it where ``is_backward``.
    """

    listing: str
    sort: str
    is_backward: bool
    value: Union[str, int, None]
    key: str

    def text(self) -> str:
        """
        Return what the client gets.
        """
        content = _encode((self.listing, self.sort, self.is_backward, self.value, self.key))
        whole = zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") + content
        return base64.urlsafe_b64encode(whole).rstrip(b"=").decode("ascii")


def read_position(text: str, *, listing: str, sort: str) -> Position:
    """
    Return the place that a text of `Position.text` means.

    Raises:
        FilterError: It is none, or one of another list or order.
    """
    content = _checked(text)
    try:
        of, by, is_backward, value, key = _decode(content or b"")
    except DECODE_ERRORS:
        raise FilterError(
            "cursor", "must be one that an answer brought", text, "begin without a cursor"
        ) from None
    found = Position(listing=of, sort=by, is_backward=is_backward, value=value, key=key)
    if (found.listing, found.sort) != (listing, sort):
        raise FilterError(
            "cursor",
            f"must be of this list, sorted by {sort}",
            f"one of {found.listing} sorted by {found.sort}",
            "begin without a cursor",
        )
    return found


def _checked(text: str) -> Optional[bytes]:
    if len(text) > _MAX_LENGTH or not text.isascii():
        return None
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    content = whole[_CHECKSUM_BYTES:]
    is_whole = zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") == whole[:_CHECKSUM_BYTES]
    return content if is_whole else None
