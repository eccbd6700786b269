"""
The settings of one process: read, checked, and where each came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, TypeVar, cast

import attrs

from telemetry.config.reading import obey, read
from telemetry.config.secret import Secret
from telemetry.config.settings import Settings
from telemetry.model.bounds import Limits

SectionType = TypeVar("SectionType")


@attrs.frozen(kw_only=True, repr=False, eq=False)
class TelemetryConfig(Settings):
    """
    The settings of one process.

    Made by `from_env`, which never raises for a value: what cannot be used is a line in `problems`,
    and the default holds. Built by hand, a value that breaks its rule is a SettingsError.
    """

    #: Where each setting came from: a variable's name, "argument", "default", or a few words.
    sources: Mapping[str, str] = attrs.field(factory=dict)
    #: Variables that begin like ours and are no settings; plugins' sections are read from them.
    unclaimed: Mapping[str, Secret] = attrs.field(factory=dict)
    _problems: tuple[str, ...] = attrs.field(default=())
    _sections: dict[tuple[str, type[Any]], tuple[Any, tuple[str, ...]]] = attrs.field(
        factory=dict, init=False
    )

    def __attrs_post_init__(self) -> None:
        obey(self)

    @classmethod
    def from_env(
        cls, environ: Optional[Mapping[str, str]] = None, **settings: Any
    ) -> TelemetryConfig:
        """
        Read the settings from the environment; never raises for a value.

        Args:
            environ: Variables to read, those of the process by default.
            settings: Values that win over the environment, by the names of the fields; None
                counts as not given. Places given here are not mixed with the environment's.
        """
        found = read(cls, os.environ if environ is None else environ, settings)
        return cls(
            **found.values,
            sources=found.sources,
            unclaimed=found.unclaimed,
            problems=tuple(found.problems),
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """
        One line for each value that cannot be used and each name that is no setting.

        Grows when a plugin reads its section and finds values that cannot be used.
        """
        late = (problem for _, problems in self._sections.values() for problem in problems)
        return (*self._problems, *late)

    @property
    def state_dir(self) -> Path:
        """
        Where locks, cursors and dead letters lie.
        """
        return self.base_dir / "state"

    @property
    def backups_dir(self) -> Path:
        """
        Where backups of the database lie.
        """
        return self.base_dir / "backups"

    @property
    def limits(self) -> Limits:
        """
        The bounds of a record.
        """
        return Limits(
            max_depth=self.max_depth,
            max_items=self.max_items,
            max_string=self.max_string_bytes,
            max_line_bytes=self.max_line_bytes,
        )

    def section(self, name: str, cls: type[SectionType]) -> SectionType:
        """
        Read a plugin's own settings.

        ``TELEMETRY_<NAME>_<FIELD>`` sets a field of the attrs class; each field needs a default. A
        value that cannot be used is a line in `problems`, and the default holds.

        Args:
            name: The plugin's name.
            cls: An attrs class whose fields are texts, numbers, flags, paths, secrets or tuples
                of texts, or carry `setting()` metadata with a rule of their own.

        Raises:
            SettingsError: The class cannot be read from text, which is the plugin's mistake.
        """
        from telemetry.config.sections import read_section

        key = (name, cls)
        if key not in self._sections:
            self._sections[key] = read_section(name, cls, self.unclaimed)
        return cast("SectionType", self._sections[key][0])

    def validate(
        self,
        strict: bool = True,  # noqa: FBT001, FBT002 (the signature that existing callers use)
    ) -> tuple[bool, list[str]]:
        """
        Check the settings against the machine: directories, addresses, what belongs together.

        Args:
            strict: Whether remarks (a value replaced by its default, a directory that does not
                exist yet) make the answer False too.

        Returns:
            Whether telemetry can work with them, and a line for each finding.
        """
        from telemetry.config.checks import check

        return check(self, strict=strict)

    def is_test_mode(self) -> bool:
        """
        Return whether TELEMETRY_TEST_MODE is set at all.
        """
        return self.test_mode is not None

    def is_mock_mode(self) -> bool:
        """
        Return whether TELEMETRY_TEST_MODE is mock.
        """
        return self.test_mode == "mock"

    def is_live_mode(self) -> bool:
        """
        Return whether TELEMETRY_TEST_MODE is live.
        """
        return self.test_mode == "live"

    def __repr__(self) -> str:
        """
        Return the settings that are not defaults; secrets are masked.
        """
        from telemetry.config.listing import listing

        changed = [line for line in listing(self) if (line.value or "none") != line.default]
        return f"TelemetryConfig({', '.join(f'{line.name}={line.value!r}' for line in changed)})"
