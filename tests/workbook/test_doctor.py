"""The doctor: a sound machine is well, and each fault is named with its repair."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
from pathlib import Path

import pytest

from tests.course.conftest import ROOT
from workbook.install import doctor, lab


def test_this_environment_is_well() -> None:
    """Where the tests run, everything that the lock pins is there in the right version."""
    wrong = [one for one in doctor.diagnose(ROOT) if not one.ok and "build" not in one.name]
    assert wrong == []


def test_a_missing_and_an_outdated_package_are_found(root: Path) -> None:
    """A package that the lock pins and the environment lacks, or has in another version, is named with a repair."""
    lock = root / "requirements.lock"
    lock.write_text(
        "nosuchpackage==1.0 \\\n    --hash=sha256:0\npytest==0.1 \\\n    --hash=sha256:0\n", encoding="utf-8"
    )
    wrong = [one for one in doctor.diagnose(root) if not one.ok]
    text = " ".join(f"{one.name} {one.detail} {one.repair}" for one in wrong)
    assert "nosuchpackage" in text
    assert "pytest" in text
    assert all(one.repair for one in wrong)


def test_a_stale_build_is_found(root: Path) -> None:
    """A course whose notebooks were not built is found."""
    (root / "requirements.lock").write_text("", encoding="utf-8")
    text = " ".join(one.detail + one.repair for one in doctor.diagnose(root) if not one.ok)
    assert "00_demo" in text


def test_a_port_in_use_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`workbook lab --port N` on a port in use says so and ends with status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert lab.in_use(port)
        assert lab.serve([f"--port={port}"], root) == 1
    said = capsys.readouterr().err
    assert f"port {port} is in use" in said
    assert "hint: " in said


def test_a_package_installed_over_another_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """passlib, which an old tutorial names, over libpass: both bring `passlib`, and the versions still agree."""
    (root / "requirements.lock").write_text("libpass==1.9.4 \\\n    --hash=sha256:0\n", encoding="utf-8")
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"passlib": ["libpass", "passlib"]})
    found = doctor.rivals(root)
    assert (found.ok, found.detail) == (False, "passlib was installed over libpass: both bring the module passlib")
    assert "pip uninstall passlib" in found.repair
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"passlib": ["libpass"], "x": ["y", "z"]})
    assert doctor.rivals(root).ok


@pytest.mark.parametrize("path", ["fastapi.py", "notebooks/httpx.py", "email.py", "notebooks/token/__init__.py"])
def test_a_file_that_hides_a_package_is_found(root: Path, path: str) -> None:
    """A scratch file named like a package, where the notebooks or the file browser lie, is named."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("", encoding="utf-8")
    (root / "my_notes.py").write_text("", encoding="utf-8")
    found = doctor.shadows(root)
    assert not found.ok
    assert path in found.detail
    assert "my_notes" not in found.detail


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'\xef\xbb\xbf{"cells": []}', "byte order mark"),
        (b'{"cells": [\n<<<<<<< HEAD\n]}', "marks of a merge"),
        (b'{"cells": [', "JSONDecodeError"),
        (b'{"nothing": 1}', "is no notebook"),
        (b'{"cells": "\xff"}', "UnicodeDecodeError"),
        (b"[]", "is no notebook"),
    ],
)
def test_an_unreadable_notebook_is_found(root: Path, data: bytes, says: str) -> None:
    """A notebook that Jupyter cannot open is named, with what is wrong with it."""
    (root / "notebooks").mkdir(exist_ok=True)
    (root / "notebooks" / "00_demo.ipynb").write_bytes(data)
    found = doctor.notebooks(root)
    assert not found.ok
    assert "00_demo.ipynb" in found.detail
    assert says in found.detail


def test_a_kernel_of_another_python_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own `python3` kernel that Jupyter would choose over the environment's is named, with its folder."""
    assert doctor.kernel().ok
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["/elsewhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = doctor.kernel()
    assert not found.ok
    assert "/elsewhere/bin/python" in found.detail
    assert str(folder) in found.repair
    (folder / "kernel.json").write_text("{", encoding="utf-8")
    assert "cannot read its kernels" in doctor.kernel().detail


def test_files_that_no_check_can_read_are_named(root: Path) -> None:
    """A folder with a module's name and a name that is not UTF-8 are found in app/; an editor's lock file is nobody's."""
    assert doctor.package(root).ok
    (root / "app" / ".#main.py").symlink_to("ada@host.1")
    assert doctor.package(root).ok
    (root / "app" / "x.py").mkdir()
    Path(os.fsdecode(os.fsencode(root / "app") + b"/caf\xe9.py")).write_text("x = 1\n")
    found = doctor.package(root)
    assert not found.ok
    assert "app/x.py: it is a folder with a file's name" in found.detail
    assert r"app/caf\xe9.py: its name is not UTF-8" in found.detail
