"""
Texts that processes hand down to each other in the environment.

The environment is bytes on POSIX: UTF-8 goes through whatever the locale of either side is.
"""

from __future__ import annotations

import os


def handed_down(text: str) -> str:
    """
    Return a text as a child's environment takes it, also where the locale lacks its characters.
    """
    return os.fsdecode(text.encode("utf-8", "surrogateescape")) if os.name == "posix" else text


def taken_over(text: str) -> str:
    """
    Return what a parent handed down.
    """
    return os.fsencode(text).decode("utf-8", "replace") if os.name == "posix" else text
