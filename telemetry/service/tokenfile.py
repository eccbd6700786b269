"""
Where tokens are kept: ``state/tokens.json``, for its owner alone, replaced as a whole.

The command line writes it, and a running service looks before each answer whether it is another
file by now: a token made or revoked counts from the next request on. When tokens were last used is
kept beside it, in ``state/tokens-used.json``, which only the service writes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable, Optional

import msgspec

from telemetry.model.errors import SettingsError
from telemetry.runtime.locks import RecordLock
from telemetry.runtime.notices import notice
from telemetry.service.tokens import Token
from telemetry.storage.appendfile import (
    create_exclusively,
    make_private_directory,
    open_to_read,
    sync_directory,
    sync_file,
)

TOKENS = "tokens.json"
LAST_USED = "tokens-used.json"
LOCK = "tokens.lock"
FORMAT_VERSION = 1
MAX_FILE_BYTES = 16 << 20
LOCK_TIMEOUT_S = 10.0
LOCK_RETRY_S = 0.02
WRITE_USE_EVERY_S = 60.0


class TokenList(msgspec.Struct, kw_only=True):
    """
    The content of the file.
    """

    format: int
    tokens: list[Token]


class TokenFile:
    """
    The tokens of a base directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / TOKENS
        self._lock = RecordLock(state_dir / LOCK)

    def load(self) -> list[Token]:
        """
        Return every token, also those that are no longer taken; none where there is no file.

        Raises:
            SettingsError: The file is damaged, or of a newer version.
            OSError: It cannot be read.
        """
        content = _read(self.path)
        if content is None:
            return []
        try:
            stored = msgspec.json.decode(content, type=TokenList)
            for token in stored.tokens:
                bytes.fromhex(token.salt)
        except (msgspec.MsgspecError, ValueError) as error:
            raise SettingsError(
                f"the token file {self.path} must be one that `telemetry token` wrote (it is "
                "damaged); restore it, or remove it and make the tokens anew",
                setting=TOKENS,
            ) from error
        if stored.format > FORMAT_VERSION:
            raise SettingsError(
                f"the token file {self.path} must have format {FORMAT_VERSION} or less "
                f"(got {stored.format}); use the newer telemetry that wrote it",
                setting=TOKENS,
            )
        return stored.tokens

    def add(self, token: Token) -> int:
        """
        Keep one more token, and return how many there were.

        Raises:
            SettingsError: The file is damaged, or of a newer version.
            OSError: It cannot be read or written; what it held stands.
        """
        with self._alone():
            tokens = self.load()
            self._replace([*tokens, token])
            return len(tokens)

    def change(self, token_id: str, change: Callable[[Token], Token]) -> Optional[Token]:
        """
        Replace a token by what a function makes of it, and return that; None if there is none.

        Raises:
            SettingsError: The file is damaged, or of a newer version.
            OSError: It cannot be read or written; what it held stands.
        """
        with self._alone():
            tokens = {token.id: token for token in self.load()}
            if token_id not in tokens:
                return None
            changed = tokens[token_id] = change(tokens[token_id])
            self._replace(list(tokens.values()))
            return changed

    def remove(self, token_id: str) -> None:
        """
        Forget a token that nobody has seen, as if it had not been made.

        Raises:
            SettingsError: The file is damaged, or of a newer version.
            OSError: It cannot be read or written; what it held stands.
        """
        with self._alone():
            tokens = {token.id: token for token in self.load()}
            tokens.pop(token_id, None)
            self._replace(list(tokens.values()))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """
        Keep other commands from writing meanwhile.
        """
        make_private_directory(self.path.parent)
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while not self._lock.try_acquire():
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    f"the token file {self.path} must be free to be written (another command "
                    f"has held it for {LOCK_TIMEOUT_S:g} s); try again"
                )
            time.sleep(LOCK_RETRY_S)
        try:
            yield
        finally:
            self._lock.release()

    def _replace(self, tokens: Sequence[Token]) -> None:
        stored = TokenList(format=FORMAT_VERSION, tokens=list(tokens))
        _write(self.path, msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n")


class LastUsed:
    """
    When each token was last used: noted in memory, written now and then.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / LAST_USED
        self._times: dict[str, float] = {}
        self._is_changed = False
        self._write_at = 0.0

    def note(self, token_id: str, now: float) -> None:
        """
        Note that a token is used now, a Unix time.
        """
        self._times[token_id] = now
        self._is_changed = True
        if now >= self._write_at:
            self._write_at = now + WRITE_USE_EVERY_S
            self.write()

    def write(self) -> None:
        """
        Write what was noted since the last time; a file that cannot be written is a notice.
        """
        if not self._is_changed:
            return
        self._is_changed = False
        try:
            self._times = {**self.load(), **self._times}
            _write(self.path, msgspec.json.encode(self._times), is_synced=False)
        except OSError as error:
            notice("tokens-used", f"the file {self.path} must be writable ({error.strerror})")

    def load(self) -> Mapping[str, float]:
        """
        Return the Unix times that are written; none where the file is missing or damaged.
        """
        try:
            content = _read(self.path)
            return msgspec.json.decode(content or b"{}", type=dict[str, float])
        except (OSError, msgspec.MsgspecError):
            return {}


def _read(path: Path) -> Optional[bytes]:
    """
    Return a file's content, not through a link; None where there is no file.
    """
    try:
        fd = open_to_read(path)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def _write(path: Path, content: bytes, *, is_synced: bool = True) -> None:
    """
    Put a new file in the place of another: whoever reads finds one of the two whole.

    Args:
        is_synced: Whether it survives a power cut, which takes milliseconds.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    create_exclusively(scratch, content)
    try:
        if is_synced:
            sync_file(scratch)
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
    if is_synced:
        sync_directory(path.parent)
