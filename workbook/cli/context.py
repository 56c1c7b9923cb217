"""What the commands share: workspace, course and worker, the words of the command line, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Names = Annotated[str, typer.Argument(help="An exercise such as 2.2, a chapter such as 2, or nothing for all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]


class Context:
    """What most commands need: workspace, course, and a worker while the command runs."""

    def __init__(self) -> None:
        from workbook.course.index import read_course
        from workbook.learner.workspace import Workspace
        from workbook.running.worker import Worker

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
