"""The commands: lab, status, check, watch, catchup, undo, redo, history, grade, exam, build, verify, demo, doctor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbook.errors import WorkbookError
from workbook.source import Source

if TYPE_CHECKING:
    from workbook.exam.cast import Exam

app = typer.Typer(
    help="Build a FastAPI backend step by step; every step is checked at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Names = Annotated[str, typer.Argument(help="An exercise such as 2.2, a chapter such as 2, or nothing for all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]


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


class Context:
    """What most commands need: workspace, course, and a worker while the command runs."""

    def __init__(self) -> None:
        from workbook.course import read_course
        from workbook.worker import Worker
        from workbook.workspace import Workspace

        self.workspace = Workspace.at(Path.cwd())
        self.root = self.workspace.root
        self.course = read_course(self.root, self.workspace.state_dir / "cache")
        self.worker = Worker(self.root)


@contextmanager
def bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function (done, all) that moves a progress bar on standard error, when a person watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the first chapter. Options go to JupyterLab: `workbook lab --no-browser --port 9999`."""
    from workbook.lab import serve
    from workbook.workspace import find_root

    raise SystemExit(serve(list(context.args), find_root(Path.cwd())))


@app.command()
def status(as_json: Json = False) -> None:
    """Show where you stand: every exercise, its state and its points."""
    from workbook import progress
    from workbook.standing import State, standing

    here = Context()
    if as_json:
        found, states = here.workspace.progress(), standing(here.course, here.workspace).states
        rows = {
            id: vars(found[id]) | {"passed": state == State.PASSED, "state": state}
            for id, state in states.items()
            if id in found
        }
        print(json.dumps(rows, indent=2, default=str))
    else:
        print(progress.overview(here.course, here.workspace))


@app.command()
def check(names: Names = "", as_json: Json = False) -> None:
    """Check your code, as `%check` does. Exit status 0 only when all that was chosen passes."""
    from workbook import report
    from workbook.standing import record

    here = Context()
    chosen = here.course.select(names)
    reports = []
    with here.worker, bar("checking", quiet=as_json) as step:
        for exercise in chosen:
            found = here.worker.check(here.course, exercise.id, here.workspace.app_dir)
            record(here.course, here.workspace, found, "workbook check")
            reports.append(found)
            step(len(reports), len(chosen))
    if as_json:
        print(report.as_json(reports))
    else:
        brief = len(reports) > 1
        print("\n".join(report.verdict_line(one) if brief else report.text(one) for one in reports))
        first = next((one for one in reports if not one.passed), None)
        if brief and first:
            print(f"\n{report.text(first)}")
    raise SystemExit(0 if all(one.passed for one in reports) else 1)


@app.command()
def watch() -> None:
    """Check the first exercise that is not passed, again at each change of app/. Stop with Ctrl-C."""
    from watchfiles import watch as changes

    here = Context()
    with here.worker:
        _check_next(here)
        for _ in changes(here.workspace.app_dir, raise_interrupt=False):
            _check_next(here)


def _check_next(here: Context) -> None:
    """Check exercises in order until one does not pass; show that one."""
    from workbook import report
    from workbook.standing import State, record, standing

    passed = standing(here.course, here.workspace).of(State.PASSED)
    open_ones = [id for id in here.course.exercises if id not in passed]
    for id in open_ones or list(here.course.exercises):
        checked = here.worker.check(here.course, id, here.workspace.app_dir)
        record(here.course, here.workspace, checked, "workbook watch")
        if not checked.passed:
            print(f"\n{report.text(checked)}", flush=True)
            return
        print(report.verdict_line(checked), flush=True)


@app.command()
def catchup(
    target: Annotated[str, typer.Argument(help="A chapter such as 3, an exercise such as 3.2, or all.")] = "",
) -> None:
    """Fill in what is missing or failing before a chapter. What passes stays yours; `workbook undo` takes it back."""
    from workbook import catchup as module

    here = Context()
    with here.worker, bar("catching up") as step:

        def say(_text: str, done: int, total: int) -> None:
            step(done, total or None)

        said = module.run(here.course, here.workspace, here.worker, target, say)
    print(said)


@app.command()
def undo(
    what: Annotated[str, typer.Argument(help="A file of app/, or a number of the history.")] = "",
) -> None:
    """Take back the newest change that a cell or a catch-up made, or bring a kept version back."""
    from workbook import versions

    here = Context()
    _tell_lost(here, lambda: versions.undo(here.workspace, what))


@app.command()
def redo() -> None:
    """Take back the newest undo."""
    from workbook import versions

    here = Context()
    _tell_lost(here, lambda: versions.redo(here.workspace))


