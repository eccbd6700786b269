"""
Where the service is, and what is shown to it.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Optional, Union
from urllib.parse import urlsplit

import attrs
import httpx

from telemetry.config import TelemetryConfig
from telemetry.config.rules import Password, Url, masked_url
from telemetry.config.secret import Secret
from telemetry.model.errors import SettingsError

URL_VARIABLE = "TELEMETRY_API_URL"
TOKEN_VARIABLE = "TELEMETRY_API_TOKEN"  # noqa: S105 (a name)
MAX_CONNECTIONS = 100
#: Below the five seconds after which servers commonly close an idle connection.
KEEP_IDLE_S = 3.0
CONNECT_TIMEOUT_S = 5.0


@attrs.frozen(kw_only=True)
class Target:
    """
    An address and a token, both usable.
    """

    url: str
    token: Secret

    @property
    def shown(self) -> str:
        """
        Return the address as a person may see it.
        """
        return masked_url(self.url)

    @property
    def is_this_machine(self) -> bool:
        """
        Return whether the address is a loopback one.
        """
        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False

    def options(self, timeout_s: float) -> dict[str, Any]:
        """
        Return what both of httpx's clients are made with.

        A proxy of the environment is used, but never for this machine. Redirects are not followed:
        the token is for this address alone.
        """
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        is_plain = self.is_this_machine and self.url.startswith("http:")
        return {
            "headers": headers,
            # Without TLS, loading the authorities' certificates would be most of a call's time.
            "verify": not is_plain,
            "follow_redirects": False,
            "trust_env": not self.is_this_machine,
            "timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
            "limits": httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_IDLE_S),
        }


def target(url: Optional[str], token: Union[str, Secret, None]) -> Target:
    """
    Return where to ask; what is not given comes from the settings.

    Raises:
        SettingsError: The address or the token cannot be used.
    """
    if url is None or token is None:
        config = TelemetryConfig.from_env()
        url = _from_settings(config) if url is None else url
        token = config.api_token if token is None else token
    return Target(url=_checked_url(url), token=_checked_token(token))


def _from_settings(config: TelemetryConfig) -> str:
    # Another service than the one that was meant is worse than none.
    for problem in config.problems:
        if problem.startswith(URL_VARIABLE):
            raise SettingsError(problem, setting="api_url")
    return config.api_url


def _checked_url(url: str) -> str:
    try:
        good = Url().parse(url)
    except ValueError:
        raise SettingsError(
            f"url must be {Url.text} (got {masked_url(str(url))!r}); such as http://localhost:8765",
            setting="api_url",
        ) from None
    parts = urlsplit(good)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError(
            f"url must be an address alone (got {masked_url(good)!r}); give the token as token or"
            f" in {TOKEN_VARIABLE}, and no query",
            setting="api_url",
        )
    return good


def _checked_token(token: Union[str, Secret]) -> Secret:
    try:
        return Password().parse(token.strip() if isinstance(token, str) else token)
    except ValueError:
        raise SettingsError(
            f"token must be {Password.text} (it is not shown here); copy it again as"
            " `telemetry token create` printed it",
            setting="api_token",
        ) from None
