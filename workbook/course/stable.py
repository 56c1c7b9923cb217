"""Outputs made comparable: what differs from run to run and from machine to machine is replaced by a word."""

from __future__ import annotations

import re

# (pattern, word); `workbook build` writes the same rules for nbval into tests/course/nbval.cfg
RULES: tuple[tuple[str, str], ...] = (
    (r"workbook: [^\"\n\\]*", "workbook: STATUS"),
    (r"(app/[\w/]+\.py): [^\"\n\\]*", r"\1: WRITTEN"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"0x[0-9a-f]{6,}", "ADDRESS"),
    (r"/[\w./-]*/(?=solutions/app/)", "ROOT/"),
    (r"\d+(\.\d+)? (ms|s|seconds|milliseconds)\b", "TIME"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?", "INSTANT"),
    (r'"execution_count": \d+', '"execution_count": N'),
)


def stable_text(text: str) -> str:
    """Return text with every rule applied."""
    for pattern, word in RULES:
        text = re.sub(pattern, word, text)
    return text


def nbval_rules() -> str:
    """Return the rules in the form that `pytest --nbval-sanitize-with` reads."""
    rules = enumerate(RULES, 1)
    blocks = [f"[rule {number}]\nregex: {pattern}\nreplace: {word}\n" for number, (pattern, word) in rules]
    return "# made by `workbook build` from workbook/course/stable.py\n" + "\n".join(blocks)
