"""
The settings as people read them, with their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import attrs

from telemetry.config.setting import METADATA_KEY, Setting, described_by

if TYPE_CHECKING:
    from telemetry.config.process import TelemetryConfig


class Line(NamedTuple):
    """
    One setting of a configuration, as text that can be shown to anyone.
    """

    name: str
    value: str
    source: str
    default: str
    setting: Setting


def listing(config: TelemetryConfig) -> Iterator[Line]:
    """
    Yield every setting with its value, secrets masked.
    """
    for field in attrs.fields(type(config)):
        if METADATA_KEY not in field.metadata:
            continue
        described = described_by(field)
        yield Line(
            name=field.name,
            value=described.rule.show(getattr(config, field.name)),
            source=config.sources.get(field.name, "argument"),
            default=described.show_default(field.default),
            setting=described,
        )
