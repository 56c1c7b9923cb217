"""The notebook's commands: %%app, %check, %solution, %catchup, %progress, %undo, %history, %serve."""

from __future__ import annotations

import atexit
import importlib
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import display

from workbook import progress, report
from workbook.assemble import CellError, describe, parse_header
from workbook.cells import Placement
from workbook.course import Course, read_course
from workbook.errors import WorkbookError
from workbook.header import Header
from workbook.imported import CannotImport, Imported
from workbook.panel import Panel
from workbook.server import LiveServer
from workbook.verdict import Outcome
from workbook.worker import Worker
from workbook.workspace import Workspace


class LazyClient:
    """The notebook's `client`: an httpx.AsyncClient that is made when it is first used, so that loading is quick.

    Args:
        newest: gives the app as its files are now.
    """

    def __init__(self, newest: Callable[[], Any]) -> None:
        self._newest = newest

    def __getattr__(self, name: str) -> Any:
        if "_made" not in vars(self):
            from workbook.client import notebook_client

            self._made = notebook_client(self._newest)
        return getattr(self._made, name)


def print_response(response: Any, printer: Any, _cycle: bool) -> None:
    """Show a response that a cell ends with: its status line and its body."""
    from workbook.client import response_text

    printer.text(response_text(response))


class Told(Exception):
    """An error whose message says all: Jupyter shows these lines and no traceback, and stops Run All."""

    def _render_traceback_(self) -> list[str]:
        return str(self).split("\n")


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
        self.live = LiveServer()
        self.imported = Imported(workspace.app_dir)

    @property
    def course(self) -> Course:
        """Return the index of the chapters, as the sources are now."""
        return read_course(self.workspace.root, self.workspace.state_dir / "cache")

    @cell_magic
    def app(self, line: str, cell: str) -> None:
        """Write a module of `app`: `%%app users/schemas.py [--merge]`."""
        try:
            header = parse_header(line)
            summary = self._write(header, cell)
        except WorkbookError as error:
            raise Told(str(error)) from None
        lost = " (`%undo` brings it back)" if "removed" in summary else ""
        print(f"app/{header.path}: {summary}{lost}")
        self.imported.forget()
        self._prove_import(header.path)
        self._rebind()

    def _write(self, header: Header, cell: str) -> str:
        placement = Placement.of(header, cell, self.workspace)
        texts: list[str | None] = []

        def change(existing: str | None) -> str:
            texts[:] = [existing, placement.text(existing)]
            return str(texts[1])

        cause = f"%%app {header.path}" + (f" ({header.exercise})" if header.exercise else "")
        self.workspace.update(header.path, change, cause)
        placement.remember(self.workspace)
        said = " (run again: what other cells added stays)" if placement.again else ""
        return describe(texts[0], str(texts[1])) + said

    def _prove_import(self, path: str) -> None:
        """Import the module in the worker first, so that its code can neither stop nor end this kernel."""
        module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        found = self.worker.can_import("" if module == "__init__" else module, self.workspace.app_dir)
        if found.outcome is not Outcome.PASSED:
            lines = [f"app/{path} is written, but it cannot be imported: {found.got}"]
            lines += [f"your code: {found.where}"] if found.where else []
            raise Told("\n".join([*lines, "", f"hint: {found.hint}"] if found.hint else lines))

    def newest(self) -> Any:
        """Return the app as its files are now, also when they were changed in an editor.

        Raises:
            Told: it cannot be imported.
        """
        changed = self.imported.refresh()
        try:
            app = self.imported.app()
        except CannotImport as error:
            raise Told(str(error)) from None
        if changed:
            self._rebind()
        return app

    def _rebind(self) -> None:
        """Point names that the notebook imported from `app` at the new modules' objects."""
        assert self.shell is not None
        names: dict[str, Any] = self.shell.user_ns
        for name, value in list(names.items()):
            owner = str(getattr(value, "__module__", None) or "")
            if owner.split(".")[0] == "app" and hasattr(value, "__qualname__"):
                try:
                    names[name] = getattr(importlib.import_module(owner), value.__qualname__, value)
                except Exception:  # another module is broken; its own cell or check says so
                    continue

    @line_magic
    def check(self, line: str) -> None:
        """Check an exercise, `%check 2.2`, or several, or a chapter, `%check 2`."""
        words = line.split() or [""]
        chosen = list(dict.fromkeys(exercise.id for word in words for exercise in self._select(word)))
        reports = self.worker.check_all(self.course, chosen, self.workspace.app_dir)
        for one in reports:
            self.workspace.record(one.exercise, one.outcome.value, one.points, one.out_of, "%check")
        if len(reports) == 1:
            show(report.text(reports[0]), report.as_html(reports[0]))
        else:
            show(progress.table_text(reports), progress.table_html(reports))
        failed = [one for one in reports if not one.passed]
        if failed:
            names = ", ".join(one.exercise for one in failed)
            raise Told(f"not passed: {names} (the panel above says why)")

    def _select(self, line: str) -> list[Any]:
        try:
            return self.course.select(line.strip())
        except WorkbookError as error:
            raise Told(str(error)) from None

    @line_magic
    def solution(self, line: str) -> None:
        """Show a solution beside your code, after it passed or with `--anyway`: `%solution 2.2`."""
        from workbook import solution

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
        """Fill in what is missing or failing before a chapter: `%catchup 3`. What passes stays yours."""
        from workbook import catchup

        try:
            done = catchup.run(self.course, self.workspace, self.worker, line.strip())
        except WorkbookError as error:
            raise Told(str(error)) from None
        self.imported.forget()
        self._rebind()
        print(done)

    @line_magic
    def progress(self, line: str) -> None:
        """Show where you stand, in the whole course or in one chapter: `%progress 2`."""
        chapters = {exercise.chapter for exercise in self._select(line)} if line.strip() else {None}
        text = progress.overview(self.course, self.workspace, chapters.pop())
        show(text, progress.as_html(text))

    @line_magic
    def undo(self, line: str) -> None:
        """Take back the newest change, of one file if you name it: `%undo users/schemas.py`."""
        try:
            change = self.workspace.undo(parse_header(line).path if line.strip() else None)
        except CellError:
            raise Told(f"{line.strip()!r} is no file of app/\n\nhint: `%undo`, or `%undo users/schemas.py`") from None
        except WorkbookError as error:
            raise Told(str(error)) from None
        self.imported.forget()
        self._rebind()
        print(f"took back: {change.cause.removeprefix('undo: ')}" if change else "nothing to take back")

    @line_magic
    def history(self, line: str) -> None:
        """List the kept versions, of one file if you name it: `%history users/schemas.py`."""
        for version in self.workspace.history(line.strip() or None):
            print(f"{version.id:>5}  {version.time}  {version.path}  {version.cause}")

    @line_magic
    def serve(self, line: str) -> None:
        """Start your app on a free port of this machine, or stop it: `%serve`, `%serve stop`."""
        if line.strip() == "stop":
            print("stopped" if self.live.stop() else "no server runs")
            return
        port = self.live.start(self.newest())
        print(f"your app runs at http://127.0.0.1:{port}/docs (stop it with `%serve stop`)")

    def close(self) -> None:
        """Stop what was started."""
        self.live.stop()
        self.worker.close()


def load(shell: InteractiveShell) -> None:
    """Register the magics, warm the worker in the background, and say where the learner stands."""
    earlier = getattr(shell, "_workbook", None)
    if earlier is not None:
        earlier.close()
    workspace = Workspace.at(Path.cwd())
    sys.dont_write_bytecode = True
    folder = str(workspace.app_dir.parent)
    sys.path[:] = [folder, *[path for path in sys.path if path != folder]]
    commands = Workbook(shell, workspace)
    commands.worker.warm()
    atexit.register(commands.close)
    shell.register_magics(commands)
    shell._workbook = commands  # type: ignore[attr-defined]
    shell.user_ns["client"] = LazyClient(commands.newest)
    formatter = shell.display_formatter.formatters["text/plain"]  # type: ignore[union-attr]
    formatter.for_type_by_name("httpx", "Response", print_response)
    print(progress.greeting(commands.course, workspace))
