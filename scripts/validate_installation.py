"""
Examine the installation and the base directory, as ``telemetry doctor`` does.

Exit status 0 if both are sound, else 1.
"""

import sys

from _calling import hand_over

if __name__ == "__main__":
    sys.exit(
        hand_over(
            "Telemetry installation",
            "doctor",
            good="the installation is complete and works",
            bad="something needs attention; see above, or try telemetry doctor --fix",
        )
    )
