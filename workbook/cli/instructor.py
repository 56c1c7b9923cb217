"""The instructor's commands: grade, exam."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbook.base.errors import WorkbookError
from workbook.cli.context import Context, Json, bar
from workbook.grading.source import Source

if TYPE_CHECKING:
    from workbook.exam.cast import Exam


def grade(
    folder: Annotated[Path, typer.Argument(help="A folder with app/, or with notebooks.")],
    names: Annotated[str, typer.Option("--only", help="An exercise or a chapter.")] = "",
    as_json: Json = False,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML to this file.")] = None,
    source: Annotated[Source, typer.Option(help="What is graded where both are there.")] = Source.AUTO,
) -> None:
    """Grade a submission. Exit status 0 only when every exercise passes."""
    from workbook.feedback import export
    from workbook.grading import grade as module
    from workbook.running import pool

    here = Context()
    chosen = here.course.select(names)
    if junit:
        prepare(junit)
    with pool.opened(here.root) as workers, bar("grading", quiet=as_json) as step:
        reports, submission = module.grade(here.course, workers, folder.absolute(), chosen, step, source=source)
    print(export.as_json(reports) if as_json else module.text(reports, submission))
    if junit:
        with refused(junit):
            junit.write_text(export.as_junit(reports), encoding="utf-8")
    raise SystemExit(0 if reports and all(one.passed for one in reports) else 1)


def exam(
    url: Annotated[str, typer.Argument(help="Where a backend runs, such as http://127.0.0.1:8000.")],
    names: Annotated[str, typer.Option("--only", help="Exercises and chapters, such as 9.6,10.")] = "",
    admin: Annotated[str, typer.Option(envvar="WORKBOOK_EXAM_ADMIN", help="An admin's user name or e-mail.")] = "",
    password: Annotated[
        str, typer.Option("--admin-password", envvar="WORKBOOK_EXAM_PASSWORD", help="Better by the variable.")
    ] = "",
    last_admin: Annotated[
        bool, typer.Option("--last-admin", help="Ask 10.5 too: a backend that is wrong loses its admin.")
    ] = False,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="The backend runs with its rate limits off.")] = False,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="The whole exam takes no longer.")] = 180.0,
    as_json: Json = False,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML to this file.")] = None,
) -> None:
    """Examine a running backend over HTTP alone. It makes accounts: use a database that may be thrown away.

    Exit status 0 only when all that was asked passed, 1 when not, 2 when nothing can be examined, 130 after Ctrl-C.
    The environment's WORKBOOK_EXAM_SECRET_KEY lets it sign tokens, to ask what only such tokens show.
    """
    from workbook.exam import run, told

    if junit:
        prepare(junit)
    try:
        chosen = run.select(names)
        asked = candidate(url, admin, password, seconds, last_admin=last_admin, limits=not no_limits)
        with bar("examining", quiet=as_json) as step:
            report = run.sit(asked, chosen, seconds, step)
    except WorkbookError as error:
        _hand_out(told.refusal_as_json(url, error) if as_json else "", told.refusal_as_junit(url, error), junit)
        raise
    _hand_out(told.as_json(report) if as_json else told.text(report), told.as_junit(report), junit)
    raise SystemExit(130 if report.interrupted else 0 if report.passed else 1)


def candidate(url: str, admin: str, password: str, seconds: float, *, last_admin: bool, limits: bool) -> Exam:
    """Make an exam of what the command line says.

    Raises:
        WorkbookError: the address is none, or half of what an admin signs in with is missing.
    """
    from workbook.exam.cast import Exam
    from workbook.exam.client import PATIENCE, Client
    from workbook.exam.door import address

    if bool(admin) != bool(password):
        missing = "--admin-password" if admin else "--admin"
        raise WorkbookError(f"{missing} is missing: an admin signs in with both", f"give {missing}, or neither")
    client = Client(address(url), min(PATIENCE, seconds), waits=61.0)
    key = os.environ.get("WORKBOOK_EXAM_SECRET_KEY", "")
    return Exam(client, admin, password, key, last_admin=last_admin, limits=limits)


def _hand_out(text: str, xml: str, junit: Path | None) -> None:
    """Print a report, and write it as JUnit XML where a file is named."""
    if text:
        print(text)
    if junit:
        with refused(junit):
            junit.write_text(xml, encoding="utf-8")


def prepare(target: Path) -> None:
    """Make the folder of a file that will be written, and see whether it can be, before the work begins."""
    with refused(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.open("a").close()


@contextmanager
def refused(target: Path) -> Iterator[None]:
    """Say in words that a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise WorkbookError(f"{target} cannot be written: {error.strerror or error}", "name another file") from None
