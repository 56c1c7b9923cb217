"""A CheckReport as an HTML panel, for the notebook."""

from __future__ import annotations

import html
import re

from workbook.feedback.outcome import Outcome
from workbook.feedback.report import LABELS, facts, hints_of, told_apart, verdict_line
from workbook.feedback.verdict import CheckReport, Criterion

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


def as_html(report: CheckReport) -> str:
    """Return the report as an HTML panel that needs no script, style sheet or trust."""
    fg, bg = COLOURS[report.outcome]
    parts = [f'<div style="{SHELL.format(fg=fg, bg=bg)}">']
    parts += [f"<div>{_marked(report.notice)}</div>"] if report.notice else []
    parts.append(f'<div style="color:{fg};font-weight:bold">{_escape(verdict_line(report))}</div>')
    if report.criteria:
        parts += [_criterion_html(criterion, again) for criterion, again in told_apart(report)]
    if report.note:
        parts.append(f"<div>{_escape(report.note)}</div>")
    if report.output.strip():
        body = f'<pre style="{CODE}">{_escape(report.output)}</pre>'
        parts.append(f"<details><summary>your code printed</summary>{body}</details>")
    for hint in hints_of(report):
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
