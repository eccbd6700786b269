"""
Lines of the journal that another program wrote, such as the original system: no damage.
"""

from __future__ import annotations

import msgspec

from telemetry.model.codec import MARKER, Decoded
from telemetry.model.records import DECODE_ERRORS

_CRC_KEY = b',"crc":"'
_CRC_START = -18


def without_foreign(data: bytes, decoded: Decoded) -> tuple[int, Decoded]:
    """
    Count the lines that another program wrote, and take them off the damage.
    """
    foreign = [len(line) for line in data.split(b"\n") if _is_foreign(line)]
    damaged = decoded.damaged_count - len(foreign), decoded.damaged_bytes - sum(foreign)
    return len(foreign), Decoded(decoded.records, *damaged)


def _is_foreign(line: bytes) -> bool:
    # One damaged byte cannot hide both the marker and the checksum's key of a line of ours.
    if not line.startswith(b"{") or MARKER in line or line[_CRC_START:].startswith(_CRC_KEY):
        return False
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except DECODE_ERRORS:
        return False
