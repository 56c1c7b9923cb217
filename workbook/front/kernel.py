"""What a notebook's kernel is told besides its commands: a client, how things are shown, which chapter it stands in."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import clear_output

from workbook.base.wording import count
from workbook.checking.finder import Finder
from workbook.course.chapter import Chapter
from workbook.course.index import Course
from workbook.course.timeline import timeline
from workbook.front.frames import shorten
from workbook.learner.workspace import Workspace

OWN = ("workbook",)  # packages that lie in the course's folder, and are installed from there


class LazyClient:
    """The notebook's `client`: an httpx.AsyncClient that is made when it is first used, so that loading is quick.

    Args:
        newest: gives the app as its files are now.
    """

    def __init__(self, newest: Callable[[], Any]) -> None:
        vars(self).update(_newest=newest, _made=None)

    def _client(self) -> Any:
        """Return the client; one that was closed is followed by a new one."""
        if self._made is None or self._made.is_closed:
            from workbook.front.client import notebook_client

            vars(self)["_made"] = notebook_client(self._newest)
        return self._made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._client(), name, value)

    def __dir__(self) -> list[str]:
        return dir(self._client())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()


class Told(Exception):
    """An error whose message says all: Jupyter shows these lines and no traceback, and stops Run All."""

    def _render_traceback_(self) -> list[str]:
        return str(self).split("\n")


class Shown:
    """How far long work is, in a line that is replaced by the next, and at the end by what the command shows."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        return self._say

    def _say(self, text: str, done: int, total: int) -> None:
        clear_output(wait=True)  # type: ignore[no-untyped-call]
        print(f"{text} … {done} of {total}" if total else f"{text} …", flush=True)

    def __exit__(self, *exception: object) -> None:
        clear_output(wait=True)  # type: ignore[no-untyped-call]


def print_response(response: Any, printer: Any, _cycle: bool) -> None:
    """Show a response that a cell ends with: its status line and its body."""
    from workbook.front.client import response_text

    printer.text(response_text(response))


def print_coroutine(coroutine: Any, printer: Any, _cycle: bool) -> None:
    """Show a coroutine that a cell ends with: nobody awaited it, so nothing was done."""
    name = getattr(coroutine, "__qualname__", "it").split(".")[-1]
    coroutine.close()  # else Python warns later, far from the cell
    printer.text(
        f"a coroutine: `{name}` was called without `await`, and has not run\n\nhint: write `await` before the call"
    )


def chapter_of(course: Course, shell: InteractiveShell) -> Chapter | None:
    """Return the chapter whose notebook this is; None where JupyterLab or VS Code does not say."""
    named = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or ""
    found = re.match(r"(\d\d)_", PurePath(str(named).replace("\\", "/")).name)
    number = int(found[1]) if found else None
    return next((chapter for chapter in course.chapters if chapter.number == number), None)


def gap(course: Course, workspace: Workspace, chapter: Chapter | None) -> str:
    """Say that a chapter builds on files that are not there; "" where all are."""
    if chapter is None:
        return ""
    steps = [step for step in timeline(course).steps if step.chapter < chapter.number]
    missing = sorted({step.chapter for step in steps if not (workspace.app_dir / step.path).is_file()})
    if not missing:
        return ""
    what = f"chapter {missing[0]}" if len(missing) == 1 else f"chapters {', '.join(map(str, missing))}"
    return f"This chapter builds on what {what} made, and that is not there: run `%catchup {chapter.number}` first."


