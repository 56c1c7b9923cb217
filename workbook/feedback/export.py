"""CheckReports for programs: JSON, and JUnit XML."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from workbook.base.plain import plain_of
from workbook.feedback.outcome import Outcome
from workbook.feedback.report import facts
from workbook.feedback.verdict import CheckReport, Criterion


def as_json(reports: Iterable[CheckReport]) -> str:
    """Return reports as a JSON array. No text in it is too odd for JSON."""
    return json.dumps([plain_of(one.model_dump(mode="json")) for one in reports], indent=2, ensure_ascii=False)


def as_junit(reports: Iterable[CheckReport], name: str = "workbook") -> str:
    """Return reports as JUnit XML: a suite for each exercise, a case for each criterion."""
    root = ET.Element("testsuites", name=name)
    for report in reports:
        suite = ET.SubElement(root, "testsuite", name=f"{report.exercise} {_printable(report.title)}")
        _junit_properties(suite, report)
        cases = report.criteria or [Criterion(id="", text=str(report.outcome), outcome=report.outcome)]
        for criterion in cases:
            _junit_case(suite, report, criterion)
        failed = sum(one.outcome in (Outcome.WRONG, Outcome.RAISED) for one in cases)
        skipped = sum(one.outcome is Outcome.NOT_ATTEMPTED for one in cases)
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(failed))
        suite.set("errors", str(sum(one.outcome is Outcome.BROKE for one in cases)))
        suite.set("skipped", str(skipped))
        suite.set("time", f"{report.seconds:.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _junit_properties(suite: ET.Element, report: CheckReport) -> None:
    """Say what a verdict of grading rests on."""
    found = ET.SubElement(suite, "properties")
    for name, value in report.provenance.model_dump().items():
        for said in value if isinstance(value, list) else [value]:
            ET.SubElement(found, "property", name=name, value=_printable(said))


def _junit_case(suite: ET.Element, report: CheckReport, criterion: Criterion) -> None:
    attributes = {"classname": f"exercise {report.exercise}", "name": _printable(criterion.text)}
    case = ET.SubElement(suite, "testcase", attributes, time=f"{criterion.seconds:.3f}")
    if criterion.outcome is Outcome.PASSED:
        return
    tag = {Outcome.NOT_ATTEMPTED: "skipped", Outcome.BROKE: "error"}.get(criterion.outcome, "failure")
    body = ET.SubElement(case, tag, message=_printable(criterion.got or str(criterion.outcome)))
    body.text = _printable("\n".join(f"{label}: {said}" for label, said in facts(criterion)))


def _printable(said: str) -> str:
    """Return text that XML 1.0 can hold: control characters and lone surrogates are shown as escapes."""
    pattern = "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    return re.sub(pattern, lambda match: f"\\u{ord(match[0]):04x}", said)
