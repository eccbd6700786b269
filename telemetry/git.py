"""
The `git` executable, through one narrow door: a time limit, no prompts, no shell, no locks taken.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Optional

TIMEOUT_S = 2.0
MAX_OUTPUT_BYTES = 64 * 1024

_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
#: What a caller's own git command may have set; it must not point us at another repository.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")


def git_directory(directory: Path) -> Optional[Path]:
    """
    Return the git directory of the working tree that a directory lies in, without starting git.

    None outside of any.
    """
    try:
        for place in (directory, *directory.parents):
            found = place / ".git"
            if found.is_dir():
                return found
            if found.is_file():  # a linked working tree, or a submodule
                _, _, linked = found.read_text("utf-8", "replace").partition("gitdir:")
                return place / linked.strip()
    except OSError:
        pass
    return None


def head_moved_at(repository: Path) -> float:
    """
    Return when HEAD last moved, in seconds since the epoch, without starting git.

    A commit moves it, and so do a checkout and a pull.

    Args:
        repository: From `git_directory`.
    """
    for name in ("logs/HEAD", "HEAD"):
        with contextlib.suppress(OSError):
            return (repository / name).stat().st_mtime
    return 0.0


def git(
    directory: Path,
    *arguments: str,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_OUTPUT_BYTES,
) -> Optional[str]:
    """
    Run one git command in a directory and return what it printed, without outer blanks.

    Args:
        timeout_s: Seconds after which the command and all it started are killed.
        max_bytes: How much of what it printed is returned.

    Returns:
        None where git is missing, fails, or takes too long, and where gevent has its own way of
        waiting for processes: it has none on the threads of followers.
    """
    executable = shutil.which("git")
    if executable is None or subprocess.Popen.__module__ != "subprocess":
        return None
    environment = {name: text for name, text in os.environ.items() if name not in _MISLEADING}
    try:
        process = subprocess.Popen(
            [executable, "--no-pager", *arguments],
            cwd=directory,
            env={**environment, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, RuntimeError):  # RuntimeError: a subinterpreter may not start a process
        return None
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            return None
    if process.returncode != 0:
        return None
    return output[:max_bytes].decode("utf-8", "replace").strip()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """
    Kill git and whatever it started, such as a credential helper.
    """
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
