"""
Where a repository and a commit can be looked at in a browser.

Only addresses that the row itself names are built, and nothing is asked over the network: GitHub,
GitLab and Bitbucket are known by their host, also where they are hosted elsewhere under a name that
says so.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Optional

_SCP = re.compile(r"(?:[^@/\s:]+@)?([A-Za-z0-9.-]+):(?!/)(\S+)")
_URL = re.compile(
    r"(?:https?|ssh|git|git\+ssh)://(?:[^@/\s]*@)?([A-Za-z0-9.-]+)(:\d{1,5})?/(\S+)", re.IGNORECASE
)
_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)+")
_HASH = re.compile(r"[0-9a-fA-F]{7,40}")
#: Where a commit stands below its repository, by the name that a host has or ends with.
_FORMS = {"github": "commit", "gitlab": "-/commit", "bitbucket": "commits"}


@lru_cache(maxsize=1024)
def _place(repo: str) -> Optional[tuple[str, str]]:
    """
    Return a repository's page and the name of its commits' part; None where it cannot be told.
    """
    text = repo.strip()
    if text.lower().startswith(("http://", "https://", "ssh://", "git://", "git+ssh://")):
        found = _URL.fullmatch(text)
        host, port, path = found.groups("") if found else ("", "", "")
        # The port of ssh is none of a browser's.
        port = port if text.lower().startswith("http") else ""
    else:
        match = _SCP.fullmatch(text)
        host, path = match.groups() if match else ("", "")
        port = ""
    path = path.strip("/")
    path = path.removesuffix(".git")
    form = _form(host.lower())
    if not form or not _PATH.fullmatch(path) or ".." in path.split("/"):
        return None
    scheme = "http" if text.lower().startswith("http://") and port else "https"
    return f"{scheme}://{host.lower()}{port}/{path}", form


def _form(host: str) -> str:
    """
    Return how a host names commits: known by itself, or by a label of its name.
    """
    labels = host.split(".")
    if len(labels) < 2 or not all(labels):  # noqa: PLR2004 (a name and its domain)
        return ""
    for name, form in _FORMS.items():
        if name in labels[:-1]:
            return form
    return ""


def repo_url(repo: Optional[str]) -> Optional[str]:
    """
    Return a repository's page; None where it cannot be told.
    """
    place = _place(repo) if repo else None
    return place[0] if place else None


def commit_url(repo: Optional[str], commit: Optional[str]) -> Optional[str]:
    """
    Return a commit's page; None where it cannot be told.
    """
    if not repo or not commit or not _HASH.fullmatch(commit):
        return None
    place = _place(repo)
    return f"{place[0]}/{place[1]}/{commit}" if place else None
