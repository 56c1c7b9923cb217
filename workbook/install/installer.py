"""The environment of the course: exactly the packages of requirements.lock, made by whatever is at hand.

The standard library is enough, and the Python that runs this needs no package: `python3 -m workbook.install`.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ((3, 11), (3, 15))
OURS, HALF_DONE = ".made-by-workbook", ".half-done"
REMAKE = "make clean (or delete the folder), then the same command again"
# Of a user's settings for pip only these are obeyed: how to reach the packages. A target folder, a constraint or an
# option for other installations would put packages elsewhere, or others than the lock names.
REACH = frozenset(
    """
    cache-dir cert client-cert default-timeout extra-index-url find-links index-url
    keyring-provider no-cache-dir no-index proxy retries timeout trusted-host
    """.split()  # noqa: SIM905 - a list of so many quoted words is harder to read
)
UV_REACH = re.compile(
    r"UV_(\w*INDEX\w*|FIND_LINKS|CACHE_DIR|CONCURRENT_\w+|CONFIG_FILE|HTTP_\w+|INSECURE_HOST|KEYRING_PROVIDER|LINK_MODE"
    r"|NATIVE_TLS|NO_CACHE|OFFLINE|SYSTEM_CERTS)"
)
RANKS = ("global", "install", ":env:")  # where pip's settings stand: the later wins
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


class InstallError(Exception):
    """The environment cannot be made; carries the reason and one action."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, or the one that is active: a folder with a Python of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        """Return the path of its Python, there or not."""
        if os.name != "nt":
            return self.folder / "bin" / "python"
        conda = self.folder / "python.exe"
        return conda if conda.exists() else self.folder / "Scripts" / "python.exe"

    @property
    def scripts(self) -> Path:
        """Return the folder of its commands."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def marked(self, name: str) -> bool:
        """Say whether this file of ours lies in it."""
        return (self.folder / name).exists()


def install(environment: Environment, lock: Path, project: Path | None) -> str:
    """Make an environment, or bring it up to date, so that it holds what the lock names, in those versions.

    Args:
        environment: what is missing of it is made; one that somebody else made is used as it is, and added to.
        lock: exact versions with hashes. It is complete, so nothing is resolved: no later release can matter.
        project: the course, installed in place; None leaves it out.

    Returns:
        What installed the packages: "uv" or "pip".

    Raises:
        InstallError: the environment cannot be used, or the packages cannot be had, or do not fit together.
    """
    _refuse_python(f"{sys.executable} is", sys.version_info[:2])
    if environment.marked(OURS) and (environment.marked(HALF_DONE) or not _usable(environment)):
        shutil.rmtree(environment.folder)
    if not environment.python.exists():
        _make(environment)
    elif reason := _reason_against(environment):
        raise InstallError(f"{environment.folder}: {reason}\n\nhint: {REMAKE}")
    (environment.folder / HALF_DONE).touch()
    tool = _packages(environment, lock, project)
    _pip(environment)  # `%pip install` needs one, and so does the look at what was installed
    if missing := incomplete(environment, lock):
        raise InstallError("the lock is not complete:\n  " + "\n  ".join(missing) + "\n\nhint: please report it")
    (environment.folder / HALF_DONE).unlink()
    return tool


def _refuse_python(whose: str, version: tuple[int, ...]) -> None:
    oldest, beyond = PYTHONS
    if not oldest <= tuple(version[:2]) < beyond:
        wanted = f"Python {oldest[0]}.{oldest[1]} to {beyond[0]}.{beyond[1] - 1}"
        found = ".".join(map(str, version[:2]))
        hint = "make PYTHON=python3.12, with the path of a Python you have"
        raise InstallError(f"the workbook needs {wanted}, but {whose} {found}\n\nhint: {hint}")


def _make(environment: Environment) -> None:
    print(f"making the environment in {environment.folder}: one or two minutes, once", flush=True)
    if not environment.folder.exists():  # a folder that somebody left here stays theirs; ours is ours also half made
        environment.folder.mkdir(parents=True)
        (environment.folder / OURS).touch()
    if uv := shutil.which("uv"):
        options = ["--quiet", "--allow-existing", "--python", sys.executable]
        if _run([uv, "venv", *options, str(environment.folder)], _uv_settings()).returncode == 0:
            return
    try:
        venv.create(environment.folder, with_pip=True, symlinks=os.name != "nt")
    except (OSError, subprocess.CalledProcessError) as error:
        hint = "on Debian and Ubuntu: apt install python3-venv; or install uv"
        raise InstallError(f"no environment can be made with {sys.executable}: {error}\n\nhint: {hint}") from None


def _usable(environment: Environment) -> bool:
    return environment.python.exists() and not _reason_against(environment)


