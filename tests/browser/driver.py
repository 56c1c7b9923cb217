"""A newcomer at JupyterLab: a copy of the course, its server, and a page to click and type in."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1000
READY = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    const context = panel?.sessionContext;
    return !!context && context.isReady && context.kernelDisplayStatus === 'idle';
}"""
QUIET = """() => {
    const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)');
    const idle = panel?.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle';
    const waiting = [...(panel?.querySelectorAll('.jp-InputPrompt') ?? [])].some(one => one.textContent.includes('*'));
    return idle && !waiting;
}"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# All cells stand in the page at once, so that their text can be read; no tour or news covers them.
SETTINGS = {"@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"}}


def copy_course(folder: Path) -> Path:
    """Copy what git keeps of the course, as a clone would hold it, and make it a checkout of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=course", "-c", "user.email=course@localhost", "commit", "--quiet", "-m", "course")
    return folder


def git(folder: Path, *words: str) -> str:
    """Run git in a folder and give its output."""
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def free_port() -> int:
    """Find a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(course: Path, home: Path) -> Iterator[str]:
    """Run `workbook lab` on a course and give its address; the server ends with the block.

    Args:
        course: the copy of the repository.
        home: a folder for JupyterLab's own settings, so that nobody's are read or changed.
    """
    port, token = free_port(), secrets.token_hex(8)
    command = [sys.executable, "-m", "workbook.cli", "lab", "--no-browser", "--expose-app-in-browser"]
    command += ["--port", str(port), f"--IdentityProvider.token={token}"]
    log = home / "lab.log"
    environment = {**os.environ, **_own_folders(home), "PYTHONPATH": str(course)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=course, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_answers(process, port, token, log)
        yield f"http://127.0.0.1:{port}/?token={token}"
    finally:
        _end(process)


def _own_folders(home: Path) -> dict[str, str]:
    for name, values in SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    folders = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
    }
    return {name: str(folder) for name, folder in folders.items()}


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, token: str, log: Path) -> None:
    deadline = time.monotonic() + 300  # only one that hangs needs them
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={token}", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not answer:\n{log.read_text(errors='replace')[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Newcomer:
    """Someone with a notebook open, who clicks, types and reads."""

    def __init__(self, page: Page, screenshots: Path) -> None:
        self.page = page
        self.screenshots = screenshots

    def arrive(self, address: str) -> None:
        """Open the landing page and wait until the notebook's kernel is ready."""
        self.page.goto(address)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel of the notebook in front can run a cell."""
        self.page.wait_for_function(READY, timeout=180 * SECOND)
        self.page.wait_for_timeout(SECOND)  # JupyterLab drops what is run in the first half second

    @property
    def title(self) -> str:
        """Give the file name of the notebook in front."""
        shown = self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")
        return str(shown)

    @property
    def cells(self) -> Locator:
        """Give the cells of the notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell")

    def source(self, index: int) -> str:
        """Read the code of a cell from JupyterLab's own model."""
        script = "i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.getSource()"
        return str(self.page.evaluate(script, index))

    def find(self, start: str, after: int = -1) -> int:
        """Find the first cell below another whose text starts with some words."""
        for index in range(after + 1, self.cells.count()):
            if self.source(index).startswith(start):
                return index
        raise AssertionError(f"no cell below {after} starts with {start!r}")

    def exercise(self, id: str) -> int:
        """Find the cell that an exercise is solved in: the code cell above its check."""
        check = self.find(f"%check {id}")
        return next(index for index in range(check - 1, -1, -1) if self.source(index).startswith("%%app"))

    def answer(self, index: int, code: str) -> None:
        """Put an answer into an exercise's cell, below the `%%app` line that stands there."""
        first = self.source(index).split("\n", 1)[0]
        self.write(index, first + "\n" + code.split("\n", 1)[1].rstrip())

    def write(self, index: int, code: str) -> None:
        """Replace the code of a cell by typing over it."""
        self.cells.nth(index).locator(".cm-content").fill(code)

    def run(self, index: int) -> str:
        """Run a cell with Shift+Enter, as the first chapter says, and give the text under it."""
        cell = self.cells.nth(index)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputArea-editor, .jp-MarkdownOutput").first.click(position={"x": 2, "y": 2})
        if not cell.evaluate("node => node.classList.contains('jp-mod-active')"):
            raise AssertionError(f"cell {index} was not selected by a click")
        self.page.keyboard.press("Shift+Enter")
        self.settle()
        return self.output(index)

    def settle(self) -> None:
        """Wait until nothing runs: three looks in a row."""
        for _ in range(3):
            self.page.wait_for_function(QUIET, timeout=180 * SECOND)
            self.page.wait_for_timeout(SECOND // 10)

    def output(self, index: int) -> str:
        """Read what stands under a cell."""
        return "\n".join(self.cells.nth(index).locator(".jp-OutputArea-output").all_text_contents())

    def insert_below(self, index: int, code: str) -> int:
        """Make a new cell below another, with code in it."""
        self.cells.nth(index).locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("b")
        self.write(index + 1, code)
        return index + 1

    def restart(self) -> None:
        """Restart the kernel by the menu and confirm."""
        self.page.locator(".lm-MenuBar-item", has_text="Kernel").click()
        self.page.locator('.lm-Menu-item[data-command="kernelmenu:restart"]').click()
        self.page.locator(".jp-Dialog button.jp-mod-accept").click()
        self.page.wait_for_timeout(SECOND)
        self.wait_for_kernel()

    def save(self) -> None:
        """Save the notebook in front, as JupyterLab does by itself every half minute."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")

    def theme(self, name: str) -> None:
        """Change the theme: `Light` or `Dark`."""
        wanted = f"JupyterLab {name}"
        self.page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", wanted)
        self.page.wait_for_function("t => document.body.dataset.jpThemeName === t", arg=wanted)
        self.page.wait_for_timeout(SECOND // 2)

    def reload(self) -> None:
        """Load the page anew, as a browser's button does."""
        self.page.reload()
        self.wait_for_kernel()

    def photograph(self, name: str, index: int) -> None:
        """Save a picture of the page around a cell in both themes."""
        for theme in ("Light", "Dark"):
            self.theme(theme)
            self.cells.nth(index).evaluate("node => node.scrollIntoView({block: 'center'})")
            self.page.wait_for_timeout(SECOND // 4)
            self.page.screenshot(path=self.screenshots / f"{name}-{theme.lower()}.png")
        self.theme("Light")
