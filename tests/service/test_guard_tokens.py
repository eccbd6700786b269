"""
``telemetry token`` and where tokens are kept.
"""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from telemetry.cli.main import invoke
from telemetry.cli.token import SCOPES
from telemetry.model.errors import SettingsError
from telemetry.model.scrub import Scrubber
from telemetry.service import tokenfile
from telemetry.service.tokenfile import LastUsed, TokenFile
from telemetry.service.tokens import Scope, TokenState, mint, split

NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
TIMEOUT_S = 60


def make(name="ci", scopes=(Scope.READ,), expires=None):
    return mint(name, scopes, created=NOW, expires=expires)


class Done(NamedTuple):
    """
    How a command ended, and what it wrote.
    """

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def telemetry(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TELEMETRY_BASE_DIR", str(tmp_path / "base"))

    def run(*args):
        code = invoke(list(args))
        return Done(code, *capsys.readouterr())

    return run


def test_a_token_knows_its_secret_and_no_other():
    """
    The secret in the shown text matches; any other, also a part of it, does not.
    """
    token, shown = make()
    token_id, secret = split(shown.reveal().encode())

    assert token_id.decode() == token.id
    assert token.matches(secret)
    assert not any(map(token.matches, (b"", secret[:-1], secret + b"0", b"\xff" * 64, b"x" * 99)))


def test_what_is_stored_has_no_secret():
    """
    Neither the stored form nor any representation holds the secret.
    """
    token, shown = make()
    secret = shown.reveal().rpartition("_")[2]

    assert len(secret) * 4 == 256
    assert all(secret not in text for text in (repr(token), str(shown), repr(shown), f"{shown}"))


def test_the_shown_text_is_scrubbed_wherever_it_stands():
    """
    A token that an agent logs by mistake does not reach the journal; its public id may.
    """
    token, shown = make()
    scrubbed = Scrubber().scrub_text(f"curl -H 'X: {shown.reveal()}' of tlm_{token.id}")

    assert shown.reveal().rpartition("_")[2] not in scrubbed
    assert "[scrubbed:telemetry]" in scrubbed
    assert f"of tlm_{token.id}" in scrubbed


@pytest.mark.parametrize(
    ("expires", "revoked", "state"),
    [
        (None, None, TokenState.ACTIVE),
        (NOW + timedelta(seconds=1), None, TokenState.ACTIVE),
        (NOW, None, TokenState.EXPIRED),
        (None, NOW, TokenState.REVOKED),
        (NOW, NOW, TokenState.REVOKED),
    ],
)
def test_a_token_ends_when_it_says(expires, revoked, state):
    """
    A token is taken until the moment that it ends, and never after it was revoked.
    """
    import msgspec

    token = msgspec.structs.replace(make(expires=expires)[0], revoked=revoked)

    assert token.state(NOW) is state


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path):
    """
    The file has mode 0600 and its directory 0700 under any umask, and nothing else is left there.
    """
    for umask in (0, 0o077):
        state = tmp_path / f"{umask:o}" / "state"
        before = os.umask(umask)
        try:
            TokenFile(state).add(make()[0])
        finally:
            os.umask(before)

        assert sorted(path.name for path in state.iterdir()) == ["tokens.json", "tokens.lock"]
        assert stat.S_IMODE((state / "tokens.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_link_in_the_files_place_is_not_followed(tmp_path):
    """
    A planted link is an error to read, and replaced when written; what it leads to is untouched.
    """
    other = tmp_path / "other.json"
    other.write_text('{"format": 1, "tokens": []}')
    (tmp_path / "state").mkdir(0o700)
    (tmp_path / "state" / "tokens.json").symlink_to(other)

    with pytest.raises(OSError, match=r"symbolic|regular"):
        TokenFile(tmp_path / "state").load()
    with pytest.raises(OSError, match=r"symbolic|regular"):
        TokenFile(tmp_path / "state").add(make()[0])
    assert json.loads(other.read_text()) == {"format": 1, "tokens": []}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b'{"format": 2, "tokens": []}',
        b'{"format": 1, "tokens": [{"id": "a"}]}',
        b'{"format": 1, "tokens": [{"id":"a","name":"a","scopes":[],"salt":"x","sha256":"","created":"2026-11-22T00:00:00Z"}]}',
        b'{"format": 1, "tokens": [{"id":"a","name":"a","scopes":[],"salt":"","sha256":"","created":"2026-11-22T00:00:00"}]}',
    ],
)
def test_a_damaged_file_is_an_error_and_stays(tmp_path, content):
    """
    A file that is damaged or newer is never overwritten, and the error shows none of it.
    """
    path = tmp_path / "tokens.json"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=r"tokens\.json"):
        TokenFile(tmp_path).add(make()[0])
    assert path.read_bytes() == content


def test_commands_at_once_lose_nothing(tmp_path):
    """
    Tokens made by many at the same time are all kept.
    """
    made = [make(str(i))[0] for i in range(12)]
    threads = [threading.Thread(target=TokenFile(tmp_path).add, args=(token,)) for token in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)

    assert {token.id for token in TokenFile(tmp_path).load()} == {token.id for token in made}


def test_a_held_lock_is_said(tmp_path, monkeypatch):
    """
    A command that cannot get at the file in time says so.
    """
    monkeypatch.setattr(tokenfile, "LOCK_TIMEOUT_S", 0.05)
    file = TokenFile(tmp_path)
    with file._alone(), pytest.raises(TimeoutError, match="must be free"):
        TokenFile(tmp_path).add(make()[0])


