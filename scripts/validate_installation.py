"""
Examine the installation and the base directory, as ``telemetry doctor`` does.

Exit status 0 if both are sound, else 1.
"""

import sys

from _calling import finish, heading, telemetry

if __name__ == "__main__":
    heading("Telemetry installation")
    sys.exit(
        finish(
            telemetry("doctor", *sys.argv[1:]),
            "the installation is complete and works",
            "something needs attention; see above, or try telemetry doctor --fix",
        )
    )
