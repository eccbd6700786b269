"""
Who asks, and what that one may do.

Every route stands in one table, with the scope that it needs and the size of body that it takes. A
route that is not in it is closed to all but the highest scope.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple, Optional

from telemetry.model.errors import SettingsError
from telemetry.runtime.notices import notice
from telemetry.service.problems import FieldError, Problem, unavailable
from telemetry.service.tokenfile import LastUsed, TokenFile
from telemetry.service.tokens import Scope, Token, TokenState, split

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.config import TelemetryConfig

#: Longer texts in the header are no token of ours, and are not looked at.
MAX_AUTHORIZATION_BYTES = 4096
CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Access(NamedTuple):
    """
    What a route asks of a request.
    """

    #: None where anybody may ask, whatever the settings.
    scope: Optional[str]
    #: Whether the body may hold many runs or records.
    takes_many: bool = False


_OPEN = Access(None)
_READ = Access(Scope.READ.value)
_INGEST = Access(Scope.INGEST.value)
_INGEST_MANY = Access(Scope.INGEST.value, takes_many=True)
_EDIT = Access(Scope.EDIT.value)
#: What the framework answers where no route is: 404, 405 or a redirection.
_NO_ROUTE = Access(Scope.ADMIN.value)

#: Every route, by method and path.
ROUTES: Mapping[tuple[str, str], Access] = {
    ("GET", "/health"): _OPEN,
    ("GET", "/healthz"): _OPEN,
    ("GET", "/readyz"): _OPEN,
    ("GET", "/metrics"): _READ,
    ("GET", "/openapi.json"): _READ,
    ("GET", "/docs"): _READ,
    ("GET", "/redoc"): _READ,
    ("POST", "/api/v1/runs"): _INGEST,
    ("POST", "/api/v1/runs/batch"): _INGEST_MANY,
    ("POST", "/api/v1/records"): _INGEST_MANY,
    ("GET", "/api/v1/runs"): _READ,
    ("GET", "/api/v1/runs/{event_id}"): _READ,
    ("PATCH", "/api/v1/runs/{event_id}"): _EDIT,
    ("DELETE", "/api/v1/runs/{event_id}"): _EDIT,
    ("POST", "/api/v1/runs/{event_id}/associate-commit"): _INGEST,
    ("GET", "/api/v1/runs/{event_id}/events"): _READ,
    ("GET", "/api/v1/runs/{event_id}/history"): _READ,
    ("GET", "/api/v1/runs/{event_id}/children"): _READ,
    ("GET", "/api/v1/runs/{event_id}/commit-url"): _READ,
    ("GET", "/api/v1/runs/{event_id}/repo-url"): _READ,
    ("GET", "/api/v1/metadata"): _READ,
    ("GET", "/api/v1/stats"): _READ,
    ("GET", "/api/v1/stats/{name}"): _READ,
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class _Pattern(NamedTuple):
    before: str
    after: str
    access: Access


def _patterns() -> Mapping[str, tuple[_Pattern, ...]]:
    by_method: dict[str, list[_Pattern]] = {}
    for (method, path), access in ROUTES.items():
        before, brace, rest = path.partition("{")
        if brace:
            pattern = _Pattern(before, rest.partition("}")[2], access)
            by_method.setdefault(method, []).append(pattern)
    return {method: tuple(patterns) for method, patterns in by_method.items()}


_PATTERNS = _patterns()


def access_of(method: str, path: str) -> Access:
    """
    Return what the route of a request asks for; the highest scope where there is no such route.
    """
    if method == "HEAD":
        method = "GET"
    access = ROUTES.get((method, path))
    if access is not None:
        return access
    for before, after, found in _PATTERNS.get(method, ()):
        if path.startswith(before) and path.endswith(after):
            value = path[len(before) : len(path) - len(after)]
            if value and "/" not in value:
                return found
    return _READ if method in _SAFE else _NO_ROUTE


_ADMIN = Scope.ADMIN.value


class Principal(NamedTuple):
    """
    Who asks.
    """

    token_id: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """
        Return whether this one may use a route of a scope; `admin` includes every other.
        """
        return scope in self.scopes or _ADMIN in self.scopes


ALL_SCOPES = frozenset(scope.value for scope in Scope)
#: Everybody, where no token is asked for.
ANONYMOUS = Principal("anonymous", ALL_SCOPES)
#: Whoever shows TELEMETRY_API_AUTH_TOKEN.
ENVIRONMENT = Principal("environment", ALL_SCOPES)


#: The mark of a file that must be read, whatever it is.
_NOT_READ = "not read"


class Tokens:
    """
    The tokens as they are now: read again whenever the file is another one.

    Once there was a token, one is asked for until the process ends: a file that has gone or is
    damaged closes the service, it never opens it. One that cannot be read now is tried again with
    the next request, and until then nobody is let in.
    """

    def __init__(self, state_dir: Path) -> None:
        self.file = TokenFile(state_dir)
        self.known: dict[bytes, Token] = {}
        self.is_unreadable = False
        self._path = os.fspath(self.file.path)
        self._has_had_some = False
        self._mark: object = _NOT_READ

    def look(self) -> None:
        """
        Take note of tokens made or revoked since the last time; costs one look at the directory.
        """
        if self._mark is None and not os.access(self._path, os.F_OK):
            return  # there never was a file, which is told without an exception
        try:
            status = os.stat(self._path)  # noqa: PTH116 (once per request: Path costs as much again)
            mark: object = (status.st_mtime_ns, status.st_ino, status.st_size)
        except FileNotFoundError:
            mark = None
        except OSError as error:
            mark = error.errno
        if mark != self._mark:
            self._mark = mark
            self._read()

    @property
    def is_asked_for(self) -> bool:
        """
        Return whether nobody is let in without a token.
        """
        return self._has_had_some or self.is_unreadable

    def _read(self) -> None:
        self.known, self.is_unreadable = {}, False
        try:
            self.known = {token.id.encode(): token for token in self.file.load()}
        except OSError as error:
            self.is_unreadable, self._mark = True, _NOT_READ
            notice("tokens", f"{error}; until then no token of that file is taken")
        except SettingsError as error:
            self._has_had_some = True
            notice("tokens", f"{error}; until then no token of that file is taken")
        self._has_had_some = self._has_had_some or bool(self.known)


class Authenticator:
    """
    Tells who sends a request.
    """

    def __init__(self, config: TelemetryConfig) -> None:
        self.tokens = Tokens(config.state_dir)
        self.last_used = LastUsed(config.state_dir)
        is_wanted = config.api_auth_enabled or bool(_unusable_token(config))
        self._is_always_on = is_wanted or bool(config.api_auth_token)
        secret = config.api_auth_token.reveal().encode("utf-8", "surrogateescape")
        self._environment = hashlib.sha256(secret).digest() if secret else None

    def is_on(self) -> bool:
        """
        Return whether a token is asked for now.
        """
        self.tokens.look()
        return self._is_always_on or self.tokens.is_asked_for

    def identify(self, header: Optional[bytes]) -> Principal:
        """
        Return who shows what stands in the Authorization header.

        Raises:
            Problem: 401; it is missing, malformed, or no token that is taken now. 503 where it
                cannot be told now.
        """
        if not header:
            raise self._refusal(
                "must be sent", "the service asks for a token; send it as a bearer token"
            )
        scheme, _, text = header.partition(b" ")
        if len(header) > MAX_AUTHORIZATION_BYTES or scheme.lower() != b"bearer":
            rule = "must be `Bearer` and a token"
            raise self._refusal(rule, f"the Authorization header {rule}")
        principal = self._holder(text.strip(b" "))
        if principal is None:
            rule = "must be one that is known, not expired and not revoked"
            raise self._refusal(rule, f"the token {rule}")
        return principal

    def _refusal(self, rule: str, detail: str) -> Problem:
        if self.tokens.is_unreadable:
            return unavailable("tokens-unreadable", "the service cannot read its tokens now")
        return _unauthorized(rule, detail)

    def _holder(self, text: bytes) -> Optional[Principal]:
        parts = split(text)
        token = self.tokens.known.get(parts[0]) if parts else None
        if token is not None and parts is not None and token.matches(parts[1]):
            return self._principal(token)
        shown = hashlib.sha256(text).digest()
        if self._environment is not None and hmac.compare_digest(shown, self._environment):
            return ENVIRONMENT
        return None

    def _principal(self, token: Token) -> Optional[Principal]:
        now = time.time()
        if token.state(datetime.fromtimestamp(now, timezone.utc)) is not TokenState.ACTIVE:
            return None
        self.last_used.note(token.id, now)
        return Principal(token.id, frozenset(token.scopes))


def require(principal: Principal, scope: str) -> None:
    """
    Refuse one who may not use a route.

    Raises:
        Problem: 403; the token lacks the scope.
    """
    if not principal.may(scope):
        has = _words(principal.scopes)
        raise Problem(
            "missing-scope",
            403,
            "The token may not be used for this",
            f"the token needs the scope {scope} (it has {has}); use another token",
            errors=[
                FieldError(
                    loc=("header", "Authorization"),
                    rule=f"must be a token with the scope {scope}",
                    value=has,
                    way_out="use another token",
                )
            ],
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


def check_start(config: TelemetryConfig, *, is_loopback: bool) -> None:
    """
    Refuse to start a service that would be open to others, or that nobody could use.

    Args:
        is_loopback: Whether only this machine reaches the address.

    Raises:
        SettingsError: Says what to do.
    """
    unusable = _unusable_token(config)
    if unusable:
        raise SettingsError(unusable, setting="api_auth_token")
    stored = TokenFile(config.state_dir).load()
    has_token = bool(config.api_auth_token) or bool(stored)
    if config.api_auth_enabled and not has_token:
        raise SettingsError(
            "TELEMETRY_API_AUTH_ENABLED needs a token (there is none); make one with `telemetry "
            "token create`, or set TELEMETRY_API_AUTH_TOKEN",
            setting="api_auth_enabled",
        )
    if not is_loopback and not has_token and not config.api_allow_unauthenticated:
        raise SettingsError(
            "TELEMETRY_API_HOST must be an address of this machine alone while the service asks "
            f"for no token (got {config.api_host!r}); make one with `telemetry token create`, set "
            "TELEMETRY_API_AUTH_TOKEN, or say --allow-unauthenticated",
            setting="api_host",
        )


def _unusable_token(config: TelemetryConfig) -> str:
    """
    Return what is wrong with the token of the environment; whoever set one wants to be protected.
    """
    begins = "TELEMETRY_API_AUTH_TOKEN "
    return next((problem for problem in config.problems if problem.startswith(begins)), "")


def _unauthorized(rule: str, detail: str) -> Problem:
    error = FieldError(
        loc=("header", "Authorization"),
        rule=rule,
        value="…",
        way_out="`telemetry token create` makes one",
    )
    return Problem(
        "unauthorized", 401, "A token is needed", detail, errors=[error], headers=CHALLENGE
    )


def _words(scopes: frozenset[str]) -> str:
    return ", ".join(sorted(scopes)) or "none"
