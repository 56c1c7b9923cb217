"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from tests.course.conftest import ROOT
from workbook.course.index import Course
from workbook.course.release import learner_source
from workbook.course.snapshot import Snapshot
from workbook.feedback import report
from workbook.running.worker import Worker

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_wrong_answer_gets_what_is_shown(course: Course, worker: Worker, tmp_path: Path) -> None:
    """Chapter 00's cells up to 0.1, answered with "OK", give the panel of the README, letter by letter."""
    package = Snapshot()
    for cell in course.chapters[0].writes:
        package.run(learner_source(cell))
        if cell.exercise == "0.1":
            break
    text = package.files["main.py"]
    given = re.search(r'raise NotImplementedError\("exercise 0.1"\)', text)
    assert given is not None
    package.files["main.py"] = re.sub(r" *# YOUR CODE HERE\n", "", text).replace(given[0], 'return {"status": "OK"}')
    shown = report.text(worker.check(course, "0.1", package.write(tmp_path)))
    block = re.search(r"^```text\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[1].strip() == shown.strip()


def test_uvicorn_serves_the_finished_backend(tmp_path: Path) -> None:
    """The README's command answers on a free port, in a fresh folder without any settings."""
    line = re.search(r"`(uvicorn --app-dir solutions app\.main:app)`", README)
    assert line is not None
    shutil.copytree(ROOT / "solutions" / "app", tmp_path / "solutions" / "app")
    command = [sys.executable, "-m", *line[1].split(), "--port", "0"]
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "SECRET_KEY", "STAGE")}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stderr is not None
            said = ""
            while not (found := re.search(r"running on (http://127\.0\.0\.1:\d+)", said)):
                said += started.stderr.readline()
                assert started.poll() is None, said
            assert httpx.get(f"{found[1]}/health", timeout=60).json() == {"status": "ok"}
        finally:
            started.kill()
