"""
Make the database and verify it, as ``telemetry init`` and ``telemetry check`` do.

Exit status 0 if it is there and as it should be, else 1. It may be run again.
"""

import sys

from _calling import finish, heading, take_no_options, telemetry

if __name__ == "__main__":
    take_no_options(__doc__)
    heading("Telemetry database setup")
    sys.exit(
        finish(
            telemetry("init") or telemetry("check", "--quick"),
            "the database is ready; next: python scripts/validate_installation.py",
            "the database is not ready; see above what is wrong",
        )
    )
