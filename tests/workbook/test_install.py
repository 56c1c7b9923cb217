"""The installer: the lock as it is, by pip or uv, into whatever is there, on every Python of this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pip
import pytest

from tests.course.conftest import ROOT
from tests.pythons import pythons

UV = Path(sys.prefix, "bin", "uv")
LOCKED = {"alpha": "1.0", "beta": "1.0"}
BACKEND = """
import os
import zipfile

here = os.getcwd()

def build_editable(folder, settings=None, metadata=None):
    name = "course-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as made:
        made.writestr("course-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: course\\nVersion: 1.0\\n")
        made.writestr("course-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\nRoot-Is-Purelib: true\\n")
        made.writestr("course-1.0.dist-info/entry_points.txt", "[console_scripts]\\nworkbook = course_main:main\\n")
        made.writestr("course-1.0.pth", here + "\\n")
        made.writestr("course-1.0.dist-info/RECORD", "")
    return name
"""


def wheel(folder: Path, name: str, version: str, *metadata: str) -> str:
    """Write a package with one module; return the wheel's hash."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in files.items()}
    record = [f"{path},sha256={digest.decode().rstrip('=')},{len(files[path])}" for path, digest in digests.items()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        for inner, text in files.items():
            made.writestr(inner, text)
        made.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    """A web server that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Give the address of a small package index, and a lock that newer releases have overtaken.

    beta 1.0 asks for alpha with an extra, and alpha has a release that is newer than the locked one: with this,
    some pips that resolve anew refuse the whole lock.
    """
    folder = tmp_path_factory.mktemp("index")
    extra = ["Provides-Extra: toml"]
    hashes = {
        "alpha": wheel(folder / "simple" / "alpha", "alpha", "1.0", *extra),
        "beta": wheel(folder / "simple" / "beta", "beta", "1.0", "Requires-Dist: alpha[toml]>=1.0"),
    }
    wheel(folder / "simple" / "alpha", "alpha", "2.0", *extra)
    wheel(folder / "simple" / "beta", "beta", "1.1", "Requires-Dist: alpha[toml]>=2.0")
    wheel(folder / "simple" / "gamma", "gamma", "1.0")
    lock = folder / "requirements.lock"
    lock.write_text("".join(f"{name}=={LOCKED[name]} \\\n    --hash=sha256:{hashes[name]}\n" for name in LOCKED))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/", lock
        server.shutdown()


def settings(home: Path, url: str, uv: bool = False, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment of a new user, with uv on the path or not."""
    tools = home / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    if uv:
        (tools / "uv").symlink_to(UV)
    path = os.pathsep.join([str(tools), "/usr/bin", "/bin"])
    return {
        "HOME": str(home),
        "PATH": path,
        "PIP_INDEX_URL": url,
        "UV_INDEX_URL": url,
        "UV_CACHE_DIR": str(home / "cache"),
    } | dict(more or {})


def install(
    python: str, folder: Path, lock: Path, env: Mapping[str, str], project: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Install a lock into a folder, by the Python of another version, as `make` does."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom workbook.install.installer import Environment, InstallError, install\n"
        "folder, lock, project = sys.argv[1:]\n"
        "try:\n    print(install(Environment(Path(folder)), Path(lock), Path(project) if project else None))\n"
        "except InstallError as error:\n    sys.exit(f'error: {error}')\n"
    )
    command = [python, "-B", "-c", code, str(folder), str(lock), str(project or "")]
    return subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=600, check=False)


def held(folder: Path) -> dict[str, str]:
    """Return the packages of an environment with their versions."""
    code = "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    shown = subprocess.run([folder / "bin/python", "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    found: dict[str, str] = json.loads(shown)
    return found


def has_locked(folder: Path) -> bool:
    """Say whether an environment holds just what the lock names, pip and what it brings aside."""
    return {name: version for name, version in held(folder).items() if name not in ("pip", "setuptools")} == LOCKED


@pytest.mark.parametrize("python", pythons(), ids=lambda path: pythons()[path])
def test_newer_releases_do_not_matter(python: str, index: tuple[str, Path], tmp_path: Path) -> None:
    """The locked versions are installed by the pip of each Python here, and by the newest, whatever was released since."""
    url, lock = index
    bundled, newest = tmp_path / "bundled", tmp_path / "newest"
    done = install(python, bundled, lock, settings(tmp_path, url))
    assert (done.stdout.split()[-1:], has_locked(bundled)) == (["pip"], True), done.stderr
    subprocess.run([python, "-m", "venv", "--without-pip", newest], check=True)
    (site,) = newest.glob("lib/python*/site-packages")
    shutil.copytree(Path(pip.__file__).parent, site / "pip")
    (newest / ".made-by-workbook").touch()
    done = install(python, newest, lock, settings(tmp_path, url))
    assert (done.stdout.split()[-1:], has_locked(newest)) == (["pip"], True), done.stderr


def test_a_users_settings_for_pip_put_nothing_elsewhere(index: tuple[str, Path], tmp_path: Path) -> None:
    """Neither variables nor files with a target, a prefix, a user's folder, constraints or other options change a thing."""
    url, lock = index
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("alpha==2.0\n")
    wrong = {"target": str(tmp_path / "target"), "prefix": str(tmp_path / "prefix"), "constraint": str(constraints)}
    wrong |= {"user": "true", "ignore-installed": "true", "pre": "true", "dry-run": "true", "require-hashes": "true"}
    variables = {f"PIP_{name.replace('-', '_').upper()}": value for name, value in wrong.items()}
    project = a_project(tmp_path / "project")
    env = settings(tmp_path, url, more={**variables, "PYTHONPATH": "/nowhere"})
    done = install(sys.executable, tmp_path / "one", lock, env, project)
    assert done.returncode == 0, done.stderr
    assert held(tmp_path / "one").items() >= {**LOCKED, "course": "1.0"}.items()

    lines = [f"{name} = {value}" for name, value in wrong.items()]
    written = tmp_path / ".config" / "pip" / "pip.conf"
    written.parent.mkdir(parents=True)
    written.write_text("\n".join(["[global]", f"index-url = {url}", "[install]", *lines, ""]))
    env = settings(tmp_path, url)
    del env["PIP_INDEX_URL"]  # it stands in the file now
    done = install(sys.executable, tmp_path / "two", lock, env, project)
    assert done.returncode == 0, done.stderr
    assert held(tmp_path / "two").items() >= {**LOCKED, "course": "1.0"}.items()
    assert not (tmp_path / "target").exists()
    assert not (tmp_path / "prefix").exists()


def a_project(folder: Path) -> Path:
    """Write a project that needs no package to be installed in place."""
    folder.mkdir(exist_ok=True)
    (folder / "backend.py").write_text(BACKEND)
    table = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(table + '[project]\nname = "course"\nversion = "1.0"\n')
    return folder


def test_uv_installs_the_same(index: tuple[str, Path], tmp_path: Path) -> None:
    """Where uv is there it is used, whatever its own settings say; the packages are the same, and pip is there too."""
    url, lock = index
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("alpha==2.0\n")
    more = {"UV_CONSTRAINT": str(constraints), "UV_EXCLUDE_NEWER": "2001-01-01", "UV_SYSTEM_PYTHON": "1"}
    env = settings(tmp_path, url, uv=True, more=more)
    done = install(sys.executable, tmp_path / "env", lock, env, a_project(tmp_path / "project"))
    assert done.stdout.split()[-1:] == ["uv"], done.stderr
    found = held(tmp_path / "env")
    assert found.pop("pip")
    found.pop("setuptools", None)  # Python 3.11 brings it with pip
    assert found == {**LOCKED, "course": "1.0"}


def test_where_uv_fails_pip_installs(index: tuple[str, Path], tmp_path: Path) -> None:
    """A uv that cannot reach the packages is told, and pip does the work."""
    url, lock = index
    env = settings(tmp_path, url, uv=True, more={"UV_INDEX_URL": "http://127.0.0.1:9/simple/", "UV_HTTP_RETRIES": "0"})
    done = install(sys.executable, tmp_path / "env", lock, env)
    assert done.stdout.split()[-1:] == ["pip"], done.stderr
    assert "uv could not install" in done.stderr
    assert has_locked(tmp_path / "env")


def test_an_environment_that_somebody_made_is_kept(index: tuple[str, Path], tmp_path: Path) -> None:
    """One made by uv, without pip and with a package of its owner's, is added to and not thrown away."""
    url, lock = index
    folder, env = tmp_path / "env", settings(tmp_path, url, uv=True)
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, folder], env=env, check=True)
    subprocess.run([UV, "pip", "install", "-q", "--python", folder / "bin/python", "gamma"], env=env, check=True)
    assert "pip" not in held(folder)
    (tmp_path / "tools" / "uv").unlink()
    done = install(sys.executable, folder, lock, env)
    assert done.returncode == 0, done.stderr
    assert held(folder).items() >= {**LOCKED, "gamma": "1.0"}.items()


