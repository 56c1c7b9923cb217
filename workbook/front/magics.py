"""The notebook's commands: %%app, %check, %solution, %catchup, %progress, %undo, %redo, %history, %serve, %%repair."""

from __future__ import annotations

import atexit
import os
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CoroutineType
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import display

from workbook.base.errors import WorkbookError
from workbook.course.index import Course, read_course
from workbook.course.timeline import timeline
from workbook.feedback import panel, report
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport
from workbook.front.bindings import Bindings
from workbook.front.imported import CannotImport, Imported
from workbook.front.kernel import (
    Advice,
    LazyClient,
    Shown,
    Told,
    chapter_of,
    gap,
    hiding,
    on_path,
    print_coroutine,
    print_response,
)
from workbook.front.known import UNCHANGED, Known
from workbook.front.panel import Panel
from workbook.front.server import LiveServer
from workbook.learner import progress, versions, writing
from workbook.learner.broken import remedy
from workbook.learner.standing import Standing, record, standing
from workbook.learner.workspace import Workspace
from workbook.merge.assemble import clean, parse_header
from workbook.merge.cells import plain_code
from workbook.merge.header import Header
from workbook.running.worker import Worker

ANEW = "--anew"  # check it again, also where nothing has changed
FEW = 4  # exercises that are checked before it is said how far it is


def show(text: str, html: str) -> None:
    """Display text with an HTML face; both travel in one bundle."""
    display(Panel(text, html))  # type: ignore[no-untyped-call]