def _reason_against(environment: Environment) -> str:
    """Return why packages cannot be used from this environment; empty where they can."""
    code = "import sys; print(*sys.version_info[:2])"
    found = _run([str(environment.python), "-I", "-c", code], os.environ)
    if found.returncode:
        return "its Python does not start"
    try:
        _refuse_python("its Python is", tuple(int(part) for part in found.stdout.split()))
    except InstallError as error:
        return str(error).split("\n")[0]
    command = environment.scripts / "workbook"
    if command.is_file() and str(environment.folder) not in command.read_text(encoding="utf-8", errors="replace"):
        return "it was moved or copied here: its commands start the Python of another folder"
    return ""


def _packages(environment: Environment, lock: Path, project: Path | None) -> str:
    """Install with uv where it is there, else, or where uv cannot reach the packages, with pip."""
    if uv := shutil.which("uv"):
        failed = _with([uv, "pip", "install", "--python", str(environment.python)], _uv_settings(), lock, project)
        if failed is None:
            return "uv"
        print(f"uv could not install the packages, so pip tries:\n{failed.strip()}", file=sys.stderr, flush=True)
    pip = _pip(environment)
    failed = _with([*pip, "install"], _pip_settings(pip), lock, project)
    if failed is not None:
        hint = "look at the lines above (is the network there?), then the same command again"
        raise InstallError(f"the packages cannot be installed:\n{failed.strip()}\n\nhint: {hint}")
    return "pip"


def _with(install: list[str], settings: dict[str, str], lock: Path, project: Path | None) -> str | None:
    """Install the lock as it is, and the project; return what the tool said where it failed, else None."""
    steps = [["--require-hashes", "--requirement", str(lock)]]
    steps += [["--no-build-isolation", "--editable", str(project)]] if project else []
    for step in steps:
        found = _run([*install, "--quiet", "--no-deps", *step], settings)
        if found.returncode:
            return found.stderr + found.stdout
    return None


def _pip(environment: Environment) -> list[str]:
    """Return how to call the environment's pip, which is put there first where it is missing."""
    pip = [str(environment.python), "-I", "-m", "pip"]
    if _run([*pip, "--version"], os.environ).returncode:
        found = _run([str(environment.python), "-I", "-m", "ensurepip"], os.environ)
        if found.returncode:
            raise InstallError(
                f"{environment.folder} has no pip, and none can be added\n\nhint: install uv, or {REMAKE}"
            )
    return pip


def _pip_settings(pip: list[str]) -> dict[str, str]:
    """Return the environment for pip: of the user's own settings only those that say how to reach the packages."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    listed = _run([*pip, "config", "list"], os.environ).stdout.splitlines()
    chosen = sorted(filter(None, map(_setting, listed)), key=lambda found: found[0])
    settings |= {f"PIP_{name.replace('-', '_').upper()}": value for _, name, value in chosen}
    return settings | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _setting(line: str) -> tuple[int, str, str] | None:
    """Read a line such as `global.index-url='...'`: its rank, name and value; None for what is not obeyed."""
    where, equals, value = line.partition("=")
    section, _, name = where.rpartition(".")
    if not equals or name not in REACH or section not in RANKS:
        return None
    return RANKS.index(section), name, str(ast.literal_eval(value))


def _uv_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("UV_") or UV_REACH.fullmatch(name)}


def incomplete(environment: Environment, lock: Path) -> list[str]:
    """Return what the packages of the lock want and do not find, a line each; what a learner added does not count."""
    found = _run([str(environment.python), "-I", "-m", "pip", "check"], os.environ)
    locked = {normalized(name) for name in LOCKED.findall(lock.read_text(encoding="utf-8"))}
    lines = (line for line in found.stdout.splitlines() if " requires " in line or " has requirement " in line)
    return [line for line in lines if normalized(line.split()[0]) in locked] if found.returncode else []


def normalized(name: str) -> str:
    """Return a package's name in the form in which two spellings of it are equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(command: Sequence[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=dict(settings), capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def main(words: Sequence[str] | None = None) -> int:
    """Install the course's packages; return the exit status.

    Args:
        words: `[FOLDER]`, by default `.venv` beside this package; `--here` takes the environment that runs this.
    """
    parser = argparse.ArgumentParser(prog="python -m workbook.install", description="Install the course's packages.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".venv", help="the environment's folder")
    parser.add_argument("--here", action="store_true", help="into the environment that runs this, such as conda's")
    chosen = parser.parse_args(words)
    folder = Path(sys.prefix) if chosen.here else chosen.folder.absolute()
    try:
        if chosen.here and sys.prefix == sys.base_prefix and not os.environ.get("CONDA_PREFIX"):
            raise InstallError("no environment is active\n\nhint: conda activate workbook, or leave out --here")
        install(Environment(folder), ROOT / "requirements.lock", ROOT)
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
