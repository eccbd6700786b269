"""
The one file a journal has open: which one it is, and whether it still is that one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional

from telemetry.storage.appendfile import Identity, identity_of, is_torn, sync_data, take_place

if TYPE_CHECKING:
    from pathlib import Path


class OpenFile:
    """
    A file open for appending, and what was known of it when it was last looked at.

    Whoever else closes the descriptor, and whatever file of the user's then gets its number, that
    file is neither closed nor replaced.
    """

    def __init__(self) -> None:
        self.fd = -1
        self.path: Optional[Path] = None
        self.identity = Identity(-1, -1)
        self.is_torn = False
        self._size = 0
        self._synced_size = 0

    def adopt(self, path: Path, new: int) -> None:
        """
        Make a newly opened file this one, under the old one's number if that is still ours.
        """
        status = os.fstat(new)
        keeps_number = new != self.fd and self.holds_its_file()
        self.fd = take_place(new, self.fd) if keeps_number else new
        self.path, self.identity = path, identity_of(status)
        self.is_torn = is_torn(path, status.st_size)
        self._size = status.st_size
        self._synced_size = 0

    def holds_its_file(self) -> bool:
        """
        Return whether the descriptor still leads to the file that was opened.
        """
        try:
            return self.fd >= 0 and identity_of(os.fstat(self.fd)) == self.identity
        except OSError:
            return False

    def is_in_place(self) -> bool:
        """
        Return whether descriptor and path both still lead to the file that was opened.
        """
        if self.path is None:
            return False
        try:
            return self.holds_its_file() and identity_of(self.path.lstat()) == self.identity
        except OSError:
            return False

    def look(self) -> bool:
        """
        Note how the file ends, and return whether somebody emptied it.
        """
        status = os.fstat(self.fd)
        is_emptied = status.st_size == 0 and self._size > 0
        self._size = status.st_size
        self.is_torn = self.path is not None and is_torn(self.path, status.st_size)
        return is_emptied

    def sync(self) -> bool:
        """
        Make the content survive a power cut, if there is any since the last time.

        Returns:
            Whether it is done; False where no file is open.

        Raises:
            OSError: Some of it may be lost.
        """
        fd = self.fd  # another thread may close the journal meanwhile
        if fd < 0 or not self.holds_its_file():
            return False
        size = os.fstat(fd).st_size
        if size != self._synced_size:
            sync_data(fd)
            self._synced_size = size
        return True

    def release(self) -> None:
        """
        Close the descriptor if it is still ours.
        """
        if self.holds_its_file():
            os.close(self.fd)
        self.fd, self.path = -1, None
