"""
Whether memory stays flat over an export of any length, and how fast each format is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Row

FORMATS = ("csv", "json", "ndjson", "parquet", "xlsx")
#: Rows are made in SQL: what is measured is the way out.
FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO agent_runs (event_id, run_id, agent_name, job_type, status, start_time, end_time,
    created_at, duration_ms, items_discovered, items_succeeded, items_failed, error_summary,
    metrics_json)
SELECT printf('0193%08x-0000-7000-8000-000000000000', i), printf('20261122T000000Z-agent-%08x', i),
    'agent-' || (i % 50), 'job-' || (i % 7), CASE i % 10 WHEN 0 THEN 'failed' ELSE 'success' END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', :begin + i, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', :begin + 5 + i, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', :begin + i, 'unixepoch'), 5000 + i % 997, 10, 9, 1,
    CASE i % 10 WHEN 0 THEN 'OSError: no route to host' END, '{"pages": 3}'
FROM n
"""
EXPORT = """
import json, pathlib, resource, sys, tempfile, time
from telemetry.exchange.exporting import export
from telemetry.exchange.formats import Format, Order
from telemetry.storage.selection import Selection
database, name, count = pathlib.Path(sys.argv[1]), Format(sys.argv[2]), int(sys.argv[3])
def run(limit):
    with tempfile.TemporaryFile() as file:
        return export(database, file, name, Order(selection=Selection(limit=limit)))
def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
# Until every buffer is as large as it gets.
run(max(count // 10, 30_000))
before, begun = peak_mib(), time.process_time()
assert run(-1) == count
print(json.dumps([peak_mib() - before, count / (time.process_time() - begun)]))
"""


def fill(path: Path, count: int, *, begin: int = 1_760_000_000) -> None:
    """
    Make a database of so many runs, one a second from a Unix time on.
    """
    from telemetry.storage.migrations import migrate
    from telemetry.storage.sqlite import connect

    connection = connect(path)
    migrate(connection)
    connection.execute(FILL, {"count": count, "begin": begin})
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def measure(*, quick: bool) -> list[Row]:
    """
    Measure the peak of resident memory over a whole export, beyond that over a tenth of it.
    """
    count = 100_000 if quick else 1_000_000
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "telemetry.sqlite"
        fill(database, count)
        for name in FORMATS:
            done = subprocess.run(
                [sys.executable, "-c", EXPORT, str(database), name, str(count)],
                check=True,
                stdout=subprocess.PIPE,
            )
            grown, rate = json.loads(done.stdout)
            what = f"MiB grown by exporting {count:,} runs as {name}"
            rows.append(
                Row(what=what, value=grown, target=8, note=f"({rate:,.0f} runs a second of CPU)")
            )
    return rows
