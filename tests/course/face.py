"""The reference page of the face, workbook/REFERENCE.md, made from the docstrings: `python -m tests.course.face`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "workbook" / "REFERENCE.md"
MODULES = ("expect", "checks", "sabotage", "show", "tools")
HEAD = """# The face of the engine

Chapters and checks import from these five modules, and from no other. This page is made from their docstrings, by
`python -m tests.course.face`.
"""


def page() -> str:
    """Return the page as the docstrings are now."""
    return "\n".join([HEAD, *(line for name in MODULES for line in _module(name))])


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(f"workbook.{name}")
    yield f"## workbook.{name}\n"
    yield f"{inspect.getdoc(module)}\n"
    for member in names(module):
        yield f"### {_head(member, getattr(module, member))}\n"
        yield f"{_text(module, member)}\n"


def names(module: ModuleType) -> list[str]:
    """Return the public names of a module: those that it lists, and of `expect` what it defines."""
    mine = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    own = [name for name in mine if not name.startswith("_")] if module.__name__.endswith("expect") else []
    return sorted({*module.__all__, *own})


def _head(name: str, value: Any) -> str:
    if inspect.ismodule(value) or not callable(value):
        return f"`{name}`"
    return f"`{name}{_signature(value)}`"


def _signature(value: Any) -> str:
    """Return the parameters, without what their default is made of where it has no short text."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "()"
    plain = [
        one.replace(annotation=inspect.Parameter.empty, default=... if "<" in str(one.default) else one.default)
        if one.default is not inspect.Parameter.empty
        else one.replace(annotation=inspect.Parameter.empty)
        for one in found.parameters.values()
    ]
    return str(inspect.Signature(plain)).replace("=Ellipsis", "=…")


def _text(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    if isinstance(value, dict):
        return f"A table of {len(value)} entries."
    text = inspect.getdoc(value) or ""
    return re.sub(r"^(Args|Raises|Returns):$", r"**\1:**\n", text, flags=re.MULTILINE)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
