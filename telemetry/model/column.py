"""
What is said of one field of a run, and the forms that its values have.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.choices import CommitSource, Status, TriggerType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Largest integer a column holds: SQLite's and JSON readers' signed 64 bits.
MAX_INTEGER = 2**63 - 1


class Group(str, Enum):
    """
    Fields that belong together on a page.
    """

    IDENTITY = "identity"
    TIMING = "timing"
    OUTCOME = "outcome"
    ITEMS = "items"
    SUBJECT = "subject"
    GIT = "git"
    ORIGIN = "origin"
    EXTRA = "extra"
    DELIVERY = "delivery"
    BOOKKEEPING = "bookkeeping"


class Kind(str, Enum):
    """
    What a column holds; each has one form in JSON and one in SQL.
    """

    TEXT = "text"
    COUNT = "count"
    FLAG = "flag"
    TIME = "time"
    JSON = "json"
    STATUS = "status"
    TRIGGER = "trigger"
    COMMIT_SOURCE = "commit_source"


_CHOICES: Mapping[Kind, type[Enum]] = {
    Kind.STATUS: Status,
    Kind.TRIGGER: TriggerType,
    Kind.COMMIT_SOURCE: CommitSource,
}


def spec(  # noqa: PLR0913 (one parameter for each thing that derives from a field)
    doc: str,
    *,
    kind: Kind,
    group: Group,
    unit: str = "",
    max_length: Optional[int] = None,
    patchable: bool = False,
    since: int = 1,
) -> dict[str, Any]:
    """
    Describe a field for everything that derives from it.

    Args:
        doc: What the field means, as a sentence.
        kind: The form of its value.
        group: The fields it stands with.
        unit: Unit of a number, empty for a plain count.
        max_length: Longest text in characters; a longer one is cut where an agent records it and
            refused where a person enters it.
        patchable: Whether a person may correct it.
        since: The schema version that brought it.
    """
    return {
        "doc": doc,
        "kind": kind,
        "group": group,
        "unit": unit,
        "max_length": max_length,
        "patchable": patchable,
        "since": since,
    }


@attrs.frozen(kw_only=True)
class Column:
    """
    One field of `Run`, as its readers see it.
    """

    name: str
    kind: Kind
    doc: str
    group: Group
    unit: str
    max_length: Optional[int]
    patchable: bool
    since: int
    default: Any
    required: bool

    @property
    def choices(self) -> tuple[str, ...]:
        """
        Return the values it may have; empty where it is free.
        """
        enum = _CHOICES.get(self.kind)
        return tuple(str(member.value) for member in enum) if enum else ()


def column_of(field: attrs.Attribute[Any]) -> Column:
    """
    Return what a field that `spec` describes says of itself.
    """
    required = field.default is attrs.NOTHING
    return Column(
        name=field.name,
        default=None if required else field.default,
        required=required,
        **field.metadata,
    )


def require_zone(_: object, attribute: attrs.Attribute[Any], value: Optional[datetime]) -> None:
    """
    Validate a moment: an aware one, or None.

    Raises:
        ValueError: It carries no time zone.
    """
    if value is not None and value.utcoffset() is None:
        raise ValueError(f"{attribute.name} must carry a time zone (got {value.isoformat()!r})")


def require_count(_: object, attribute: attrs.Attribute[Any], value: Optional[int]) -> None:
    """
    Validate a count: from 0 to `MAX_INTEGER`, or None.

    Raises:
        ValueError: It is outside of that.
    """
    if value is not None and not 0 <= value <= MAX_INTEGER:
        raise ValueError(f"{attribute.name} must be from 0 to {MAX_INTEGER} (got {value})")
