"""
Check that what a task's Markdown lists as deliverables is there, as ``telemetry gate`` does.

Exit status 0 if it is, 1 if not, 2 if there is no task file that can be read.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Optional

from _calling import finish, heading, telemetry

RULE = re.compile(r"^\s*tolerance_percentage\s*[:=]\s*(\d+(?:\.\d+)?)", re.MULTILINE)
BLOCKING = re.compile(r"^blocking_severities\s*[:=](.*(?:\n\s*(?:-.*|#.*)?)*)", re.MULTILINE)


def rules_of(path: str) -> list[str]:
    """
    Return what the original's configuration says of tolerance and severities.
    """
    text = Path(path).read_text(encoding="utf-8")
    tolerance, blocking = RULE.search(text), BLOCKING.search(text)
    said = ["--tolerance", f"{tolerance[1]}%"] if tolerance else []
    words = re.findall(r"\b[A-Z]+\b", re.sub("#.*", "", blocking[1])) if blocking else []
    return [*said, *(["--blocking", ",".join(words)] if words else [])]


def as_yaml(value: object, indent: str = "") -> str:
    """
    Return a JSON value as YAML in blocks.
    """
    if isinstance(value, dict) and value:
        lines = [f"{key}:{as_yaml(inner, indent + '  ')}" for key, inner in value.items()]
        return "".join(f"\n{indent}{line}" for line in lines)
    if isinstance(value, list) and value:
        lines = [as_yaml(inner, indent + "  ").lstrip() for inner in value]
        return "".join(f"\n{indent}- {line}" for line in lines)
    return f" {json.dumps(value)}"


def parser() -> argparse.ArgumentParser:
    """
    Return the parser of the original's options.
    """
    made = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    made.add_argument("--task-spec", metavar="FILE", required=True, help="the task's Markdown")
    made.add_argument("--agent-id", metavar="ID", default="", help="named in the report")
    made.add_argument("--config", metavar="FILE", help="quality_gate_config.yaml")
    made.add_argument("--output", metavar="FILE", help="write the report there")
    made.add_argument("--report-dir", metavar="DIR", help="write the report into this directory")
    made.add_argument("--format", choices=("text", "json", "yaml"), default="text")
    made.add_argument("--run-checks", action="store_true", help="run the acceptance checks too")
    made.add_argument("--no-block", action="store_true", help="exit with 0 whatever is found")
    made.add_argument("--dry-run", action="store_true", help="the same, and write no report")
    return made


def judge(options: argparse.Namespace, rules: list[str]) -> tuple[int, str]:
    """
    Look at what the task lists; return telemetry's exit code and the report, as it was asked for.
    """
    words = ["gate", "--task-spec", options.task_spec, *rules]
    words += ["--run-checks"] if options.run_checks else []
    words += ["--json"] if options.format != "text" else []
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = telemetry(*words)
    report = told.getvalue()
    if options.format == "text" or code > 1:
        return code, report
    document = {"agent_id": options.agent_id or None, **json.loads(report)}
    is_json = options.format == "json"
    return code, (json.dumps(document, indent=2) if is_json else as_yaml(document).lstrip()) + "\n"


def place_of(options: argparse.Namespace) -> Optional[Path]:
    """
    Return the file that the report goes to, None where it goes to standard output.
    """
    if options.report_dir:
        name = re.sub(r"[^\w-]", "_", f"gate_{Path(options.task_spec).stem}_{options.agent_id}")
        return Path(options.report_dir) / f"{name}_{time.strftime('%Y%m%d_%H%M%S')}.txt"
    return Path(options.output) if options.output else None


def main() -> int:
    """
    Read the options, look, write the report, say how it went.
    """
    known = parser()
    options = known.parse_args()
    try:
        rules = rules_of(options.config) if options.config else []
    except (OSError, ValueError) as error:
        known.error(f"--config must be a file that can be read ({error})")
    code, report = judge(options, rules)
    if code > 1:
        return 2
    path = place_of(options)
    if path is not None and not options.dry_run:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report, encoding="utf-8")
    if options.format != "text" and path is None:
        sys.stdout.write(report)
    else:
        of_agent = f" of {options.agent_id}" if options.agent_id else ""
        heading(f"QUALITY GATE REPORT\nTask: {options.task_spec}{of_agent}")
        sys.stdout.write(report if options.format == "text" else f"see {path}\n")
        finish(code, "QUALITY GATE PASSED", "QUALITY GATE FAILED; see above what is missing")
    return 0 if options.no_block or options.dry_run else code


if __name__ == "__main__":
    sys.exit(main())
