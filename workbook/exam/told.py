"""A report of an exam for its readers: text for people, JSON and JUnit XML for programs."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter

from workbook.base.errors import WorkbookError
from workbook.exam.finding import shown
from workbook.exam.run import FAILED, PASSED, UNASKED, Report, Result

WIDTH = len(UNASKED)
IMPOSSIBLE = "cannot be examined"


def text(report: Report) -> str:
    """Return the report as text: the verdict first, then each criterion, what failed with its details."""
    lines = [verdict(report), ""]
    for one in report.results:
        lines.append(f"  {one.outcome:<{WIDTH}}  {one.criterion.exercise:<5} {one.criterion.text}")
        lines += [f"  {'':<{WIDTH}}        {line}" for line in _details(one)]
    return "\n".join(lines)


def verdict(report: Report) -> str:
    """Return the verdict in one line."""
    counts = Counter(one.outcome for one in report.results)
    told = ", ".join(f"{counts[name]} {name}" for name in (PASSED, FAILED, UNASKED) if counts[name])
    return f"exam of {report.url}: {outcome(report)} ({told}; {report.requests} requests in {report.seconds:.1f} s)"


def outcome(report: Report) -> str:
    """Return how the exam ended, in a word or two."""
    return "interrupted" if report.interrupted else "passed" if report.passed else "not passed"


def _details(result: Result) -> list[str]:
    if result.outcome == UNASKED:
        return [f"because: {shown(result.got, 400)}"]
    if result.outcome == PASSED:
        return []
    told = {"got": result.got, "expected": result.expected, "why": result.why}
    return [shown(result.did, 400), *(f"{name}: {shown(said, 400)}" for name, said in told.items() if said)]


def as_json(report: Report) -> str:
    """Return the report as a JSON object."""
    criteria = [
        {
            "exercise": one.criterion.exercise,
            "name": one.criterion.name,
            "text": one.criterion.text,
            "outcome": one.outcome,
            **{name: shown(said, 400) for name in ("did", "got", "expected", "why") if (said := getattr(one, name))},
            **({"chosen": one.chosen} if one.outcome == UNASKED else {}),
            "seconds": round(one.seconds, 3),
        }
        for one in report.results
    ]
    counts = {name.replace(" ", "_"): len(report.of(name)) for name in (PASSED, FAILED, UNASKED)}
    figures = {**counts, "requests": report.requests, "seconds": round(report.seconds, 3)}
    return json.dumps({"url": report.url, "exam": outcome(report), **figures, "criteria": criteria}, indent=2)


def as_junit(report: Report) -> str:
    """Return the report as JUnit XML: a suite for each exercise, a case for each criterion."""
    root = ET.Element("testsuites", name=f"workbook exam {report.url}")
    for exercise in dict.fromkeys(one.criterion.exercise for one in report.results):
        cases = [one for one in report.results if one.criterion.exercise == exercise]
        counts = Counter(one.outcome for one in cases)
        suite = ET.SubElement(root, "testsuite", name=f"exercise {exercise}", tests=str(len(cases)), errors="0")
        suite.set("failures", str(counts[FAILED]))
        suite.set("skipped", str(counts[UNASKED]))
        suite.set("time", f"{sum(one.seconds for one in cases):.3f}")
        for one in cases:
            _case(suite, one)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _open(url: str) -> str:
    """Return an address as it was given, short, and without a password."""
    return shown(re.sub("//[^/@]*@", "//…@", url), 400)


def refusal_as_json(url: str, error: WorkbookError) -> str:
    """Return, as a JSON object, why there was no exam."""
    hint = {"hint": shown(error.hint, 400)} if error.hint else {}
    told = {"url": _open(url), "exam": IMPOSSIBLE, "reason": shown(error.message, 800), **hint}
    return json.dumps(told | {"criteria": []}, indent=2)


def refusal_as_junit(url: str, error: WorkbookError) -> str:
    """Return, as JUnit XML, why there was no exam: a case with an error."""
    root = ET.Element("testsuites", name=f"workbook exam {_open(url)}")
    suite = ET.SubElement(root, "testsuite", name="exam", tests="1", errors="1", failures="0", skipped="0", time="0")
    case = ET.SubElement(suite, "testcase", classname="exam", name=IMPOSSIBLE, time="0")
    ET.SubElement(case, "error", message=shown(error.message, 800)).text = shown(error.hint or "", 400)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, one: Result) -> None:
    name = f"{one.criterion.text} ({one.criterion.name})"
    place = f"exercise {one.criterion.exercise}"
    case = ET.SubElement(suite, "testcase", classname=place, name=name, time=f"{one.seconds:.3f}")
    if one.outcome == UNASKED:
        ET.SubElement(case, "skipped", message=shown(one.got, 400))
    if one.outcome == FAILED:
        failure = ET.SubElement(case, "failure", message=shown(one.got, 400))
        failure.text = "\n".join(_details(one))
