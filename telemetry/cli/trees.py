"""
Nested runs as a tree.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Optional, Sequence

import attrs

from telemetry.cli.ids import short_ids
from telemetry.cli.outcomes import look_of, status_cell, took_ms
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import duration

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.storage.reader import Reader

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


def tree_of(reader: Reader, row: Row, *, seen: Optional[set[str]] = None, depth: int = 0) -> Node:
    """
    Return a run with everything nested in it.

    A run that claims to be nested in one of its own is taken once.
    """
    seen = set() if seen is None else seen
    seen.add(row["event_id"])
    if depth >= MAX_DEPTH:
        return Node(row)
    nested = []
    for child in reader.children(row["run_id"]):
        if child["event_id"] not in seen:
            nested.append(tree_of(reader, child, seen=seen, depth=depth + 1))
    return Node(row, tuple(nested))


def draw_tree(session: Session, root: Node, *, limit: int = MAX_SHOWN) -> list[str]:
    """
    Return a tree as the lines of a table.

    Args:
        limit: At most so many nested runs of each run, those first that are not a plain success.
    """
    short = short_ids(root.rows())
    rows = _rows(session, root, short, ("", ""), limit)
    return draw(session.screen, _COLUMNS, rows)


def name_of(row: Row, parent: Optional[Row] = None) -> str:
    """
    Return what tells a run from its siblings: its item, or else its agent and its job.
    """
    item = row.get("item_name")
    if parent is not None and item and row["agent_name"] == parent["agent_name"]:
        return str(item)
    name = f"{row['agent_name']} {row['job_type']}"
    return f"{name} {item}" if item else name


def _rows(
    session: Session,
    node: Node,
    short: dict[str, str],
    leads: tuple[str, str],
    limit: int,
    parent: Optional[Row] = None,
) -> list[list[Cell]]:
    screen, now = session.screen, datetime.now(timezone.utc)
    row = node.row
    own_lead, lead_below = leads
    rows = [
        [
            Cell(own_lead + name_of(row, parent)),
            status_cell(screen, row),
            Cell(duration(took_ms(row, now))),
            Cell(row["items_discovered"] or row["items_succeeded"] or ""),
            Cell(row["items_failed"] or ""),
            Cell(short[row["event_id"]]),
        ]
    ]
    shown, left = _chosen(node.children, limit)
    for i, child in enumerate(shown):
        is_last = i == len(shown) - 1 and not left
        branch, trunk = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        below = (lead_below + screen.sign(branch), lead_below + screen.sign(trunk))
        rows += _rows(session, child, short, below, limit, row)
    if left:
        text = f"{lead_below}{screen.sign('└─ ')}{len(left)} more"
        rows.append([Cell(text, "faint"), _summary(left), *[Cell("")] * 4])
    return rows


def _chosen(nodes: Sequence[Node], limit: int) -> tuple[list[Node], list[Node]]:
    if len(nodes) <= limit:
        return list(nodes), []
    by_interest = sorted(nodes, key=lambda node: node.row["status"] == "success")
    chosen = {node.row["event_id"] for node in by_interest[: max(0, limit - 1)]}
    kept = [node for node in nodes if node.row["event_id"] in chosen]
    return kept, [node for node in nodes if node.row["event_id"] not in chosen]


def _summary(nodes: Sequence[Node]) -> Cell:
    words = {look_of(node.row).word for node in nodes}
    return Cell(f"all {words.pop()}" if len(words) == 1 else "", "faint")
