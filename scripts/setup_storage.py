"""
Make the base directory and what lies below it, as ``telemetry init`` does.

Exit status 0 if all of it is there and can be written, else 1. It may be run again.
"""

import sys

from _calling import finish, heading, take_no_options, telemetry

if __name__ == "__main__":
    take_no_options(__doc__)
    heading("Telemetry storage setup")
    sys.exit(
        finish(
            telemetry("init"),
            "storage is ready; next: python scripts/setup_database.py",
            "storage is not ready; set TELEMETRY_BASE_DIR to a directory that can be written",
        )
    )
