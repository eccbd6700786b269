"""
Check the database and, where it is damaged, make it anew, as ``telemetry recover`` does.

Exit status 0 if it is sound now, else 1. The damaged one is kept.
"""

import argparse
import sys

from _calling import finish, heading, telemetry

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--check-only", action="store_true", help="change nothing")
    parser.add_argument("--force", action="store_true", help="make it anew even if it is sound")
    options = parser.parse_args()
    wanted = [flag for flag in ("check_only", "force") if getattr(options, flag)]
    heading("Telemetry database recovery")
    sys.exit(
        finish(
            telemetry("recover", *(f"--{flag.replace('_', '-')}" for flag in wanted)),
            "the database is sound",
            "the database is not sound; see above what to do",
        )
    )
