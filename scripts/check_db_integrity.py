"""
Check the database quickly and, where that finds something, thoroughly, as ``telemetry check`` does.

Exit status 0 if it is sound, else 1.
"""

import sys

from _calling import finish, heading, say, take_no_options, telemetry

if __name__ == "__main__":
    take_no_options(__doc__)
    heading("Telemetry database integrity check")
    code = telemetry("check", "--quick")
    if code:
        say("[INFO] the quick check found something; the full check follows")
        telemetry("check", "--full")
    sys.exit(
        finish(
            code,
            "the database is sound",
            "the database is not sound; python scripts/recover_database.py makes it anew",
        )
    )