@magics_class
class Workbook(Magics):
    """The commands, bound to one workspace, course and worker."""

    def __init__(self, shell: InteractiveShell, workspace: Workspace) -> None:
        super().__init__(shell)
        self.workspace = workspace
        self.worker = Worker(workspace.root)
        self.known = Known(workspace.root, workspace.app_dir)
        self.live = LiveServer()
        self.imported = Imported(workspace.app_dir)
        self.bindings = Bindings(shell.user_ns)
        self._notebook = shell
        self.advice = Advice(lambda: self.course, shell, workspace.app_dir)
        self.current = ""  # the exercise whose cell was run last
        self.unwritten = ""  # the module that the newest cell could not be written to

    @property
    def course(self) -> Course:
        """Return the index of the chapters, as the sources are now."""
        return read_course(self.workspace.root, self.workspace.state_dir / "cache")

    @cell_magic
    def app(self, line: str, cell: str) -> None:
        """Write a module of `app`: `%%app users/schemas.py [--merge]`."""
        self.unwritten = ""
        course = self.course
        try:
            header = parse_header(line)
            before = standing(course, self.workspace, header.path)
            self.unwritten = header.path
            done = writing.write(course, self.workspace, header, cell)
        except WorkbookError as error:
            raise Told(str(error)) from None
        self.unwritten = ""
        self.current = header.exercise or self.current
        print(f"app/{header.path}: {done.summary()}")
        self._say_lost(before, header)
        near = writing.near_path(course, header.path) if done.before is None else None
        if near:
            print(f"note: the course has app/{near}; if you meant that, `%undo` takes this file back")
        self.imported.forget()
        self._prove_import(header, self._chapter_of(header, cell))
        self.bindings.renew()

    def _say_lost(self, before: Standing, header: Header | None = None) -> None:
        """Say which exercises had passed with what is not there any more, but for the one that a cell is for."""
        now = standing(self.course, self.workspace, header.path if header else None)
        lost = [id for id in before.lost(now) if header is None or id != header.exercise]
        if lost:
            print(
                f"note: {', '.join(lost)} had passed before this change: `%check {' '.join(lost)}` tells what is so now"
            )

    def _chapter_of(self, header: Header, cell: str) -> int | None:
        """Return the number of the chapter that a cell is from; None for one of the learner's own."""
        step = timeline(self.course).find(header, clean(cell))
        return step.chapter if step else None

    def _prove_import(self, header: Header, chapter: int | None) -> None:
        """Import the module in the worker first, so that its code can neither stop nor end this kernel."""
        path = header.path
        module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        found = self.worker.can_import("" if module == "__init__" else module, self.workspace.app_dir)
        if found.outcome is not Outcome.PASSED:
            lines = [f"app/{path} is written, but it cannot be imported: {found.got}"]
            lines += [f"your code: {found.where}"] if found.where else []
            missing = re.search(r"(?:No module named|cannot import name '\w+' from) '(app[\w.]*)'", found.got)
            hint = self.advice.on_import(missing[1], found.got, chapter) if missing else ""
            hint = hint or self.advice.on_name_in(path, found.got, header.exercise, chapter) or found.hint
            raise Told("\n".join([*lines, "", f"hint: {hint}"] if hint else lines))

    def newest(self) -> Any:
        """Return the app as its files are now, also when they were changed in an editor.

        Raises:
            Told: it cannot be imported.
        """
        if not (self.workspace.app_dir / "main.py").is_file():
            hint = self.advice.on_import("app.main", "") or "write app/main.py"
            raise Told(f"there is no app/main.py yet\n\nhint: {hint}")
        changed = self.imported.refresh()
        try:
            app = self.imported.app()
        except CannotImport as error:
            raise Told(self._mended(error)) from None
        if changed:
            self.bindings.renew()
        return app

    def _mended(self, error: CannotImport) -> str:
        """Return an error; where a module is no Python, with the kept version that brings it back."""
        cause = error.__cause__
        if isinstance(cause, SyntaxError) and cause.filename:
            file, app_dir = Path(cause.filename).resolve(), self.workspace.app_dir.resolve()
            if file.is_relative_to(app_dir):
                hint = remedy(self.workspace, file.relative_to(app_dir).as_posix())
                return f"{str(error).partition(chr(10) * 2)[0]}\n\nhint: {hint}"
        return str(error)

    @line_magic
    def check(self, line: str) -> None:
        """Check an exercise, `%check 2.2`, or several, or a chapter, `%check 2`; bare, the one you are at.

        With `--anew` it is run again, also where nothing has changed since.
        """
        named = [word for word in line.split() if word != ANEW]
        chosen = list(dict.fromkeys(one.id for word in named or [self._here()] for one in self._select(word)))
        if not named:
            self._say_where(chosen[0])
        known = None if ANEW in line.split() else self._known(chosen)
        reports = [known] if known else self._checked(chosen)
        for one in reports:
            record(self.course, self.workspace, one, "%check")
            one.notice = one.notice or (UNCHANGED.format(one.exercise) if known else "")
            if one.outcome is Outcome.NOT_ATTEMPTED:
                self._say_gap(one)
        unwritten = f"note: the newest cell was not written: app/{self.unwritten} was checked as it was before"
        if len(reports) == 1:
            reports[0].notice = unwritten if self.unwritten else reports[0].notice
            show(report.text(reports[0]), panel.as_html(reports[0]))
        else:
            notices = [unwritten] if self.unwritten else [one.notice for one in reports if one.notice]
            print(*notices, sep="\n", end="\n" if notices else "")
            show(progress.table_text(reports), progress.table_html(reports))
        failed = [one for one in reports if not one.passed]
        if failed:
            names = ", ".join(one.exercise for one in failed)
            why = "the panel above says why" if len(reports) == 1 else f"`%check {failed[0].exercise}` says why"
            raise Told(f"not passed: {names} ({why})")

    def _say_gap(self, found: CheckReport) -> None:
        """Let a check say first that files are missing which earlier chapters make."""
        missing = gap(self.course, self.workspace, self.course.chapter(self.course.exercises[found.exercise].chapter))
        if missing:
            found.hint, found.second = missing, ""

    def _here(self) -> str:
        """Return the exercise that a bare command means: of the newest cell, or the next one, best of this notebook."""
        if self.current in self.course.exercises:
            return self.current
        found, here = standing(self.course, self.workspace), chapter_of(self.course, self._notebook)
        open_here = [one.id for one in here.exercises if one.id in found.open] if here else []
        return next(iter([*open_here, *found.open, *self.course.exercises]), "")

    def _say_where(self, id: str) -> None:
        """Say in which notebook an exercise stands, where it is another than this one."""
        here, chapter = chapter_of(self.course, self._notebook), self.course.chapter(self.course.exercises[id].chapter)
        if here is not None and here.number != chapter.number:
            print(f"note: {id} stands in notebooks/{chapter.name}.ipynb")

    def _known(self, chosen: list[str]) -> CheckReport | None:
        """Return the report on a single exercise, where nothing has changed since."""
        return self.known.get(chosen[0], self._stamp(chosen[0])) if len(chosen) == 1 else None

    def _stamp(self, id: str) -> str:
        return self.known.stamp(self.course.exercises[id].chapter)

    def _checked(self, chosen: list[str]) -> list[CheckReport]:
        """Check exercises, a few at a time; say how far it is."""
        if len(chosen) == 1:
            stamp = self._stamp(chosen[0])
            found = self.worker.check(self.course, chosen[0], self.workspace.app_dir)
            self.known.keep(stamp, found)
            return [found]
        reports: list[CheckReport] = []
        with Shown() as say:
            for start in range(0, len(chosen), FEW):
                say("checking", start, len(chosen))
                reports += self.worker.check_all(self.course, chosen[start : start + FEW], self.workspace.app_dir)
        return reports

    def _select(self, line: str) -> list[Any]:
        try:
            return self.course.select(line.strip())
        except WorkbookError as error:
            raise Told(str(error)) from None

    @line_magic
    def solution(self, line: str) -> None:
        """Show a solution beside your code, after it passed or with `--anyway`: `%solution 2.2`."""
        from workbook.learner import solution

        words = shlex.split(line)
        anyway = "--anyway" in words
        chosen = self._select(" ".join(word for word in words if word != "--anyway"))
        if len(chosen) != 1:
            raise Told("name one exercise\n\nhint: `%solution 2.2`")
        try:
            text = solution.compare(self.course, chosen[0], self.workspace, anyway=anyway)
        except WorkbookError as error:
            raise Told(str(error)) from None
        show(text, solution.as_html(text))

    @line_magic
    def catchup(self, line: str) -> None:
        """Fill in what is missing or failing before a chapter, `%catchup 3`; bare, before this notebook's."""
        from workbook.catchup import plan as catchup

        before = standing(self.course, self.workspace)
        try:
            with Shown() as say:
                done = catchup.run(self.course, self.workspace, self.worker, line.strip() or self._chapter(), say)
        except WorkbookError as error:
            raise Told(str(error)) from None
        self.unwritten = ""
        self.imported.forget()
        self.bindings.renew()
        print(done)
        self._say_lost(before)

    def _chapter(self) -> str:
        """Return the number of the notebook's chapter; "" where nothing tells which it is."""
        here = chapter_of(self.course, self._notebook)
        return str(here.number) if here else ""

    @line_magic
    def progress(self, line: str) -> None:
        """Show where you stand, in the whole course or in one chapter: `%progress 2`."""
        chapters = {exercise.chapter for exercise in self._select(line)} if line.strip() else {None}
        text = progress.overview(self.course, self.workspace, chapters.pop())
        show(text, progress.as_html(text))

    @line_magic
    def undo(self, line: str) -> None:
        """Take back the newest change, of one file if you name it, or bring a version back: `%undo 15`."""
        self._restored(lambda: versions.undo(self.workspace, line))

    @line_magic
    def redo(self, _line: str) -> None:
        """Take back the newest `%undo`."""
        self._restored(lambda: versions.redo(self.workspace))

    def _restored(self, restore: Callable[[], str]) -> None:
        """Bring files back, and say what that takes away."""
        before = standing(self.course, self.workspace)
        try:
            said = restore()
        except WorkbookError as error:
            raise Told(str(error)) from None
        self.unwritten = ""
        self.imported.forget()
        self.bindings.renew()
        print(said)
        self._say_lost(before)

    @line_magic
    def history(self, line: str) -> None:
        """List the kept versions, of one file if you name it, or show one: `%history 15`; `%history all` lists all."""
        try:
            print(versions.listed(self.workspace, line))
        except WorkbookError as error:
            raise Told(str(error)) from None

    @line_magic
    def serve(self, line: str) -> None:
        """Start your app on a free port of this machine, or stop it: `%serve`, `%serve stop`."""
        if line.strip() == "stop":
            print("stopped" if self.live.stop() else "no server runs")
            return
        port = self.live.start(self.newest())
        print(f"your app runs at http://127.0.0.1:{port}/docs (stop it with `%serve stop`)")

    @cell_magic
    def repair(self, line: str, cell: str) -> None:
        """Write a module of chapter 15's target: `%%repair items/service.py --merge`."""
        from workbook.practice import target  # only that chapter's notebook needs it

        try:
            header = parse_header(line)
            target.current().repair(header.path, cell, merge=header.merge)
        except WorkbookError as error:
            raise Told(str(error).replace("%%app", "%%repair")) from None
        print(f"the target's {header.path}: written; `await target.verdict()` starts it anew and examines it")

    def follow(self) -> None:
        """Note what the cells import from the package: those that were run before, and each that is run from now on."""
        assert self.shell is not None
        for source in self.shell.user_ns.get("In", []):
            self.bindings.note(plain_code(source))
        self.shell.events.register("pre_run_cell", self._follow_files)
        self.shell.events.register("post_run_cell", self._note)

    def _follow_files(self, _info: Any) -> None:
        """Renew what was imported when the files have changed elsewhere: in an editor, or by another notebook."""
        if self.imported.refresh():
            self.bindings.renew()

    def _note(self, result: Any) -> None:
        self.bindings.note(plain_code(result.info.raw_cell or ""))

    def close(self) -> None:
        """Stop what was started."""
        self.live.stop()
        self.worker.close()
        with suppress(ValueError):  # it was not registered, or IPython has ended already
            if self.shell is not None:
                self.shell.events.unregister("pre_run_cell", self._follow_files)
                self.shell.events.unregister("post_run_cell", self._note)


def load(shell: InteractiveShell) -> None:
    """Register the magics, warm the worker in the background, and say where the learner stands."""
    earlier = getattr(shell, "_workbook", None)
    if earlier is not None:
        earlier.close()
    workspace = Workspace.at(Path.cwd())
    os.environ["PYTHON_COLORS"] = "0"  # a notebook's own subprocesses print plain text, from Python 3.13 on too
    on_path(workspace.app_dir)
    commands = Workbook(shell, workspace)
    commands.worker.warm()
    atexit.register(commands.close)
    shell.register_magics(commands)
    shell._workbook = commands  # type: ignore[attr-defined]
    shell.user_ns["client"] = LazyClient(commands.newest)
    formatter = shell.display_formatter.formatters["text/plain"]  # type: ignore[union-attr]
    formatter.for_type_by_name("httpx", "Response", print_response)
    formatter.for_type(CoroutineType, print_coroutine)
    commands.advice.register()
    commands.follow()
    course = commands.course
    chapter = chapter_of(course, shell)
    if chapter is not None:
        commands.worker.expect(chapter.number)
    said = [progress.greeting(course, workspace), gap(course, workspace, chapter)]
    print("\n".join(filter(None, [*said, *hiding(Path.cwd(), workspace.root)])))