def _tell_lost(here: Context, restore: Callable[[], str]) -> None:
    """Bring files back; name the exercises that had passed with what is gone."""
    from workbook.standing import standing

    before = standing(here.course, here.workspace)
    print(restore())
    lost = before.lost(standing(here.course, here.workspace))
    if lost:
        print(f"note: {', '.join(lost)} had passed before this change: check again")


@app.command()
def history(
    what: Annotated[list[str] | None, typer.Argument(help="A file of app/, a version's number, or all.")] = None,
) -> None:
    """List the kept versions of the app's files, or show one."""
    from workbook import versions

    print(versions.listed(Context().workspace, " ".join(what or [])).replace("`%", "`workbook "))


@app.command()
def grade(
    folder: Annotated[Path, typer.Argument(help="A folder with app/, or with notebooks.")],
    names: Annotated[str, typer.Option("--only", help="An exercise or a chapter.")] = "",
    as_json: Json = False,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML to this file.")] = None,
    source: Annotated[Source, typer.Option(help="What is graded where both are there.")] = Source.AUTO,
) -> None:
    """Grade a submission. Exit status 0 only when every exercise passes."""
    from workbook import grade as module
    from workbook import pool, report

    here = Context()
    chosen = here.course.select(names)
    if junit:
        prepare(junit)
    with pool.opened(here.root) as workers, bar("grading", quiet=as_json) as step:
        reports, submission = module.grade(here.course, workers, folder.absolute(), chosen, step, source=source)
    print(report.as_json(reports) if as_json else module.text(reports, submission))
    if junit:
        with refused(junit):
            junit.write_text(report.as_junit(reports), encoding="utf-8")
    raise SystemExit(0 if reports and all(one.passed for one in reports) else 1)


@app.command()
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


@app.command()
def build(
    only_check: Annotated[bool, typer.Option("--check", help="Change nothing; name what has drifted.")] = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="With --check: compare files, run no notebook.")] = False,
) -> None:
    """Build notebooks/, solutions/*.ipynb and solutions/app from solutions/*.md."""
    from workbook import build as module
    from workbook.workspace import find_root

    root = find_root(Path.cwd())
    if only_check:
        found = module.stale(root, run=not no_run)
        print("\n".join(found) or "built files agree with their sources")
        if found:
            print("\nhint: make build", file=sys.stderr)
        raise SystemExit(1 if found else 0)
    written = module.build(root, say=lambda text: print(text, file=sys.stderr))
    print("\n".join(written) or "nothing to do")


@app.command()
def verify(
    names: Names = "",
    as_json: Json = False,
    write: Annotated[bool, typer.Option("--write", help="Put table and record into the repository.")] = False,
    sample: Annotated[int, typer.Option(help="About how many trials to run although their verdict is known.")] = 0,
) -> None:
    """Prove the checks: stub, solution, wrong and right answers, mutants. Exit status 0 only when all holds."""
    from workbook import pool
    from workbook import verify as module

    here = Context()
    chosen = here.course.select(names)
    with bar("verifying", quiet=as_json) as step, pool.opened(here.root) as workers:
        verifier = module.Verifier(here.root, here.course, here.workspace.state_dir, workers)
        rows = verifier.verify(chosen, step, sample=sample)
    if as_json:
        print(json.dumps([vars(row) for row in rows], indent=2))
    else:
        print(module.table(rows))
        for row in rows:
            for problem in row.problems:
                print(f"\n{row.exercise} {problem}")
        print(f"\n{verifier.ran + verifier.known} trials: {verifier.ran} run now, {verifier.known} known by content")
    if write and not names:
        verifier.record.write()
    drifted = module.put_table(here.root, rows, write=write) if not names else False
    raise SystemExit(1 if drifted or any(row.problems for row in rows) else 0)


@app.command()
def demo(port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8000) -> None:
    """Start the finished backend, solutions/app, on 127.0.0.1 with sample data; print a signed-in session's URLs."""
    from workbook import demo as module
    from workbook.workspace import find_root

    module.serve(find_root(Path.cwd()), port)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Find what is wrong with this machine's set-up, and say the repair."""
    from dataclasses import asdict

    from workbook.doctor import diagnose
    from workbook.workspace import find_root

    findings: list[Any] = diagnose(find_root(Path.cwd()))
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        for one in findings:
            print(f"{'ok   ' if one.ok else 'WRONG'}  {one.name}: {one.detail}")
            if not one.ok:
                print(f"       hint: {one.repair}")
    raise SystemExit(0 if all(one.ok for one in findings) else 1)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    main()