class Advice:
    """Adds what to run to an error of a cell that misses what cells above, or earlier chapters, make.

    Args:
        course: gives the index.
        shell: the notebook's.
        app_dir: the learner's package.
    """

    def __init__(self, course: Callable[[], Course], shell: InteractiveShell, app_dir: Path) -> None:
        self._course, self._shell, self._app_dir = course, shell, app_dir

    def register(self) -> None:
        """Let IPython ask for advice whenever an import or a name fails, and shorten the way of an error of the app."""

        def handle(
            shell: Any,
            kind: type[BaseException],
            error: BaseException,
            trace: TracebackType,
            tb_offset: int | None = None,
        ) -> Any:
            left = 0 if hasattr(error, "_render_traceback_") else shorten(error, self._app_dir)
            said = self.on(error) if isinstance(error, ImportError | NameError) else ""
            if not (left or said):
                shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)
                return None
            trace = error.__traceback__ or trace
            lines = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=tb_offset)
            lines = [*lines, "", f"({count(left, 'frame')} of libraries left out)"] if left else lines
            lines = [*lines, "", f"hint: {said}"] if said else lines
            shell._showtraceback(kind, error, lines)
            return lines

        self._shell.set_custom_exc((Exception,), handle)  # type: ignore[no-untyped-call]

    def on(self, error: BaseException) -> str:
        """Return what to do about an error; "" where nothing is known."""
        try:
            if isinstance(error, ImportError):
                return self.on_import(f"{error.name or ''}", str(error))
            return self._on_name(str(getattr(error, "name", "") or ""))
        except Exception:  # advice must never hide the error
            return ""

    def on_import(self, module: str, message: str, chapter: int | None = None) -> str:
        """Return what brings a missing module of the package, or a name in it; `chapter` is that of the cell."""
        if module.split(".")[0] != "app":
            return ""
        named = re.search(r"cannot import name '(\w+)'", message)
        path = "/".join(module.split(".")[1:])
        steps = timeline(self._course()).by_path
        writes = steps.get(f"{path}.py") or steps.get(f"{path}/__init__.py")
        writes = writes or next((found for key, found in steps.items() if key.startswith(f"{path}/")), [])
        name = named[1] if named else ""
        step = next((one for one in writes if name in one.parts or not name), None)
        return "" if step is None else self._run(step.chapter, f"`{name or module}`", chapter)

    def on_name_in(self, path: str, message: str, exercise: str | None, chapter: int | None = None) -> str:
        """Return what brings a name that a module lacks, where another cell of the course gives it there."""
        missing = re.search(r"name '(\w+)' is not defined", message)
        if missing is None:
            return ""
        steps = timeline(self._course()).by_path.get(path, ())
        others = (one for one in steps if exercise is None or one.header.exercise != exercise)
        step = next((one for one in others if missing[1] in bound(one.given)), None)
        return "" if step is None else self._run(step.chapter, f"`{missing[1]}`", chapter)

    def _run(self, number: int, what: str, own: int | None = None) -> str:
        """Return what to run for something that a chapter makes; `own` is the chapter of the cell that misses it."""
        here = chapter_of(self._course(), self._shell)
        stands = own if own is not None else here.number if here else None
        if number == stands:
            return f"a cell above writes {what}: run it (Run > Run All Above Selected Cell)"
        later = stands if stands is not None and stands > number else number + 1
        last = max(chapter.number for chapter in self._course().chapters)
        target = "all" if later > last else str(later)
        return f"{what} comes from chapter {number}: do that chapter first, or run `%catchup {target}`"

    def _on_name(self, name: str) -> str:
        here = chapter_of(self._course(), self._shell)
        for chapter in [here] if here else self._course().chapters:
            if any(name in bound(cell.source) for cell in chapter.cells if cell.kind == "code" and not cell.magic):
                where = "above" if here else f"of chapter {chapter.number}"
                return f"a cell {where} makes `{name}`: run the cells above (Run > Run All Above Selected Cell)"
        return ""


def bound(source: str) -> set[str]:
    """Return the names that a notebook's cell binds; its magics are passed over."""
    code = "\n".join("" if line.startswith(("%", "!")) else line for line in source.split("\n"))
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return set()
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return found


def on_path(app_dir: Path) -> None:
    """Let `import app` find the package; files beside it, and beside the notebook, come after what is installed."""
    sys.dont_write_bytecode = True
    Finder.point(app_dir)
    beside = {"", str(Path.cwd()), str(app_dir.parent)}
    sys.path[:] = [path for path in sys.path if path not in beside] + [path for path in sys.path if path in beside]


def hiding(*folders: Path) -> list[str]:
    """Name the files that are called like a module of Python or of a package: elsewhere they would hide it."""
    installed = [path for path in sys.path if path not in {"", *map(str, folders)}]
    found = []
    for path in [path for folder in dict.fromkeys(folders) for path in sorted(folder.glob("*.py"))]:
        known = path.stem in sys.stdlib_module_names or PathFinder.find_spec(path.stem, installed) is not None
        if known and path.stem not in OWN:
            found.append(
                f"note: {path} is called like the module `{path.stem}`, and one hides the other: rename the file"
            )
    return found
