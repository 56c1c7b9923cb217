"""A CheckReport for its readers: text, HTML for the notebook, JUnit XML and JSON for programs."""

from __future__ import annotations

import contextlib
import html
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, urlencode

from workbook.outcome import Outcome
from workbook.plain import plain_of
from workbook.verdict import CheckReport, Criterion, Exchange
from workbook.wording import shortened

LABELS = {
    Outcome.PASSED: "passed",
    Outcome.WRONG: "wrong",
    Outcome.NOT_ATTEMPTED: "not yet",
    Outcome.RAISED: "raised",
    Outcome.BROKE: "broke",
    Outcome.LATE: "no time",
}
AGAIN = "(as above)"
ASKED = 90  # characters of a request that failed as another one did
CALLERS = 3
IMPORT = re.compile(r":\d+  (from|import) ")  # on the way of every exception that rises while a module is read
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
WITHOUT_BODY = ("get", "delete", "head", "options")
WIDTH = max(len(label) for label in LABELS.values())
# foreground and background, both literal: readable in a light and a dark theme, trusted or not (contrast 7.0 and more)
COLOURS = {
    Outcome.PASSED: ("#1b5e20", "#e8f5e9"),
    Outcome.WRONG: ("#7f1d1d", "#fdecea"),
    Outcome.NOT_ATTEMPTED: ("#37474f", "#eceff1"),
    Outcome.RAISED: ("#7a3e00", "#fff4e0"),
    Outcome.BROKE: ("#4a148c", "#f3e5f5"),
    Outcome.LATE: ("#37474f", "#eceff1"),
}
SHELL = "border-left:6px solid {fg};background:{bg};color:#1f1f1f;padding:8px 14px;font-size:14px;line-height:1.5"
CODE = "background:#ffffff;color:#1f1f1f;font-family:monospace;font-size:13px;padding:1px 4px;white-space:pre-wrap"


def verdict_line(report: CheckReport) -> str:
    """Return the verdict in one line: what every other form begins with."""
    name = f"{report.exercise} {report.title}"
    if report.passed:
        return f"{name}: passed ({report.points} of {report.out_of} points)"
    if report.outcome is Outcome.LATE:
        return f"{name}: {report.outcome}: the machine was busy; run it again"
    if report.criteria and report.outcome is not Outcome.NOT_ATTEMPTED:
        failed = len(report.failures)
        fail = "criteria fail" if len(report.criteria) != 1 and failed != 1 else "criteria fails"
        fail = "criterion fails" if len(report.criteria) == 1 else fail
        return f"{name}: {report.outcome} ({failed} of {len(report.criteria)} {fail})"
    return f"{name}: {report.outcome}"


def facts(criterion: Criterion) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a failed criterion, as (label, text)."""
    if criterion.did:
        yield "did", criterion.did
    sent = criterion.exchange.headers.get("authorization", "") if criterion.exchange else ""
    if sent:
        yield "sent", f"Authorization: {shortened(sent)}"
    if criterion.got:
        yield "got", criterion.got
    if criterion.expected:
        yield "expected", criterion.expected
    if criterion.why:
        yield "why", criterion.why
    if criterion.where:
        yield "your code", str(criterion.where)
    yield from _ways(criterion)
    if criterion.exchange and (code := replay(criterion.exchange)):
        yield "replay", code


def _ways(criterion: Criterion) -> Iterator[tuple[str, str]]:
    """Yield the other lines of the learner's that an exception came through."""
    if criterion.outcome in (Outcome.RAISED, Outcome.WRONG) and criterion.trace:
        where, last = str(criterion.where), criterion.trace[-1]
        if last != where:
            yield "raised at", last
        callers = [one for one in dict.fromkeys(criterion.trace[:-1]) if one != where and not IMPORT.search(one)]
        for place in callers[-CALLERS:]:
            yield "called from", place


def text(report: CheckReport) -> str:
    """Return the report as plain text."""
    lines = [report.notice, ""] if report.notice else []
    lines.append(verdict_line(report))
    if report.criteria:
        lines.append("")
        for criterion, again in _told_apart(report):
            lines += _criterion_lines(criterion, again)
    lines += ["", report.note] if report.note else []
    lines += ["", "your code printed:", *_indented(report.output, 2)] if report.output.strip() else []
    lines += ["", *(f"hint: {hint}" for hint in _hints(report))] if _hints(report) else []
    return "\n".join(lines)


def _hints(report: CheckReport) -> list[str]:
    return [] if report.passed else [hint for hint in (report.hint, report.second) if hint]


def _told_apart(report: CheckReport) -> Iterator[tuple[Criterion, str]]:
    """Yield the criteria; with those that failed as an earlier one did, what is said in place of the same again."""
    told: dict[tuple[object, ...], str] = {}
    for criterion in report.criteria:
        key, again = signature(criterion), ""
        if criterion.outcome in (Outcome.WRONG, Outcome.RAISED):
            if key in told:
                same = criterion.did in ("", told[key])
                again = AGAIN if same else f"{AGAIN[:-1]}, for {_cut(criterion.did)})"
            told.setdefault(key, criterion.did)
        yield criterion, again


def signature(criterion: Criterion) -> tuple[object, ...]:
    """Return what is the same for criteria that fail in one way: ids, times and the request may differ."""
    if criterion.cause:
        return (criterion.outcome, "cause", criterion.cause)
    seen = (_without_ids(said) for said in (criterion.got, criterion.expected))
    return (criterion.outcome, criterion.did if not criterion.got else "", *seen, criterion.why, str(criterion.where))


