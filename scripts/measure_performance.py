"""
Measure what recording and asking cost on this machine, as ``telemetry measure`` does.

Exit status 0 if every promised figure is kept, else 1.
"""

import sys

from _calling import finish, heading, telemetry

if __name__ == "__main__":
    heading("Telemetry performance")
    sys.exit(
        finish(
            telemetry("measure", *sys.argv[1:]),
            "this machine keeps the baselines",
            "a baseline was missed; see above which",
        )
    )
