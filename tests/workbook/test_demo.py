"""`workbook demo`: the finished backend on this machine, in a process as people start it."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests.demonstration import PATIENCE, demo
from workbook.course import build
from workbook.course.index import read_course

FILL = """
SETTINGS = {"GREETING": "hello"}

def fill(base_url):
    import os
    return [f"at {base_url} we say {os.environ['GREETING']}"]
"""


@pytest.fixture
def built(root: Path) -> Path:
    """The small course with its solutions built."""
    for path, text in build.expected(root, read_course(root)):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return root


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process on Windows")
def test_it_serves_until_it_is_interrupted(built: Path) -> None:
    """It says where it runs, answers there, fills in the sample data first, and ends with status 0."""
    (built / "solutions/sample_data.py").write_text(FILL, encoding="utf-8")
    with demo(built) as started:
        assert started.stdout is not None
        assert "runs" in started.stdout.readline()
        _, url, *words = started.stdout.readline().split()
        assert words == ["we", "say", "hello"]
        assert httpx.get(f"{url}/health").json() == {"status": "ok"}
        started.send_signal(signal.SIGINT)
        assert started.wait(timeout=PATIENCE) == 0


def test_a_port_in_use_is_told(built: Path) -> None:
    """A port that is taken is an error in words, with a hint."""
    with socket.create_server(("127.0.0.1", 0)) as taken, demo(built, taken.getsockname()[1]) as started:
        _, error = started.communicate(timeout=PATIENCE)
    assert (started.returncode, "hint: workbook demo --port 0" in error) == (2, True)


def test_settings_that_are_refused_are_told(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value in the environment that the app refuses is an error in words, with its name and no traceback."""
    main = built / "solutions/app/main.py"
    settings = "from pydantic import BaseModel, EmailStr\nimport os\n\nclass Settings(BaseModel):\n    first_admin_email: EmailStr\n"
    made = "Settings(first_admin_email=os.environ['FIRST_ADMIN_EMAIL'])\n"
    main.write_text(f"{settings}\n{made}{main.read_text(encoding='utf-8')}", encoding="utf-8")
    monkeypatch.setenv("FIRST_ADMIN_EMAIL", "admin@localhost")
    with demo(built) as started:
        _, error = started.communicate(timeout=PATIENCE)
    assert started.returncode == 2
    assert "FIRST_ADMIN_EMAIL=admin@localhost: value is not a valid email address" in error
    assert "hint: correct these variables" in error
    assert "Traceback" not in error


def test_sample_data_that_fails_is_told(built: Path) -> None:
    """Sample data that the app refuses ends the command with the reason."""
    (built / "solutions/sample_data.py").write_text(
        "def fill(base_url):\n    raise ValueError('no')\n", encoding="utf-8"
    )
    with demo(built) as started:
        _, error = started.communicate(timeout=PATIENCE)
    assert (started.returncode, "no sample data: no" in error) == (2, True)
