"""The imports at the top of a module: read, united, sorted as ruff sorts them, written."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

WIDTH = 100
FIRST_PARTY = ("app",)


class Name(NamedTuple):
    """One imported name: `import module as alias`, or `from ..module import name as alias`."""

    module: str
    level: int
    name: str | None
    alias: str | None

    @property
    def bound(self) -> str:
        """The words by which the module's code speaks of it."""
        return self.alias or self.name or self.module

    @property
    def statement(self) -> str:
        """The statement that it shares with others, up to the names."""
        if self.name is None:
            return f"import {self.module}" + (f" as {self.alias}" if self.alias else "")
        alone = f"{self.name} as {self.alias}" if self.alias else "*" if self.name == "*" else ""
        return f"from {'.' * self.level}{self.module} import {alone}"

    @property
    def section(self) -> int:
        """The section of the import block: future, standard library, third party, app, relative."""
        top = self.module.split(".")[0]
        if self.level:
            return 4
        if top == "__future__":
            return 0
        return 1 if top in sys.stdlib_module_names else 3 if top in FIRST_PARTY else 2

    @property
    def order(self) -> tuple[object, ...]:
        """The place among the statements of its section."""
        return (
            self.name is not None, -self.level, natural(self.module.lower()), natural(self.module),
            self.member, self.alias or "",
        )  # fmt: skip

    @property
    def member(self) -> tuple[object, ...]:
        """The place among the names of one statement: CONSTANTS, Classes, variables."""
        name = self.name or ""
        kind = 0 if len(name) > 1 and name.isupper() else 1 if name[:1].isupper() else 2
        return name != "*", kind, natural(name.lower()), natural(name), self.alias or ""


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts `v9` before `v10`."""
    parts = re.findall(r"\d+|\D", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


@dataclass(eq=False, repr=False)
class Comments:
    """The comments of a statement or a name: on lines above, and at the line's end."""

    above: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    def add(self, other: Comments) -> None:
        """Add the comments of another that are not here yet."""
        self.above += [line for line in other.above if line not in self.above]
        self.beside += [line for line in other.beside if line not in self.beside]

    @property
    def end(self) -> str:
        """The text at the line's end."""
        return "".join(f"  {line}" for line in self.beside)


@dataclass(eq=False, repr=False)
class Imports:
    """Imported names with their comments; `tall` statements have a line for each name."""

    names: dict[Name, Comments] = field(default_factory=dict)
    statements: dict[str, Comments] = field(default_factory=dict)
    tall: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, texts: Iterable[str]) -> Imports:
        """Read import statements, each with the comments above it."""
        found = cls()
        for text in texts:
            found.add(read_statement("\n".join(line.strip() for line in text.split("\n"))))
        return found

    def add(self, other: Imports) -> None:
        """Unite with other imports."""
        for name, comments in other.names.items():
            self.names.setdefault(name, Comments()).add(comments)
        for statement, comments in other.statements.items():
            self.statements.setdefault(statement, Comments()).add(comments)
        self.tall |= other.tall

    def drop(self, names: Iterable[Name], code: str) -> None:
        """Take out those of the names that the code does not use."""
        for name in names:
            if name.section and name.name != "*" and not is_used(name.bound, code):
                self.names.pop(name, None)

    def render(self, width: int = WIDTH) -> str:
        """Write the block: sections apart, statements and names sorted."""
        ordered = sorted(self.names, key=lambda name: (name.section, *name.order))
        by_statement: dict[str, list[Name]] = {}
        for name in ordered:
            by_statement.setdefault(name.statement, []).append(name)
        section: Callable[[list[Name]], int] = lambda names: names[0].section  # noqa: E731
        blocks = groupby(by_statement.values(), section)
        return "\n\n".join("\n".join(self.write(names, width) for names in b) for _, b in blocks)

    def write(self, names: list[Name], width: int) -> str:
        """Write one statement: on one line, or with a line for each name."""
        start = names[0].statement
        comments = self.statements.get(start, Comments())
        own = [self.names[name] for name in names]
        many = any(c.above or (c.beside and len(names) > 1) for c in own)
        whole = start if start[-1] != " " else start + ", ".join(str(name.name) for name in names)
        if start[-1] == " " and (start in self.tall or many or len(whole) > width):
            lines = [f"{start}({comments.end}"]
            for name, own_comments in zip(names, own, strict=True):
                lines += [f"    {line}" for line in own_comments.above]
                lines.append(f"    {name.name},{own_comments.end}")
            return "\n".join([*comments.above, *lines, ")"])
        beside = Comments([], [*own[0].beside])
        beside.add(Comments([], comments.beside))
        return "\n".join([*comments.above, whole + beside.end])


def is_used(name: str, code: str) -> bool:
    """Say whether code speaks of an imported name, also in a text; not where a function imports it itself."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    if not word.search(code):
        return False
    lines = code.split("\n")
    functions = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        if any(is_bound(name, node) for statement in function.body for node in ast.walk(statement)):
            first = function.body[0].lineno - 1
            last = function.end_lineno or first
            lines[first:last] = [""] * (last - first)
    return word.search("\n".join(lines)) is not None


def is_bound(name: str, node: ast.AST) -> bool:
    """Say whether a node is an import that binds a name."""
    return isinstance(node, ast.Import | ast.ImportFrom) and any((one.asname or one.name) == name for one in node.names)


def read_statement(text: str) -> Imports:
    """Read one import statement, with the comments above, inside and beside it."""
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.Import | ast.ImportFrom)
    module, level = (node.module or "", node.level) if isinstance(node, ast.ImportFrom) else ("", 0)
    rows: list[tuple[int, Name]] = []
    for alias in node.names:
        if isinstance(node, ast.Import):
            rows.append((alias.lineno, Name(alias.name, 0, None, alias.asname)))
        else:
            rows.append((alias.lineno, Name(module, level, alias.name, alias.asname)))
    found = Imports({name: Comments() for _, name in rows})
    found.statements = {name.statement: Comments() for _, name in rows}
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    code = [token for token in tokens if token.string.strip() and token.type != tokenize.COMMENT]
    if [token.string for token in code[-2:]] == [",", ")"]:
        found.tall |= {name.statement for _, name in rows}
    busy = {token.start[0] for token in code}
    for token in tokens:
        if token.type == tokenize.COMMENT:
            place(found, rows, token, node, token.start[0] in busy)
    return found


def place(
    found: Imports, rows: list[tuple[int, Name]], token: tokenize.TokenInfo,
    node: ast.stmt, beside: bool,
) -> None:  # fmt: skip
    """Give a comment of an import statement to the name or the statement that it speaks of."""
    row, comments = token.start[0], re.split(r"\s{2,}(?=#)", token.string)
    tall = node.lineno != node.end_lineno
    if row < node.lineno:
        found.statements[rows[0][1].statement].above.extend(comments)
    elif beside and (tall or len(rows) == 1) and any(line == row for line, _ in rows):
        name = [name for line, name in rows if line == row][-1]
        found.names[name].beside.extend(comments)
    elif not beside and any(line > row for line, _ in rows):
        found.names[next(name for line, name in rows if line > row)].above.extend(comments)
    else:
        for statement in {name.statement: None for _, name in rows}:
            found.statements[statement].beside.extend(comments)
