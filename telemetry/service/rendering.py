"""
Rows as the API shows them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.model.run import COLUMNS, Kind
from telemetry.service.links import commit_url, repo_url

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLAGS = tuple(name for name, column in COLUMNS.items() if column.kind is Kind.FLAG)
_JSONS = tuple(name for name, column in COLUMNS.items() if column.kind is Kind.JSON)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def run_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a run's row as the API shows it: each column by its name, and where its commit is.

    A JSON column that is none stays a text, and a key beside it says why.
    """
    shown = dict(row)
    for name in _FLAGS:
        shown[name] = bool(shown[name])
    for name in _JSONS:
        text = shown[name]
        if text is not None:
            try:
                shown[name] = _decode(text)
            except DECODE_ERRORS:
                shown[f"{name}_parse_error"] = "it is no JSON"
    repo = row["git_repo"]
    shown["commit_url"] = commit_url(repo, row["git_commit_hash"])
    shown["repo_url"] = repo_url(repo)
    return shown


def etag(row: Mapping[str, Any]) -> str:
    """
    Return what changes with every change of a run.
    """
    return f'"{blake2b(_encode(row), digest_size=12).hexdigest()}"'