def test_a_folder_of_somebody_is_never_taken_for_ours(index: tuple[str, Path], tmp_path: Path) -> None:
    """One whose Python is gone gets a new one and keeps its files, also when a later run was stopped halfway."""
    url, lock = index
    folder, env = tmp_path / "env", settings(tmp_path, url, uv=True)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/gone/python")
    (folder / "mine.txt").write_text("keep me")
    assert install(sys.executable, folder, lock, env).returncode == 0
    (folder / ".half-done").touch()
    assert install(sys.executable, folder, lock, env).returncode == 0
    assert held(folder).items() >= LOCKED.items()
    assert (folder / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize("fault", ["too old", "moved", "no python"])
def test_an_unusable_environment_of_somebody_is_named_and_stays(
    fault: str, index: tuple[str, Path], tmp_path: Path
) -> None:
    """A Python that is too old, a moved folder, a Python that is gone: an error with its repair; nothing is deleted."""
    url, lock = index
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text({"too old": "#!/bin/sh\necho 3 10\n", "moved": "#!/bin/sh\necho 3 11\n"}.get(fault, "gone"))
    python.chmod(0o755 if fault != "no python" else 0o644)
    (folder / "bin" / "workbook").write_text("#!/elsewhere/bin/python\n")
    (folder / "mine.txt").write_text("keep me")
    done = install(sys.executable, folder, lock, settings(tmp_path, url))
    assert done.returncode == 1
    assert {"too old": "3.10", "moved": "moved", "no python": "does not start"}[fault] in done.stderr
    assert "hint: make clean" in done.stderr
    assert (folder / "mine.txt").read_text() == "keep me"


def test_our_own_environment_is_made_anew_after_a_move_or_a_stop(index: tuple[str, Path], tmp_path: Path) -> None:
    """One that the installer made, and that was moved or left half done, is thrown away and made anew."""
    url, lock = index
    env, project = settings(tmp_path, url, uv=True), a_project(tmp_path / "project")
    assert install(sys.executable, tmp_path / "first", lock, env, project).returncode == 0
    shutil.move(tmp_path / "first", tmp_path / "second")
    (tmp_path / "second" / "stale.txt").touch()
    assert install(sys.executable, tmp_path / "second", lock, env, project).returncode == 0
    assert not (tmp_path / "second" / "stale.txt").exists()
    (tmp_path / "second" / "stale.txt").touch()
    (tmp_path / "second" / ".half-done").touch()
    assert install(sys.executable, tmp_path / "second", lock, env, project).returncode == 0
    assert not (tmp_path / "second" / "stale.txt").exists()
    (tmp_path / "second" / "stays.txt").touch()
    assert install(sys.executable, tmp_path / "second", lock, env, project).returncode == 0
    assert (tmp_path / "second" / "stays.txt").exists()


def test_a_lock_with_a_hole_is_refused(index: tuple[str, Path], tmp_path: Path) -> None:
    """A lock that lacks what a package of it wants is told, by both names."""
    url, lock = index
    holed = tmp_path / "requirements.lock"
    text = lock.read_text()
    holed.write_text(text[text.index("beta") :])
    done = install(sys.executable, tmp_path / "env", holed, settings(tmp_path, url, uv=True))
    assert done.returncode == 1
    assert "the lock is not complete" in done.stderr
    assert "beta" in done.stderr
    assert "alpha" in done.stderr


def test_a_package_that_was_changed_is_refused(index: tuple[str, Path], tmp_path: Path) -> None:
    """A package whose hash is another than the lock's is not installed, by uv or by pip, and the run says so."""
    url, lock = index
    changed = tmp_path / "requirements.lock"
    lines = lock.read_text().splitlines()
    changed.write_text("\n".join([lines[0], "    --hash=sha256:" + "0" * 64, *lines[2:], ""]))
    done = install(sys.executable, tmp_path / "env", changed, settings(tmp_path, url, uv=True))
    assert done.returncode == 1
    assert "hash" in done.stderr.lower()
    assert "hint: " in done.stderr


def way(heading: str) -> list[str]:
    """Return the commands that the README gives under one of its other ways to install."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Other ways to install")[2]
    fence = re.search(rf"^{heading}[^\n]*\n(?:[^\n]+\n)*\n```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert fence is not None, heading
    return fence[1].splitlines()


def checkout(folder: Path, lock: Path) -> Path:
    """Write a small course with the real installer: its `workbook lab` says that it runs, and with which packages."""
    a_project(folder)
    (folder / "course_main.py").write_text(
        "import sys, alpha, beta\ndef main(): print(sys.argv[1], alpha.version, beta.version)\n"
    )
    (folder / "workbook" / "install").mkdir(parents=True)
    for name in ("__init__.py", "install/__init__.py", "install/__main__.py", "install/installer.py"):
        shutil.copy(ROOT / "workbook" / name, folder / "workbook" / name)
    shutil.copy(lock, folder / "requirements.lock")
    return folder


@pytest.mark.parametrize("heading", ["Without make", "On Windows", "With uv", "With conda"])
def test_the_readmes_other_ways_work(heading: str, index: tuple[str, Path], tmp_path: Path) -> None:
    """Each way of the README, command by command as it stands there, ends with `workbook lab` on the locked packages.

    Windows is played by other names for the same programs, conda by an environment that is active.
    """
    url, lock = index
    folder = checkout(tmp_path / "course", lock)
    env = settings(tmp_path, url, uv=heading == "With uv")
    tools = tmp_path / "tools"
    (tools / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    (tools / "py").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    commands = [line.replace("\\", "/").replace("Scripts", "bin") for line in way(heading)]
    if heading == "With conda":
        assert commands.pop(0) == "conda env create -f environment.yml && conda activate workbook"
        subprocess.run([UV, "venv", "-q", "--python", sys.executable, tmp_path / "conda"], env=env, check=True)
        env |= {"CONDA_PREFIX": str(tmp_path / "conda"), "PATH": f"{tmp_path}/conda/bin:{env['PATH']}"}
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(commands)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[-2:] == ["lab 1.0 1.0", ""], done.stdout + done.stderr


def test_a_base_python_is_not_filled_by_mistake(tmp_path: Path) -> None:
    """`--here` without an active environment is refused, with a hint."""
    command = [sys._base_executable, "-m", "workbook.install", "--here"]  # type: ignore[attr-defined]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "hint: conda activate" in done.stderr) == (1, True)
