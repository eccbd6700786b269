from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from telemetry.api import TelemetryAPI
from telemetry.model.errors import SettingsError


def test_settings_say_where(kind, service, httpserver, monkeypatch):
    """
    Without arguments, address and token come from the environment.
    """
    monkeypatch.setenv("TELEMETRY_API_URL", httpserver.url_for("/beneath/"))
    monkeypatch.setenv("TELEMETRY_API_TOKEN", "from-env")
    service.say({"status": "ok"})

    with kind() as api:
        assert api.health().is_ok

    assert service.seen[0].path == "/beneath/health"
    assert service.seen[0].headers["Authorization"] == "Bearer from-env"


def test_arguments_win(kind, service, httpserver, monkeypatch):
    """
    What is given wins over the environment; an empty token is none.
    """
    monkeypatch.setenv("TELEMETRY_API_URL", "http://elsewhere.example")
    monkeypatch.setenv("TELEMETRY_API_TOKEN", "from-env")
    service.say({"status": "ok"})

    with kind(httpserver.url_for(""), "") as api:
        api.health()

    assert "Authorization" not in service.seen[0].headers


def test_a_setting_that_cannot_be_used_is_an_error(kind, monkeypatch):
    """
    An address that was meant and cannot be used is not replaced by another.
    """
    monkeypatch.setenv("TELEMETRY_API_URL", "localhost:8765")

    with pytest.raises(SettingsError, match="TELEMETRY_API_URL must be a URL"):
        TelemetryAPI()


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8765",
        "ftp://x",
        "http://",
        "http://u:secret@h",
        "http://h/?q=secret",
        "http://h:1x",
    ],
)
def test_addresses_are_checked(url):
    """
    What is no plain address is refused, and nothing in it that may be a secret is shown.
    """
    with pytest.raises(SettingsError, match="url must be") as caught:
        TelemetryAPI(url, "")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "l\nf", "ümlaut", "a\x00b"])
def test_tokens_are_checked(token):
    """
    A token that no header can hold is refused without being shown.
    """
    with pytest.raises(SettingsError, match="token must be") as caught:
        TelemetryAPI("http://localhost", token)

    assert token not in str(caught.value)


def test_the_token_is_not_shown():
    """
    Neither the client's text nor its address holds the token.
    """
    with TelemetryAPI("http://localhost:8765", "the-secret") as api:
        assert repr(api) == "TelemetryAPI('http://localhost:8765')"
        assert "the-secret" not in repr(vars(api))


@pytest.mark.parametrize(
    ("option", "value"), [("timeout_s", 0), ("timeout_s", float("nan")), ("retries", -1)]
)
def test_numbers_are_checked(option, value):
    """
    A time or a count that cannot be meant is refused.
    """
    with pytest.raises(ValueError, match=option):
        TelemetryAPI("http://localhost", "", **{option: value})


@pytest.mark.parametrize("option", [{"limit": -1}, {"page_size": 0}, {"page_size": 1001}])
def test_sizes_of_lists_are_checked_at_once(option):
    """
    A list that cannot be meant is refused before it is iterated.
    """
    with TelemetryAPI("http://localhost", "") as api, pytest.raises(ValueError, match="must be"):
        api.runs(**option)


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.3.2.1", "http://[::1]:2", "http://a.localhost"]
)
def test_proxies_are_for_elsewhere(url):
    """
    This machine is asked directly, whatever proxy the environment names.
    """
    with TelemetryAPI(url, "") as api:
        assert api.options()["trust_env"] is False
    with TelemetryAPI("http://telemetry.example", "") as api:
        assert api.options()["trust_env"] is True


def test_a_proxy_is_not_asked_for_this_machine(kind, service, httpserver, monkeypatch):
    """
    A call to a loopback address arrives, although the environment names a proxy that is not there.
    """
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    service.say({"status": "ok"})

    with kind(httpserver.url_for(""), "") as api:
        assert api.health().is_ok


def test_threads_share_a_client(service, httpserver):
    """
    One client serves many threads at once.
    """
    service.say({"status": "ok"})
    found = []

    with TelemetryAPI(httpserver.url_for(""), "") as api:
        threads = [
            threading.Thread(target=lambda: found.extend(api.health().status for _ in range(10)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == ["ok"] * 80


def test_the_library_does_not_load_it():
    """
    Neither recording nor the command line loads an HTTP client before it is asked to.
    """
    program = (
        "import sys, telemetry.client, telemetry.cli.main, telemetry.cli.runs, telemetry.cli.show\n"
        "print(sorted({'httpx', 'telemetry.api'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"
