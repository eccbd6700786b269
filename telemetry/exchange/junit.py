"""
Verdicts as JUnit XML, which every CI shows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from telemetry.storage.gates import Outcome

if TYPE_CHECKING:
    from telemetry.storage.gates import Verdict

#: What XML cannot hold, in any form.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Suite(NamedTuple):
    """
    One gate with what became of its rules.
    """

    name: str
    verdicts: Sequence[Verdict]


def junit_xml(suites: Sequence[Suite]) -> bytes:
    """
    Return a document with a suite for each gate and a case for each rule.
    """
    root = ET.Element("testsuites", name="telemetry gate")
    for suite in suites:
        counts = {each: _count(suite, each) for each in Outcome}
        element = ET.SubElement(
            root,
            "testsuite",
            name=_clean(suite.name),
            tests=str(len(suite.verdicts)),
            failures=str(counts[Outcome.FAILED]),
            skipped=str(counts[Outcome.SKIPPED]),
            errors="0",
        )
        for verdict in suite.verdicts:
            _case(element, suite, verdict)
    ET.indent(root) if hasattr(ET, "indent") else None
    # Without a heading, so that it is the same from every Python; UTF-8 is what XML begins with.
    return ET.tostring(root, "unicode").encode() + b"\n"


def _case(parent: ET.Element, suite: Suite, verdict: Verdict) -> None:
    case = ET.SubElement(
        parent, "testcase", classname=_clean(f"telemetry.gate.{suite.name}"), name=verdict.rule
    )
    reason = _clean(verdict.reason)
    if verdict.outcome is Outcome.FAILED:
        ET.SubElement(case, "failure", message=reason, type="telemetry.gate").text = reason
    elif verdict.outcome is Outcome.SKIPPED:
        ET.SubElement(case, "skipped", message=reason)
    else:
        ET.SubElement(case, "system-out").text = reason


def _count(suite: Suite, outcome: Outcome) -> int:
    return sum(verdict.outcome is outcome for verdict in suite.verdicts)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
