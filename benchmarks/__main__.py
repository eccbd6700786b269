"""
Run the benchmarks and print a table: ``python -m benchmarks [--quick] [--json] [NAME ...]``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sqlite3
import sys

import attrs

NAMES = (
    "caller",
    "latency",
    "following",
    "startup",
    "memory",
    "scrubbing",
    "exporting",
    "operating",
    "service",
    "storing",
    "queries",
    "sink",
)


def main() -> int:
    """
    Measure what was asked for; the exit code says only whether all of it could be measured.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a figure")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"NAME must be one of {', '.join(NAMES)} (got {', '.join(sorted(unknown))})")
    rows = []
    if not options.json:
        print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    for name in options.names or NAMES:
        for row in importlib.import_module(f"benchmarks.{name}").measure(quick=options.quick):
            rows.append(row)
            if not options.json:
                mark = "met " if row.is_met else "MISS"
                print(f"{mark}  {row.value:10.2f}  target {row.target:8.2f}  {row.what} {row.note}")
                sys.stdout.flush()
    if options.json:
        print(json.dumps([{**attrs.asdict(row), "is_met": row.is_met} for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
