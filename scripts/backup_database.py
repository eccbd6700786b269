"""
Back the database up and keep the newest few, as ``telemetry backup create`` and ``prune`` do.

The file is ``telemetry_backup_YYYYMMDD_HHMMSS.sqlite``, in UTC. Those of the original system,
``telemetry.backup.YYYYMMDD.sqlite``, count among the newest few, by the time in their names.

Exit status 0 if the backup is there and whole, else 1: then the older ones stay.
"""

import argparse
import sys

from _calling import finish, heading, telemetry

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--keep", type=int, default=7, metavar="N", help="keep N (default: 7)")
    keep = max(0, parser.parse_args().keep)
    heading("Telemetry database backup")
    sys.exit(
        finish(
            telemetry("backup", "create")
            or telemetry("backup", "prune", "--keep", str(keep), "--yes"),
            f"the backup is complete and verified; at most {max(1, keep)} are kept",
            "no backup was made; see above what is wrong",
        )
    )
