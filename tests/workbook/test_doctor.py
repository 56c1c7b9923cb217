"""The doctor: a sound machine is well, and each fault is named with its repair."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.course.conftest import ROOT
from workbook import doctor, lab


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
