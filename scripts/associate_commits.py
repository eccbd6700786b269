"""
Link runs to the commits whose messages name them, as ``telemetry commits`` does.

Exit status 0 if that could be done, else 1. Without --auto it only shows what it would link.
"""

import argparse
import contextlib
import sys
import time

from _calling import finish, heading, telemetry

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--auto", action="store_true", help="link what is found")
    parser.add_argument("--dry-run", action="store_true", help="only show what is found")
    parser.add_argument("--run-id", metavar="RUN", help="link this run, with --commit-hash")
    parser.add_argument("--commit-hash", metavar="HASH", help="the commit of --run-id")
    parser.add_argument("--agent", metavar="NAME", help="only runs of this agent")
    parser.add_argument("--watch", action="store_true", help="go on until interrupted")
    parser.add_argument("--interval", type=float, default=60, metavar="S", help="with --watch")
    parser.add_argument("--show-commits", action="store_true", help="the same as --dry-run")
    parser.add_argument("--min-score", type=int, help="ignored: only what names a run is linked")
    options = parser.parse_args()
    words = ["commits"]
    for flag, value in (
        ("--run", options.run_id),
        ("--commit", options.commit_hash),
        ("--agent", options.agent),
    ):
        words += [flag, value] if value else []
    links = (options.auto or options.commit_hash) and not options.show_commits
    words += [] if links and not options.dry_run else ["--dry-run"]
    heading("Commits of runs")
    code = telemetry(*words)
    with contextlib.suppress(KeyboardInterrupt):
        while options.watch and code == 0:
            time.sleep(options.interval)
            code = telemetry(*words)
    sys.exit(finish(code, "the commits were looked through", "the commits could not be looked at"))