def _without_ids(said: str) -> str:
    """Return a text without what differs from run to run: ids, times, addresses in memory."""
    said = re.sub(r"""(id['"]: ?)(?:\d+|"[^"]*"|'[^']*')""", r"\1…", said)
    said = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*(?:Z|[+-]\d\d:\d\d)?", "…", said)
    return shortened(said)


def _cut(said: str) -> str:
    first = said.split("\n")[0]
    return first if len(first) <= ASKED else f"{first[: ASKED - 1]}…"


def _criterion_lines(criterion: Criterion, again: str) -> list[str]:
    first = f"  {LABELS[criterion.outcome]:<{WIDTH}} {criterion.text}"
    if criterion.outcome is Outcome.PASSED:
        return [first]
    if again:
        return [first, " " * (WIDTH + 3) + again]
    body: list[str] = []
    for label, said in facts(criterion):
        body += said.split("\n") if label == "did" else f"{label}: {said}".split("\n")
    if criterion.outcome is Outcome.BROKE:
        body += [line for part in criterion.trace for line in part.rstrip().split("\n")]
    return [first, *("    " + " " * (WIDTH - 1) + line for line in body)]


def _indented(body: str, width: int) -> list[str]:
    return [" " * width + line for line in body.rstrip().split("\n")]


def as_html(report: CheckReport) -> str:
    """Return the report as an HTML panel that needs no script, style sheet or trust."""
    fg, bg = COLOURS[report.outcome]
    parts = [f'<div style="{SHELL.format(fg=fg, bg=bg)}">']
    parts += [f"<div>{_marked(report.notice)}</div>"] if report.notice else []
    parts.append(f'<div style="color:{fg};font-weight:bold">{_escape(verdict_line(report))}</div>')
    if report.criteria:
        parts += [_criterion_html(criterion, again) for criterion, again in _told_apart(report)]
    if report.note:
        parts.append(f"<div>{_escape(report.note)}</div>")
    if report.output.strip():
        body = f'<pre style="{CODE}">{_escape(report.output)}</pre>'
        parts.append(f"<details><summary>your code printed</summary>{body}</details>")
    for hint in _hints(report):
        parts.append(f'<div style="margin-top:6px"><b>hint:</b> {_marked(hint)}</div>')
    return "".join([*parts, "</div>"])


def _criterion_html(criterion: Criterion, again: str) -> str:
    fg, _ = COLOURS[criterion.outcome]
    label = f'<b style="color:{fg}">{LABELS[criterion.outcome]}</b>'
    head = f'<div style="margin-top:4px">{label} &nbsp;{_marked(criterion.text)}</div>'
    if criterion.outcome is Outcome.PASSED:
        return head
    if again:
        return f'{head}<div style="margin-left:18px">{_escape(again)}</div>'
    rows = "".join(_fact_html(label, said) for label, said in facts(criterion))
    if criterion.outcome is Outcome.BROKE:
        rows += f'<pre style="{CODE}">{_escape("".join(criterion.trace))}</pre>'
    return f'{head}<div style="margin-left:18px">{rows}</div>'


def _fact_html(label: str, said: str) -> str:
    code = f'<span style="{CODE}">{_escape(said)}</span>'
    if label == "replay":
        return f"<details><summary>replay this request in a cell</summary>{code}</details>"
    if label == "why":
        return f"<div><i>why:</i> {_marked(said)}</div>"
    return f"<div><i>{label}:</i> {code}</div>" if label != "did" else f"<div>{code}</div>"


def _escape(said: str) -> str:
    return html.escape(said, quote=False)


def _marked(said: str) -> str:
    """Return escaped text with `code` set as code."""
    return re.sub(r"`([^`]+)`", rf'<span style="{CODE}">\1</span>', _escape(said))


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


def replay(exchange: Exchange) -> str:
    """Return httpx code that sends the request again, to paste into a notebook cell; empty where it could not.

    Some apps live only inside a check, and so do the users that its tokens stand for.
    """
    if not exchange.replay or "authorization" in exchange.headers or shortened(exchange.body) != exchange.body:
        return ""
    arguments = [repr(exchange.url), *_content(exchange)]
    headers = {k: v for k, v in exchange.headers.items() if k not in ("accept", "content-type")}
    if exchange.body and arguments[-1].startswith("content="):
        headers["content-type"] = exchange.headers.get("content-type", "")
    arguments += [f"headers={headers!r}"] if headers else []
    method = exchange.method.lower()
    if method in METHODS and (not exchange.body or method not in WITHOUT_BODY):
        return f"await client.{method}({', '.join(arguments)})"
    return f"await client.request({exchange.method!r}, {', '.join(arguments)})"


def _content(exchange: Exchange) -> list[str]:
    """Return the argument that carries the body: as data where it comes out the same, else as it was sent."""
    kind = exchange.headers.get("content-type", "").partition(";")[0]
    if not exchange.body:
        return []
    if kind == "application/json":
        with contextlib.suppress(ValueError):
            data = json.loads(exchange.body)
            if json.dumps(data, ensure_ascii=False, separators=(",", ":")) == exchange.body:
                return [f"json={data!r}"]
    if kind == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(exchange.body, keep_blank_values=True))
        if urlencode(form) == exchange.body:
            return [f"data={form!r}"]
    return [f"content={exchange.body!r}"]
