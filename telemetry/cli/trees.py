"""
Nested runs as a tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.cli.ids import short_ids
from telemetry.cli.outcomes import look_of, status_cell, took_ms
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import duration

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.cli.source import Source

Row = dict[str, Any]
MAX_DEPTH = 50
#: Nested runs shown of one run; the rest is counted.
MAX_SHOWN = 50
_COLUMNS = (
    TableColumn(title="RUN", least=16),
    TableColumn(title="STATUS"),
    TableColumn(title="TOOK", right=True),
    TableColumn(title="ITEMS", right=True, leaves=3),
    TableColumn(title="FAILED", right=True, style="bad", leaves=2),
    TableColumn(title="ID", leaves=1, style="name"),
)


@attrs.frozen
class Node:
    """
    A run and the runs nested in it, oldest first.
    """

    row: Row
    children: tuple[Node, ...] = ()

    def rows(self) -> list[Row]:
        """
        Return this run and all below it.
        """
        return [self.row, *(row for child in self.children for row in child.rows())]


def tree_of(reader: Source, row: Row, *, seen: Optional[set[str]] = None, depth: int = 0) -> Node:
    """
    Return a run with everything nested in it.

    A run that claims to be nested in one of its own is taken once.
    """
    seen = set() if seen is None else seen
    seen.add(row["event_id"])
    if depth >= MAX_DEPTH:
        return Node(row)
    nested = (child for child in reader.children(row["run_id"]) if child["event_id"] not in seen)
    return Node(row, tuple(tree_of(reader, each, seen=seen, depth=depth + 1) for each in nested))


def draw_tree(session: Session, root: Node, *, limit: int = MAX_SHOWN) -> list[str]:
    """
    Return a tree as the lines of a table.

    Args:
        limit: At most so many nested runs of each run: first those that are no plain success,
            then the largest.
    """
    drawing = _Drawing(session, short_ids(root.rows()), limit)
    return draw(session.screen, _COLUMNS, drawing.rows(root))


def name_of(row: Row, parent: Optional[Row] = None) -> str:
    """
    Return what tells a run from its siblings: its item, or else its agent and its job.
    """
    item = row.get("item_name")
    if parent is not None and item and row["agent_name"] == parent["agent_name"]:
        return str(item)
    name = f"{row['agent_name']} {row['job_type']}"
    return f"{name} {item}" if item else name


class _Drawing:
    def __init__(self, session: Session, short: dict[str, str], limit: int) -> None:
        self._screen = session.screen
        self._short = short
        self._limit = limit
        self._now = datetime.now(timezone.utc)

    def rows(
        self, node: Node, leads: tuple[str, str] = ("", ""), parent: Optional[Row] = None
    ) -> list[list[Cell]]:
        """
        Return a run and what is below it.

        Args:
            leads: What stands before the run itself, and before those below it.
        """
        row, (lead, below) = node.row, leads
        rows = [self._row(row, lead + name_of(row, parent))]
        shown, left = _chosen(node.children, self._limit)
        for i, child in enumerate(shown):
            is_last = i == len(shown) - 1 and not left
            rows += self.rows(child, self._leads(below, is_last=is_last), row)
        if left:
            text = f"{self._leads(below, is_last=True)[0]}{len(left)} more"
            rows.append([Cell(text, "faint"), _summary(left), *[Cell("")] * 4])
        return rows

    def _row(self, row: Row, name: str) -> list[Cell]:
        return [
            Cell(name),
            status_cell(self._screen, row),
            Cell(duration(took_ms(row, self._now))),
            Cell(row["items_discovered"] or row["items_succeeded"] or ""),
            Cell(row["items_failed"] or ""),
            Cell(self._short[row["event_id"]]),
        ]

    def _leads(self, below: str, *, is_last: bool) -> tuple[str, str]:
        branch, trunk = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        return below + self._screen.sign(branch), below + self._screen.sign(trunk)


def _chosen(nodes: Sequence[Node], limit: int) -> tuple[list[Node], list[Node]]:
    if len(nodes) <= limit:
        return list(nodes), []
    by_interest = sorted(
        nodes, key=lambda node: (node.row["status"] == "success", -node.row["items_discovered"])
    )
    chosen = {node.row["event_id"] for node in by_interest[: max(0, limit - 1)]}
    kept = [node for node in nodes if node.row["event_id"] in chosen]
    return kept, [node for node in nodes if node.row["event_id"] not in chosen]


def _summary(nodes: Sequence[Node]) -> Cell:
    words = {look_of(node.row).word for node in nodes}
    return Cell(f"all {words.pop()}" if len(words) == 1 else "", "faint")
