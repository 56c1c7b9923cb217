"""JupyterLab, started so that a newcomer lands on the first chapter."""

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

FIRST_CHAPTER = "notebooks/00_start_here.ipynb"
CONTENTS = "workbook.front.contents"
PORT_OPTIONS = ("--port", "--ServerApp.port", "--LabApp.port")


def serve(args: list[str], root: Path) -> int:
    """Serve the repository in JupyterLab until it is stopped.

    Args:
        args: options handed on to `jupyter lab`, such as `--no-browser` or `--port 9999`.
        root: the repository; it becomes the server's root, so that notebooks/ and app/ are both in reach.

    Returns:
        The exit status: 0 after a stop, 1 when the wanted port is taken.
    """
    port = wanted_port(args)
    if port and in_use(port):
        print(
            f"error: port {port} is in use\n\nhint: leave out --port, and JupyterLab takes the next free one",
            file=sys.stderr,
        )
        return 1
    os.environ.update(environment(root))
    trust(sorted(root.glob("notebooks/*.ipynb")))
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(argv=[*options(root), *args])
    return 0


def options(root: Path) -> list[str]:
    """Give the options that make JupyterLab this course's own; what a user adds comes after them and wins."""
    chosen = [
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url={landing(root)}",
        f"--ServerApp.contents_manager_class={CONTENTS}.CourseContents",
        f"--ContentsManager.pre_save_hook={CONTENTS}.keep_metadata",
    ]
    if is_root():
        chosen.append("--ServerApp.allow_root=True")
    return chosen


def landing(root: Path) -> str:
    """Give the page that opens first: chapter 00, or the bare Lab where it was not built yet."""
    return f"/lab/tree/{FIRST_CHAPTER}" if (root / FIRST_CHAPTER).is_file() else "/lab"


def environment(root: Path) -> dict[str, str]:
    """Give the variables that hand the course's settings to JupyterLab, and its commands to the terminals in it."""
    config = [str(root / ".jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, config)), "PATH": os.pathsep.join(filter(None, path))}


def trust(notebooks: Iterable[Path]) -> None:
    """Sign notebooks, as `jupyter trust` does, so that their buttons and panels work; the files stay as they are."""
    import nbformat
    from nbformat.sign import NotebookNotary

    try:
        notary = NotebookNotary()
    except Exception as error:  # a home that cannot be written to, a broken database of signatures
        print(f"warning: the notebooks could not be marked as trusted ({error})", file=sys.stderr)
        return
    for path in notebooks:
        try:
            notary.sign(nbformat.read(path, as_version=4))
        except Exception as error:  # nbformat raises many kinds for a file that is no notebook
            from workbook.course.notebook import fault

            said = fault(path) or f"it could not be marked as trusted: {error}"
            print(f"warning: {path}: {said}", file=sys.stderr)


def wanted_port(args: list[str]) -> int | None:
    """Read the port a user asked for, if any."""
    for option, following in zip(args, [*args, ""][1:], strict=True):
        name, _, value = option.partition("=")
        if name in PORT_OPTIONS and (value or following).isdigit():
            return int(value or following)
    return None


def in_use(port: int) -> bool:
    """Say whether something on this machine answers at a port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_root() -> bool:
    """Say whether this is the administrator of a Unix machine, for whom Jupyter wants a word of consent."""
    return getattr(os, "geteuid", lambda: -1)() == 0
