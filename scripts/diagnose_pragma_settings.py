"""
Show the PRAGMAs of the database beside what they should be, as ``telemetry doctor`` does.

Exit status 0 if they are consistent, 1 if not, or if there is no database.
"""

import sys

from _calling import hand_over

if __name__ == "__main__":
    sys.exit(
        hand_over(
            "Telemetry PRAGMA settings: the file, a reader, a writer",
            "doctor",
            "--only",
            "pragmas",
            "--strict",
            good="the PRAGMAs are consistent",
            bad="the PRAGMAs are not as they should be; see above what sets them right",
        )
    )
