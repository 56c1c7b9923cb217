"""The commands: lab, status, check, watch, catchup, undo, redo, history, grade, exam, build, verify, demo, doctor."""

from __future__ import annotations

import sys

import typer

from workbook.base.errors import WorkbookError
from workbook.cli import course, instructor, learner

app = typer.Typer(
    help="Build a FastAPI backend step by step; every step is checked at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (  # in the order in which `workbook --help` lists them
    *(learner.status, learner.check, learner.watch, learner.catchup, learner.undo, learner.redo, learner.history),
    *(instructor.grade, instructor.exam),
    *(course.build, course.verify, course.demo, course.doctor),
)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(learner.lab)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run a command; a known error is told in words, with status 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except WorkbookError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
