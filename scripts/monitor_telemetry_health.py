"""
Check whether the base directory is sound, as ``telemetry health`` does; for cron.

Exit status 0 if it is, warnings included, else 1.
"""

import sys

from _calling import hand_over

if __name__ == "__main__":
    sys.exit(
        hand_over(
            "Telemetry health check",
            "health",
            good="all checks passed",
            bad="something needs attention; see above what to do",
        )
    )
