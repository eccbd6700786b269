"""
Show the PRAGMAs of the database beside what they should be, as ``telemetry doctor`` does.

Exit status 0 if they are consistent, 1 if not, or if there is no database.
"""

import sys

from _calling import finish, heading, telemetry

if __name__ == "__main__":
    heading("Telemetry PRAGMA settings: the file, a reader, a writer")
    sys.exit(
        finish(
            telemetry("doctor", "--only", "pragmas", "--strict", *sys.argv[1:]),
            "the PRAGMAs are consistent",
            "the PRAGMAs are not as they should be; see above what sets them right",
        )
    )
