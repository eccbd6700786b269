"""
Every setting, once: its variable, default, rule and meaning.

`TelemetryConfig.from_env`, its checks, the table in the documentation and ``telemetry config``
derive from the fields of `Settings`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Union

import attrs

from telemetry.config.rules import (
    Choice,
    Flag,
    Integer,
    Names,
    Number,
    Password,
    Patterns,
    Place,
    Text,
    Url,
)
from telemetry.config.secret import Secret
from telemetry.config.setting import Group, setting
from telemetry.config.sites import Hosts, Origins
from telemetry.model.bounds import Limits
from telemetry.model.errors import SettingsError

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ACCESS_LOGS = ("problems", "all")
_LIMITS = Limits()


def _directory(value: Union[str, os.PathLike[str]]) -> Path:
    """
    Return the base directory, which the other places derive from, as a path.
    """
    try:
        return Place().parse(value)
    except ValueError as error:
        message = f"base_dir must be {Place.text} (got {value!r}); name a directory"
        raise SettingsError(message, setting="base_dir") from error


def _ndjson_dir(settings: Settings) -> Path:
    """
    Return where the journal lies unless it was told otherwise.
    """
    return settings.base_dir / "raw"


def _db_path(settings: Settings) -> Path:
    """
    Return where the database lies unless it was told otherwise.
    """
    return settings.base_dir / "db" / "telemetry.sqlite"


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Settings:
    """
    The list of the settings; `TelemetryConfig` is what is used of it.
    """

    base_dir: Path = attrs.field(
        converter=_directory,
        metadata=setting(
            "TELEMETRY_BASE_DIR",
            "AGENT_METRICS_DIR",
            rule=Place(),
            group=Group.STORAGE,
            help="Directory under which everything lies.",
            default_text="an existing known directory, else the user's data directory",
        ),
    )
    db_path: Path = attrs.field(
        default=attrs.Factory(_db_path, takes_self=True),
        metadata=setting(
            "TELEMETRY_DB_PATH",
            rule=Place(),
            group=Group.STORAGE,
            help="The SQLite database; the base directory is then two levels above it.",
            default_text="{base}/db/telemetry.sqlite",
        ),
    )
    ndjson_dir: Path = attrs.field(
        default=attrs.Factory(_ndjson_dir, takes_self=True),
        metadata=setting(
            "TELEMETRY_NDJSON_DIR",
            rule=Place(),
            group=Group.STORAGE,
            help="Directory of the journal.",
            default_text="{base}/raw",
        ),
    )
    fsync: str = attrs.field(
        default="interval",
        metadata=setting(
            "TELEMETRY_FSYNC",
            rule=Choice("never", "interval", "run_end", "always"),
            group=Group.STORAGE,
            help="When the journal is forced to the disk: what a power cut may take. "
            "Nothing that a process does, not even kill -9, takes anything.",
        ),
    )
    agent_owner: Optional[str] = attrs.field(
        default=None,
        metadata=setting(
            "AGENT_OWNER",
            rule=Text(),
            group=Group.RECORDING,
            help="Owner of the agents, for runs that do not name one.",
        ),
    )
    environment: Optional[str] = attrs.field(
        default=None,
        metadata=setting(
            "TELEMETRY_ENVIRONMENT",
            rule=Text(),
            group=Group.RECORDING,
            help="Environment, such as production, for runs that do not name one.",
        ),
    )
    disabled: bool = attrs.field(
        default=False,
        metadata=setting(
            "TELEMETRY_DISABLED",
            rule=Flag(),
            group=Group.RECORDING,
            help="Record nothing, touch nothing, say nothing.",
        ),
    )
    strict: bool = attrs.field(
        default=False,
        metadata=setting(
            "TELEMETRY_STRICT",
            rule=Flag(),
            group=Group.RECORDING,
            help="Raise telemetry's own errors, for tests. An agent in production never wants it.",
        ),
    )
    max_depth: int = attrs.field(
        default=_LIMITS.max_depth,
        metadata=setting(
            "TELEMETRY_MAX_DEPTH",
            rule=Integer(1, 100),
            group=Group.BOUNDS,
            unit="levels",
            help="Nesting of a payload; deeper parts are replaced by a marker.",
        ),
    )
    max_items: int = attrs.field(
        default=_LIMITS.max_items,
        metadata=setting(
            "TELEMETRY_MAX_ITEMS",
            rule=Integer(1),
            group=Group.BOUNDS,
            unit="items",
            help="Items of one container in a payload; the rest is counted in a marker.",
        ),
    )
    max_string_bytes: int = attrs.field(
        default=_LIMITS.max_string,
        metadata=setting(
            "TELEMETRY_MAX_STRING_BYTES",
            "TELEMETRY_MAX_STRING",
            rule=Integer(16),
            group=Group.BOUNDS,
            unit="bytes",
            help="Length of one text in a payload; a longer one is cut, with a marker.",
        ),
    )
    max_line_bytes: int = attrs.field(
        default=_LIMITS.max_line_bytes,
        metadata=setting(
            "TELEMETRY_MAX_LINE_BYTES",
            rule=Integer(4096),
            group=Group.BOUNDS,
            unit="bytes",
            help="Length of one record; a longer payload is replaced by a marker.",
        ),
    )
    scrub: bool = attrs.field(
        default=True,
        metadata=setting(
            "TELEMETRY_SCRUB",
            rule=Flag(),
            group=Group.SCRUBBING,
            safe=True,
            help="Replace secrets before they are written; `off` writes payloads as they are.",
        ),
    )
    scrub_keys: tuple[str, ...] = attrs.field(
        default=(),
        metadata=setting(
            "TELEMETRY_SCRUB_KEYS",
            rule=Names(),
            group=Group.SCRUBBING,
            help="More keys whose values are secret, beside the built-in ones.",
        ),
    )
    scrub_patterns: tuple[str, ...] = attrs.field(
        default=(),
        metadata=setting(
            "TELEMETRY_SCRUB_PATTERNS",
            rule=Patterns(),
            group=Group.SCRUBBING,
            help="More shapes of secrets, replaced wherever they stand in a text.",
        ),
    )
    scrub_allow: tuple[str, ...] = attrs.field(
        default=(),
        metadata=setting(
            "TELEMETRY_SCRUB_ALLOW",
            rule=Names(),
            group=Group.SCRUBBING,
            help="Keys that are never secret, whatever they are called.",
        ),
    )
    drain: str = attrs.field(
        default="auto",
        metadata=setting(
            "TELEMETRY_DRAIN",
            rule=Choice("auto", "external"),
            group=Group.DELIVERY,
            help="Who carries records from the journal to the sinks: `auto`, this process unless "
            "another does; `external`, always another, and this one starts no thread.",
        ),
    )
    batch_size: int = attrs.field(
        default=5000,
        metadata=setting(
            "TELEMETRY_BATCH_SIZE",
            rule=Integer(1, 100_000),
            group=Group.DELIVERY,
            unit="records",
            help="Records that a sink is handed at once, at the most.",
        ),
    )
    exit_timeout_s: float = attrs.field(
        default=2.0,
        metadata=setting(
            "TELEMETRY_EXIT_TIMEOUT_S",
            rule=Number(),
            group=Group.DELIVERY,
            unit="s",
            help="Time that the sinks may take at exit; what they do not get then, they get from "
            "the next process.",
        ),
    )
    heartbeat_s: float = attrs.field(
        default=60.0,
        metadata=setting(
            "TELEMETRY_HEARTBEAT_S",
            rule=Number(1),
            group=Group.LIVENESS,
            unit="s",
            help="How often a process with open runs says that it lives.",
        ),
    )
    stale_after_s: float = attrs.field(
        default=900.0,
        metadata=setting(
            "TELEMETRY_STALE_AFTER_S",
            rule=Number(2),
            group=Group.LIVENESS,
            unit="s",
            help="Silence after which a run of another host or base directory counts as dead. Of "
            "one's own a lock tells, never a clock; a run that was handed over whole, without "
            "heartbeats, stays open.",
        ),
    )
    plugins: tuple[str, ...] = attrs.field(
        default=(),
        metadata=setting(
            "TELEMETRY_PLUGINS",
            rule=Names(),
            group=Group.PLUGINS,
            default_text="all that are installed",
            help="The only plugins to load, by their entry points' names.",
        ),
    )
    plugins_disabled: tuple[str, ...] = attrs.field(
        default=(),
        metadata=setting(
            "TELEMETRY_PLUGINS_DISABLED",
            rule=Names(),
            group=Group.PLUGINS,
            help="Plugins that are not loaded, by their entry points' names.",
        ),
    )
    metrics_api_url: Optional[str] = attrs.field(
        default=None,
        metadata=setting(
            "METRICS_API_URL",
            rule=Url(),
            group=Group.POSTING,
            help="Remote endpoint that each finished run is posted to.",
        ),
    )
    metrics_api_token: Secret = attrs.field(
        default=Secret(),
        metadata=setting(
            "METRICS_API_TOKEN",
            rule=Password(),
            group=Group.POSTING,
            help="Bearer token for the remote endpoint; sent only there.",
        ),
    )
    metrics_api_enabled: bool = attrs.field(
        default=True,
        metadata=setting(
            "METRICS_API_ENABLED",
            rule=Flag(),
            group=Group.POSTING,
            safe=False,
            help="Whether finished runs are posted, once there is an endpoint.",
        ),
    )
    api_url: str = attrs.field(
        default="http://localhost:8765",
        metadata=setting(
            "TELEMETRY_API_URL",
            rule=Url(),
            group=Group.SERVICE,
            help="Where the dashboard and the command line find the service. Where it is set, "
            "every record is shipped there too.",
        ),
    )
    api_token: Secret = attrs.field(
        default=Secret(),
        metadata=setting(
            "TELEMETRY_API_TOKEN",
            "TELEMETRY_API_AUTH_TOKEN",
            rule=Password(),
            group=Group.SERVICE,
            help="Token that this process shows to the service.",
        ),
    )
    api_host: str = attrs.field(
        default="127.0.0.1",
        metadata=setting(
            "TELEMETRY_API_HOST",
            rule=Text(255),
            group=Group.SERVICE,
            help="Address the service listens on.",
        ),
    )
    api_port: int = attrs.field(
        default=8765,
        metadata=setting(
            "TELEMETRY_API_PORT",
            rule=Integer(0, 65535),
            group=Group.SERVICE,
            help="Port the service listens on; 0 takes a free one.",
        ),
    )
    api_auth_enabled: bool = attrs.field(
        default=False,
        metadata=setting(
            "TELEMETRY_API_AUTH_ENABLED",
            rule=Flag(),
            group=Group.SERVICE,
            safe=True,
            help="Whether the service asks for its token.",
        ),
    )
    api_auth_token: Secret = attrs.field(
        default=Secret(),
        metadata=setting(
            "TELEMETRY_API_AUTH_TOKEN",
            rule=Password(),
            group=Group.SERVICE,
            help="A token with every scope, beside those of `telemetry token`; once set, the "
            "service asks for a token.",
        ),
    )
    api_allow_unauthenticated: bool = attrs.field(
        default=False,
        metadata=setting(
            "TELEMETRY_API_ALLOW_UNAUTHENTICATED",
            rule=Flag(),
            group=Group.SERVICE,
            safe=False,
            help="Whether the service may listen beyond this machine without asking for tokens.",
        ),
    )
    api_allowed_hosts: tuple[str, ...] = attrs.field(
        default=(),
        metadata=setting(
            "TELEMETRY_API_ALLOWED_HOSTS",
            rule=Hosts(),
            group=Group.SERVICE,
            help="Names by which clients may address the service, beside its own address and "
            "those of this machine.",
        ),
    )
    api_allowed_origins: tuple[str, ...] = attrs.field(
        default=(),
        metadata=setting(
            "TELEMETRY_API_ALLOWED_ORIGINS",
            rule=Origins(),
            group=Group.SERVICE,
            help="Origins of web pages that may use the service, such as https://ops.example.",
        ),
    )
    api_max_body_bytes: int = attrs.field(
        default=16 << 20,
        metadata=setting(
            "TELEMETRY_API_MAX_BODY_BYTES",
            rule=Integer(1024),
            group=Group.SERVICE,
            unit="bytes",
            help="Largest body that the service takes, also after decompression.",
        ),
    )
    api_request_timeout_s: float = attrs.field(
        default=30.0,
        metadata=setting(
            "TELEMETRY_API_REQUEST_TIMEOUT_S",
            rule=Number(0.1),
            group=Group.SERVICE,
            unit="s",
            help="Time that one request may take, from its first byte to the answer.",
        ),
    )
    api_max_connections: int = attrs.field(
        default=1000,
        metadata=setting(
            "TELEMETRY_API_MAX_CONNECTIONS",
            rule=Integer(1),
            group=Group.SERVICE,
            unit="connections",
            help="Connections that the service keeps at once; one address gets three quarters.",
        ),
    )
    rate_limit_enabled: bool = attrs.field(
        default=False,
        metadata=setting(
            "TELEMETRY_RATE_LIMIT_ENABLED",
            rule=Flag(),
            group=Group.SERVICE,
            safe=True,
            help="Whether the service limits the requests of one client.",
        ),
    )
    rate_limit_rpm: int = attrs.field(
        default=60,
        metadata=setting(
            "TELEMETRY_RATE_LIMIT_RPM",
            rule=Integer(1),
            group=Group.SERVICE,
            unit="requests a minute",
            help="Requests that one client may make in a minute.",
        ),
    )
    log_level: str = attrs.field(
        default="WARNING",
        metadata=setting(
            "TELEMETRY_LOG_LEVEL",
            rule=Choice(*LOG_LEVELS),
            group=Group.LOGGING,
            help="Level of telemetry's own log, on standard error.",
        ),
    )
    service_log_level: str = attrs.field(
        default="INFO",
        metadata=setting(
            "TELEMETRY_LOG_LEVEL",
            "LOG_LEVEL",
            rule=Choice(*LOG_LEVELS),
            group=Group.LOGGING,
            help="Level of the service's log.",
        ),
    )
    access_log: str = attrs.field(
        default="problems",
        metadata=setting(
            "TELEMETRY_ACCESS_LOG",
            rule=Choice(*ACCESS_LOGS),
            group=Group.LOGGING,
            help="Which requests the service logs: problems, those that were refused, failed or "
            "slow; all, each of them by a line of level INFO.",
        ),
    )
    skip_validation: bool = attrs.field(
        default=False,
        metadata=setting(
            "TELEMETRY_SKIP_VALIDATION",
            rule=Flag(),
            group=Group.CHECKS,
            help="Whether a missing directory is a remark to `validate`, not an error.",
        ),
    )
    test_mode: Optional[str] = attrs.field(
        default=None,
        metadata=setting(
            "TELEMETRY_TEST_MODE",
            rule=Choice("mock", "live"),
            group=Group.CHECKS,
            help="Says what kind of test is running; changes nothing by itself.",
        ),
    )
