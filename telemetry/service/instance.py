"""
One service for each base directory.

The lock ends with its process, however it ends. Who holds it stands in a file beside it: closing
any descriptor of a locked file would give the lock up.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Callable, Optional

import msgspec

from telemetry.model.errors import TelemetryError
from telemetry.runtime.locks import RecordLock
from telemetry.storage.appendfile import create_exclusively, make_private_directory
from telemetry.storage.baseid import SERVICE_LOCK

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = "service.json"
RETRY_S = 0.1


class ServiceRunningError(TelemetryError, RuntimeError):
    """
    Another process is the service of this base directory.
    """


class Holder(msgspec.Struct, kw_only=True):
    """
    Who is the service, and where it listens.
    """

    pid: int
    host: str
    address: str
    since: str


class Instance:
    """
    This process's claim to be the service of a base directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir
        self._lock = RecordLock(state_dir / SERVICE_LOCK)

    def claim(self, *, wait: bool, is_over: Callable[[], bool]) -> bool:
        """
        Become the service; False if the wait for it was ended.

        Args:
            wait: Wait until whoever holds it has ended.
            is_over: Says whether to wait no longer.

        Raises:
            ServiceRunningError: Another process is, and nobody wants to wait.
            OSError: The lock cannot be made.
        """
        make_private_directory(self._directory)
        while not self._lock.try_acquire():
            if not wait:
                raise ServiceRunningError(
                    f"the base directory {self._directory.parent} must have one service (it has "
                    f"{self.describe()}); use that one, stop it, or wait for its end with --wait"
                )
            if is_over():
                return False
            time.sleep(RETRY_S)
        return True

    def describe(self) -> str:
        """
        Return who holds it, in words.
        """
        holder = self.holder()
        if holder is None:
            return "one that has just begun"
        return (
            f"process {holder.pid} on {holder.host} at http://{holder.address} since {holder.since}"
        )

    def holder(self) -> Optional[Holder]:
        """
        Return who holds it, as that one wrote; None where nobody did.
        """
        try:
            return msgspec.json.decode((self._directory / HOLDER).read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError, UnicodeError):
            return None

    def announce(self, address: str) -> None:
        """
        Write where this process listens.
        """
        holder = Holder(
            pid=os.getpid(),
            host=socket.gethostname(),
            address=address,
            since=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        path = self._directory / HOLDER
        scratch = path.with_name(f".{HOLDER}.{secrets.token_hex(4)}")
        create_exclusively(scratch, msgspec.json.encode(holder) + b"\n")
        scratch.replace(path)

    def release(self) -> None:
        """
        Be the service no longer.
        """
        if self._lock.held:
            with contextlib.suppress(OSError):
                (self._directory / HOLDER).unlink()
            self._lock.release()
