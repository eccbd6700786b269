"""
Check whether the base directory is sound, as ``telemetry health`` does; for cron.

Exit status 0 if it is, warnings included, else 1.
"""

import sys

from _calling import finish, heading, telemetry

if __name__ == "__main__":
    heading("Telemetry health check")
    sys.exit(
        finish(
            telemetry("health", *sys.argv[1:]),
            "all checks passed",
            "something needs attention; see above what to do",
        )
    )
