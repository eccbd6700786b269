"""
Add up what pytest reported in each environment and say it in one line.

Exits with 1 when a test failed or none ran.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path


def has(case: ET.Element, *tags: str) -> bool:
    """
    Return whether a test's report carries one of these marks.
    """
    return any(case.find(tag) is not None for tag in tags)


def tell_missing(ran: dict[str, Counter[str]]) -> None:
    """
    Print, file by file, how many tests a Python left to another.
    """
    # By number: how a case is named may differ from Python to Python.
    most: Counter[str] = Counter()
    for counts in ran.values():
        most |= counts
    for python, counts in ran.items():
        for file, count in sorted((most - counts).items()):
            print(f"not run in {python}: {count} of {file}")


def main(folder: Path) -> int:
    """
    Print each skipped test and what only other Pythons ran, then the sums.
    """
    total = failed = skipped = 0
    ran: dict[str, Counter[str]] = {}
    for report in sorted(folder.glob("*.xml")):
        cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 (pytest wrote it)
        skips = [case for case in cases if has(case, "skipped")]
        for case in skips:
            reason = case.find("skipped").get("message")
            print(f"skipped in {report.stem}: {case.get('classname')}.{case.get('name')}: {reason}")
        tests = {(case.get("classname"), case.get("name")) for case in cases}
        ran[report.stem] = Counter(file for file, _ in tests)
        bad = [case for case in cases if has(case, "failure", "error")]
        total += len(tests)
        failed += len({(case.get("classname"), case.get("name")) for case in bad})
        skipped += len(skips)
    tell_missing({name: counts for name, counts in ran.items() if name.startswith("py")})
    passed = total - failed - skipped
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
