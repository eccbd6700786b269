"""
Add up what pytest reported in each environment and say it in one line.

Exits with 1 when a test failed or none ran.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def has(case: ET.Element, *tags: str) -> bool:
    """
    Return whether a test's report carries one of these marks.
    """
    return any(case.find(tag) is not None for tag in tags)


def main(folder: Path) -> int:
    """
    Print each skipped test, then the sums.
    """
    total = failed = skipped = 0
    for report in sorted(folder.glob("*.xml")):
        cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 (pytest wrote it)
        skips = [case for case in cases if has(case, "skipped")]
        for case in skips:
            reason = case.find("skipped").get("message")
            print(f"skipped in {report.stem}: {case.get('classname')}.{case.get('name')}: {reason}")
        bad = [case for case in cases if has(case, "failure", "error")]
        total += len({(case.get("classname"), case.get("name")) for case in cases})
        failed += len({(case.get("classname"), case.get("name")) for case in bad})
        skipped += len(skips)
    passed = total - failed - skipped
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
