"""
Measure what recording and asking cost on this machine, as ``telemetry measure`` does.

Exit status 0 if every promised figure is kept, else 1.
"""

import sys

from _calling import hand_over

if __name__ == "__main__":
    sys.exit(
        hand_over(
            "Telemetry performance",
            "measure",
            good="this machine keeps the baselines",
            bad="a baseline was missed; see above which",
        )
    )