def test_last_use_is_written_now_and_then(tmp_path):
    """
    The first use is written at once, later ones after a minute or when asked; others' are kept.
    """
    (tmp_path / "tokens-used.json").write_text('{"old": 5.0}')
    used = LastUsed(tmp_path)
    used.note("a", 1000.0)
    used.note("a", 1001.0)
    first = LastUsed(tmp_path).load()
    used.write()

    assert first == {"old": 5.0, "a": 1000.0}
    assert LastUsed(tmp_path).load() == {"old": 5.0, "a": 1001.0}


def test_last_use_that_cannot_be_kept_harms_nothing(tmp_path):
    """
    A damaged file is begun anew, and one that cannot be written is a notice.
    """
    (tmp_path / "tokens-used.json").write_text("[")
    LastUsed(tmp_path).note("a", 1000.0)
    LastUsed(tmp_path / "missing").note("a", 1000.0)

    assert LastUsed(tmp_path).load() == {"a": 1000.0}


def test_the_command_knows_every_scope():
    """
    ``--scope`` offers what the service knows.
    """
    assert list(SCOPES) == [scope.value for scope in Scope]


def test_create_shows_the_secret_once_on_standard_output(telemetry, tmp_path):
    """
    Standard output holds the token alone; nothing else that is written or said holds it.
    """
    done = telemetry("token", "create", "ci runner", "--scope", "ingest", "--expires", "90d")
    shown = done.stdout.strip()
    listed = telemetry("token", "list")
    kept = b"".join(path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file())

    assert done.returncode == 0
    assert shown.startswith("tlm_")
    assert done.stdout == f"{shown}\n"
    secret = shown.rpartition("_")[2]
    assert secret not in done.stderr + listed.stdout + listed.stderr
    assert secret.encode() not in kept
    assert "ci runner" in listed.stdout
    assert "asks every client for a token from now on" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("redirection", "code", "words"),
    [
        (">/dev/full", 4, "standard output must take the answer"),
        (">&-", 2, "standard output must be open to show the token on"),
        ("", 141, "is taken back, for nobody has seen it"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_token_that_cannot_be_shown_is_not_made(telemetry, form, redirection, code, words):
    """
    On a full disk, into a closed output and for a reader that has gone; what was there stays.
    """
    telemetry("token", "create", "seen", "--scope", "read")
    line = [sys.executable, "-m", "telemetry", "token", "create", "b", "--scope", "read", *form]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *line],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(writer)
    listed = json.loads(telemetry("token", "list", "--json").stdout)["tokens"]

    assert done.returncode == code
    assert words in done.stderr
    assert [token["name"] for token in listed] == ["seen"]


def test_a_token_that_cannot_be_taken_back_is_named(telemetry, tmp_path, monkeypatch):
    """
    Then it is said how to revoke it.
    """

    class Gone(io.RawIOBase):
        """
        An output without a reader, while another hand damages the tokens.
        """

        def writable(self):
            return True

        def write(self, data):
            (tmp_path / "base" / "state" / "tokens.json").write_text("[]")
            raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(Gone(), write_through=True))
        done = telemetry("token", "create", "a", "--scope", "read")
        sys.stdout.detach()

    assert done.returncode == 141
    assert "which nobody has seen, must be taken back (the token file" in done.stderr
    assert "; run telemetry token revoke " in done.stderr


def test_create_list_and_revoke_speak_json(telemetry):
    """
    ``--json`` gives documents, and a revoked token stays in the list as what it is.
    """
    made = json.loads(
        telemetry("token", "create", "a", "--scope", "read", "--scope", "edit", "--json").stdout
    )
    revoked = telemetry("token", "revoke", made["id"], "--json")
    (listed,) = json.loads(telemetry("--json", "token", "list").stdout)["tokens"]

    assert made.pop("token").startswith(f"tlm_{made['id']}_")
    assert (made["scopes"], made["state"], made["expires"]) == (["edit", "read"], "active", None)
    assert revoked.returncode == 0
    assert listed == json.loads(revoked.stdout)
    assert listed == {**made, "state": "revoked", "revoked": listed["revoked"]}


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["create", "a"], 2, "--scope"),
        (["create", "a", "--scope", "root"], 2, "root"),
        (["create", " ", "--scope", "read"], 2, "1 to 100 printable"),
        (["create", "a\x1b", "--scope", "read"], 2, "1 to 100 printable"),
        (["create", "a", "--scope", "read", "--expires", "2020-01-01"], 2, "must lie ahead"),
        (["create", "a", "--scope", "read", "--expires", "0d"], 2, "must lie ahead"),
        (["create", "a", "--scope", "read", "--expires", "99999999999w"], 2, "must lie ahead"),
        (["create", "a", "--scope", "read", "--expires", "soon"], 2, "must lie ahead"),
        (["revoke", "tlm_000000000000_5ecret"], 3, "must be one of"),
    ],
)
def test_what_is_not_understood_has_its_exit_code(telemetry, args, code, words):
    """
    Misuse is 2, an unknown id 3, in one line; nothing is made, and no secret is repeated.
    """
    done = telemetry("token", *args)

    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "5ecret" not in done.stderr
    assert json.loads(telemetry("token", "list", "--json").stdout) == {"tokens": []}


def test_a_damaged_file_is_said_by_the_command(telemetry, tmp_path):
    """
    A damaged token file ends the command with 2.
    """
    (tmp_path / "base" / "state").mkdir(parents=True)
    (tmp_path / "base" / "state" / "tokens.json").write_text("[]")
    done = telemetry("token", "list")

    assert done.returncode == 2
    assert "damaged" in done.stderr
