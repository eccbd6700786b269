"""
Back the database up and keep the last days' backups, or restore one after asking.

The same as ``telemetry backup create``, ``prune`` and ``restore``. Exit status 0 or 1.
"""

import argparse
import sys

from _calling import finish, heading, say, telemetry


def back_up(days: float) -> int:
    """
    Make a backup, then remove what is older than so many days; the newest always stays.
    """
    heading("Telemetry database backup")
    return finish(
        telemetry("backup", "create")
        or telemetry("backup", "prune", "--keep-days", str(max(0.0, days)), "--yes"),
        f"the backup is complete and verified; those of the last {days:g} days are kept",
        "no backup was made; see above what is wrong",
    )


def restore(file: str) -> int:
    """
    Ask, then put a backup in the place of the database.
    """
    heading(f"Telemetry database restore from {file}")
    say("The database is replaced; what is there now is kept as telemetry_before_restore_*.")
    say("What was recorded since the backup is replayed from the journal.")
    say('Type "yes" to go on: ', end="")
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if answer.strip().lower() != "yes":
        return finish(1, "", "nothing was changed")
    return finish(
        telemetry("backup", "restore", file, "--anywhere", "--yes"),
        "the database is restored and verified",
        "the database is as it was; see above what is wrong",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--restore", metavar="FILE", help="restore this backup")
    parser.add_argument("--keep-days", type=float, default=7, metavar="N", help="default: 7")
    options = parser.parse_args()
    sys.exit(restore(options.restore) if options.restore else back_up(options.keep_days))
