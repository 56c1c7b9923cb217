"""Wrong and right answers, `tests/answers/NN_slug.md`, read section by section."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from workbook.course.chapter import Chapter, SourceError

Kind = Literal["wrong", "right", "survivor"]
_HEADING = re.compile(r"### (\d+\.\d+) (wrong|right|survivor): (.+)")
_FENCE = re.compile(r"```python(?: (\w+))?\s*")


@dataclass
class Answer:
    """One section.

    `cells` are whole `%%app` cells; with `patch` they run after the solved cell instead of in its place.
    """

    exercise: str
    kind: Kind
    name: str
    line: int
    message: str = ""
    mutant: str = ""
    patch: bool = False
    cells: list[str] = field(default_factory=list)

    def covers(self, what: str) -> bool:
        """Say whether this survivor's pattern, with `*` as a wildcard, fits a mutant."""
        pattern = ".*".join(re.escape(part) for part in self.mutant.split("*"))
        return re.fullmatch(pattern, what, re.DOTALL) is not None


def read_answers(path: Path, chapter: Chapter) -> list[Answer]:
    """Read a chapter's answers.

    Raises:
        SourceError: a section breaks a rule, with file and line.
    """
    answers: list[Answer] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    index = 0
    while index < len(lines):
        line = lines[index]
        if match := _HEADING.fullmatch(line.rstrip()):
            answers.append(Answer(match[1], match[2], match[3].strip(), index + 1))  # type: ignore[arg-type]
        elif line.startswith("### "):
            rule = f"the heading {line!r} is not `### 2.2 wrong: name`"
            raise SourceError(path, index + 1, rule, "write wrong, right or survivor")
        elif answers and line.startswith(("message:", "mutant:")):
            word, _, said = line.partition(":")
            setattr(answers[-1], word, said.strip())
        elif answers and (fence := _FENCE.fullmatch(line)):
            index = _read_cell(path, lines, index, answers[-1], fence[1] or "")
        index += 1
    _validate(path, answers, chapter)
    return answers


def _read_cell(path: Path, lines: list[str], start: int, answer: Answer, word: str) -> int:
    """Read the fence that opens at `start` into the answer; return the index of its end."""
    end = next((i for i in range(start + 1, len(lines)) if lines[i].rstrip() == "```"), None)
    if end is None:
        raise SourceError(path, start + 1, "the fence is never closed", "add ``` below the code")
    if word not in ("", "patch"):
        raise SourceError(path, start + 1, f"the fence's word is {word!r}", "write `python` or `python patch`")
    if not lines[start + 1].startswith("%%app "):
        raise SourceError(path, start + 2, "the code does not begin with `%%app PATH`", "say where it goes")
    answer.patch = answer.patch or word == "patch"
    answer.cells.append("\n".join(lines[start + 1 : end]) + "\n")
    return end


def _validate(path: Path, answers: list[Answer], chapter: Chapter) -> None:
    known = {exercise.id for exercise in chapter.exercises}
    for answer in answers:
        need = {"wrong": answer.message, "right": "-", "survivor": answer.mutant}[answer.kind]
        if answer.exercise not in known:
            rule, repair = f"chapter {chapter.name} has no exercise {answer.exercise}", "mend the heading"
        elif not need:
            word = "message" if answer.kind == "wrong" else "mutant"
            rule, repair = f"a {answer.kind} answer without `{word}:`", "add the line below the heading"
        elif answer.kind != "survivor" and not answer.cells:
            rule, repair = "an answer without code", "add a ```python fence"
        else:
            continue
        raise SourceError(path, answer.line, rule, repair)
    for id in known:
        count = {kind: sum(a.exercise == id and a.kind == kind for a in answers) for kind in ("wrong", "right")}
        if count["wrong"] < 2 or count["right"] < 1:
            rule = f"exercise {id} has {count['wrong']} wrong and {count['right']} right answers"
            raise SourceError(path, 1, rule, "write at least two wrong ones and one right one")
