"""The learner's commands: lab, status, check, watch, catchup, undo, redo, history."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from workbook.cli.context import Context, Json, Names, bar


def lab(context: typer.Context) -> None:
    """Open JupyterLab on the first chapter. Options go to JupyterLab: `workbook lab --no-browser --port 9999`."""
    from workbook.install.lab import serve
    from workbook.learner.root import find_root

    raise SystemExit(serve(list(context.args), find_root(Path.cwd())))


def status(as_json: Json = False) -> None:
    """Show where you stand: every exercise, its state and its points."""
    from workbook.learner import progress
    from workbook.learner.standing import State, standing

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


def check(names: Names = "", as_json: Json = False) -> None:
    """Check your code, as `%check` does. Exit status 0 only when all that was chosen passes."""
    from workbook.feedback import export, report
    from workbook.learner.standing import record

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
        print(export.as_json(reports))
    else:
        brief = len(reports) > 1
        print("\n".join(report.verdict_line(one) if brief else report.text(one) for one in reports))
        first = next((one for one in reports if not one.passed), None)
        if brief and first:
            print(f"\n{report.text(first)}")
    raise SystemExit(0 if all(one.passed for one in reports) else 1)


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
    from workbook.feedback import report
    from workbook.learner.standing import State, record, standing

    passed = standing(here.course, here.workspace).of(State.PASSED)
    open_ones = [id for id in here.course.exercises if id not in passed]
    for id in open_ones or list(here.course.exercises):
        checked = here.worker.check(here.course, id, here.workspace.app_dir)
        record(here.course, here.workspace, checked, "workbook watch")
        if not checked.passed:
            print(f"\n{report.text(checked)}", flush=True)
            return
        print(report.verdict_line(checked), flush=True)


def catchup(
    target: Annotated[str, typer.Argument(help="A chapter such as 3, an exercise such as 3.2, or all.")] = "",
) -> None:
    """Fill in what is missing or failing before a chapter. What passes stays yours; `workbook undo` takes it back."""
    from workbook.catchup import plan as module

    here = Context()
    with here.worker, bar("catching up") as step:

        def say(_text: str, done: int, total: int) -> None:
            step(done, total or None)

        said = module.run(here.course, here.workspace, here.worker, target, say)
    print(said)


def undo(
    what: Annotated[str, typer.Argument(help="A file of app/, or a number of the history.")] = "",
) -> None:
    """Take back the newest change that a cell or a catch-up made, or bring a kept version back."""
    from workbook.learner import versions

    here = Context()
    _tell_lost(here, lambda: versions.undo(here.workspace, what))


def redo() -> None:
    """Take back the newest undo."""
    from workbook.learner import versions

    here = Context()
    _tell_lost(here, lambda: versions.redo(here.workspace))


def _tell_lost(here: Context, restore: Callable[[], str]) -> None:
    """Bring files back; name the exercises that had passed with what is gone."""
    from workbook.learner.standing import standing

    before = standing(here.course, here.workspace)
    print(restore())
    lost = before.lost(standing(here.course, here.workspace))
    if lost:
        print(f"note: {', '.join(lost)} had passed before this change: check again")


def history(
    what: Annotated[list[str] | None, typer.Argument(help="A file of app/, a version's number, or all.")] = None,
) -> None:
    """List the kept versions of the app's files, or show one."""
    from workbook.learner import versions

    print(versions.listed(Context().workspace, " ".join(what or [])).replace("`%", "`workbook "))
