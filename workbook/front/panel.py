"""A table or a drawing for a notebook: HTML, and beside it the same as text."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

# foreground and background, both literal: readable in a light and a dark theme, trusted or not
FRAME = "border-collapse:collapse;background:#ffffff;color:#1f1f1f;font-size:13px;margin:4px 0 10px 0"
CAPTION = "caption-side:top;text-align:left;font-weight:bold;background:#ffffff;color:#1f1f1f;padding:4px 10px"
HEAD = "border:1px solid #90a4ae;background:#eceff1;color:#1f1f1f;padding:3px 10px;text-align:left"
CELL = "border:1px solid #90a4ae;background:#ffffff;color:#1f1f1f;padding:3px 10px;text-align:left;vertical-align:top"


# JupyterLab sets what stands between two dollar signs as mathematics, also in an output: a hash is no formula
PLAIN = '<div class="mathjax_ignore">{html}</div>'


@dataclass(frozen=True)
class Panel:
    """Something to show, as HTML and as text; Jupyter gets both in one bundle."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": PLAIN.format(html=self.html)}

    def __add__(self, other: Panel) -> Panel:
        return Panel(f"{self.text}\n\n{other.text}".strip(), self.html + other.html)


def grid(title: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> Panel:
    """Return a table with a title; in the text form the columns are aligned."""
    widths = [max(len(row[number]) for row in [head, *body]) for number in range(len(head))]
    rule = ["-" * width for width in widths]
    lines = [
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, rule, *body]
    ]
    cells = "".join(f'<th scope="col" style="{HEAD}">{html.escape(name)}</th>' for name in head)
    for row in body:
        cells += "</tr><tr>" + "".join(f'<td style="{CELL}">{html.escape(value)}</td>' for value in row)
    caption = f'<caption style="{CAPTION}">{html.escape(title)}</caption>'
    return Panel("\n".join([title, "", *lines]), f'<table style="{FRAME}">{caption}<tr>{cells}</tr></table>')
