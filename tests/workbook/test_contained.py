"""What a check's process may do and what it may tell; and that its surroundings are those of a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.workbook.conftest import HEALTH, MAIN, PackageMaker
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot
from workbook.feedback import export, panel, report
from workbook.feedback.outcome import Outcome
from workbook.grading import grade
from workbook.running import sandbox, wire
from workbook.running.job import digest
from workbook.running.output import Kept, Stream
from workbook.running.worker import Worker

GOOD = 'return {"status": "ok"}'
contained = pytest.mark.skipif(not sandbox.version(), reason="no Landlock on this system")


def app_with(package: PackageMaker, top: str, body: str = GOOD) -> Path:
    """Return a right app that also runs `top` when it is imported."""
    return package(f"{MAIN}\n{top}\n", HEALTH.replace("{body}", body.replace("\n", "\n    ")))


REWRITE = """
import pathlib, shutil, tempfile
done = []
for target in {targets!r}:
    for change in (lambda p: p.write_text("x"), lambda p: p.unlink(), lambda p: p.rename(str(p) + "2"), shutil.rmtree):
        try:
            change(pathlib.Path(target))
            done.append(target)
        except OSError:
            pass
for folder in {folders!r}:
    try:
        pathlib.Path(folder, "new.py").write_text("x = 1")
        done.append(folder)
    except OSError:
        pass
assert not done, done
pathlib.Path("here.db").write_text("mine")
tempfile.NamedTemporaryFile().write(b"mine")
"""


@contained
def test_a_check_can_write_to_its_scratch_folder_only(
    root: Path, course: Course, worker: Worker, package: PackageMaker
) -> None:
    """Checks, engine, solutions, the package itself, the environment, HOME and /tmp cannot be changed; scratch can."""
    engine, checks = Path(sandbox.__file__), root / "tests/chapters/test_00_demo.py"
    targets = [checks, engine, root / "solutions/00_demo.md", root / "pyproject.toml"]
    folders = [*{path.parent for path in targets}, Path(os.__file__).parent, Path.home(), Path("/tmp")]
    app = app_with(package, REWRITE.format(targets=list(map(str, targets)), folders=list(map(str, folders))))
    before = checks.read_text(encoding="utf-8"), digest(app)
    found = worker.check(course, "0.1", app)
    assert found.passed, report.text(found)
    assert (checks.read_text(encoding="utf-8"), digest(app)) == before
    assert found.provenance.isolation == sandbox.ISOLATED


def test_without_a_sandbox_a_changed_check_gives_no_verdict(
    root: Path, course: Course, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system holds nothing back, a submission that rewrites the checks gets no points, and the next neither."""
    monkeypatch.setenv("WORKBOOK_NO_SANDBOX", "1")
    checks = root / "tests/chapters/test_00_demo.py"
    soft = checks.read_text(encoding="utf-8").replace('expect.json(response, {"status": "ok"}', "print(")
    top = f"import pathlib\npathlib.Path({str(checks)!r}).write_text({soft!r})"
    with Worker(root) as made:
        found = made.check(course, "0.1", app_with(package, top))
        assert (found.outcome, found.points) == (Outcome.BROKE, 0)
        assert "no verdict: these files of the course changed while the check ran" in found.note
        assert str(checks) in found.note
        assert found.provenance.isolation == "none"


@contained
def test_no_signal_reaches_a_process_outside(course: Course, worker: Worker, package: PackageMaker) -> None:
    """The worker can be neither stopped nor killed by what it checks."""
    if sandbox.version() < 6:
        pytest.skip("this kernel's Landlock does not know signals")
    top = "import os\ntry:\n    os.kill(os.getppid(), 19)\n    raise RuntimeError('sent')\nexcept PermissionError:\n    pass"
    assert worker.check(course, "0.1", app_with(package, top)).passed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere no system call adopts orphans")
def test_a_child_in_a_session_of_its_own_ends_with_the_check(
    course: Course, worker: Worker, package: PackageMaker, tmp_path: Path
) -> None:
    """`start_new_session=True` does not let a process outlive its check, nor does a fork of a fork."""
    mark = f"987.{os.getpid()}"
    top = f"""
import os, subprocess
subprocess.Popen(["sleep", "{mark}"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "{mark}"])
    os._exit(0)
"""
    assert worker.check(course, "0.1", app_with(package, top)).passed
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [line for line in running if mark.encode() in line]


@pytest.mark.parametrize("name", ["fastapi", "email", "token", "typing", "httpx"])
def test_a_scratch_file_hides_no_module(root: Path, course: Course, package: PackageMaker, name: str) -> None:
    """A file of the learner's beside app/ that is called like a library is nobody's library."""
    (root / f"{name}.py").write_text("raise RuntimeError('a scratch file')\n")
    (root / "fractions.py").write_text("raise RuntimeError('a scratch file, imported late')\n")
    shutil.rmtree(root / "app")
    app_with(package, f"import {name}, email.message, fractions").rename(root / "app")
    with Worker(root) as made:
        found = made.check(course, "0.1", root / "app")
    assert found.passed, report.text(found)


def test_the_environment_that_python_needs_is_passed_on(
    root: Path, course: Course, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LD_LIBRARY_PATH reaches the worker; a worker that cannot start says what it wrote."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/somewhere")
    top = "import os\nassert os.environ['LD_LIBRARY_PATH'] == '/opt/somewhere'"
    with Worker(root) as made:
        assert made.check(course, "0.1", app_with(package, top)).passed
    broken = [sys.executable, "-c", "raise SystemExit('libpython3.so: cannot open shared object file')"]
    monkeypatch.setattr("workbook.running.worker.launcher", lambda module: broken)
    with Worker(root) as made:
        found = made.check(course, "0.1", app_with(package, ""))
    assert found.outcome is Outcome.BROKE
    assert "cannot open shared object file" in report.text(found)


SURROUNDINGS = """
import faulthandler, sys
sys.stdout.reconfigure(encoding="utf-8", errors="strict", line_buffering=True)
sys.stdout.buffer.write("bytes, too\\n".encode())
sys.stdout.flush()
faulthandler.enable()
assert (sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.isatty()) == (1, 2, False)
print("said by print", file=sys.stderr)
"""


def test_the_streams_are_those_of_a_server(course: Course, worker: Worker, package: PackageMaker) -> None:
    """What uvicorn takes at import, the check takes: reconfigure, buffer, fileno, faulthandler."""
    found = worker.check(course, "0.1", app_with(package, SURROUNDINGS))
    assert found.passed, report.text(found)
    assert "bytes, too\nsaid by print" in found.output


GROUP = """
from contextlib import asynccontextmanager
import anyio
@asynccontextmanager
async def lifespan(app):
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)
        yield
        group.cancel_scope.cancel()
app = FastAPI(lifespan=lifespan)
"""


def test_a_task_group_may_live_in_the_lifespan(course: Course, worker: Worker, package: PackageMaker) -> None:
    """The lifespan is entered and left in one task, as a server does it."""
    found = worker.check(course, "0.1", app_with(package, GROUP))
    assert found.passed, report.text(found)


def test_stray_surrogates_and_escapes_reach_no_reader(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A lone surrogate in a right app, and terminal escapes in a wrong one, are shown as escapes in every form."""
    found = worker.check(course, "0.1", app_with(package, r'print("\ud83d", "\x1b[2J")'))
    assert found.passed
    wrong = worker.check(course, "0.1", app_with(package, "", r'raise ValueError("\ud83d \x1b[2J")'))
    assert wrong.outcome is Outcome.RAISED
    for one in (found, wrong):
        said = [export.as_json([one]), export.as_junit([one]), report.text(one), panel.as_html(one)]
        assert json.loads(said[0])[0]["exercise"] == "0.1"
        for form in said:
            assert "\x1b" not in form
            form.encode()


def test_a_hundred_megabytes_of_error_text_are_cut(course: Course, worker: Worker, package: PackageMaker) -> None:
    """An error message without end neither fills the report nor takes minutes."""
    found = worker.check(course, "0.1", app_with(package, "", 'raise ValueError("x" * 100_000_000)'))
    assert found.outcome is Outcome.RAISED
    assert len(report.text(found)) < 200_000


def test_what_a_process_tells_is_bounded_and_whole() -> None:
    """Half a line, a line without end, and messages of another shape are no messages."""
    lines = wire.Lines()
    assert lines.add(b'{"a"') == []
    assert lines.add(b": 1}\n{") == [b'{"a": 1}']
    assert lines.add(b"x" * wire.LINE + b"\n") == []
    assert lines.add(b"next\n") == [b"next"]
    assert lines.received < wire.ALL
    lines.add(b"y" * wire.ALL)
    assert lines.flooded
    said: Any
    for said in ({"criterion": 5}, {"collected": [1]}, {"total": "soon"}, {"started": None, "attempts": []}, 7):
        message = {**said, "nonce": "n"} if isinstance(said, dict) else said
        assert wire.parse(json.dumps(message).encode(), "n") is None
    assert wire.parse(b'{"done": true, "nonce": "n"}', "other") is None
    assert wire.parse(b'{"done": true, "nonce": "n"}', "n") == {"done": True, "nonce": "n"}


def test_forged_messages_spoil_only_themselves(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Half a line and an exit, or a criterion of another shape, end neither the report nor the worker."""
    for words in ("b'{\"criterion\": '", "b'{\"criterion\": 5}\\n' * 3"):
        top = f"import os\nfor handle in range(3, 20):\n    try: os.write(handle, {words})\n    except OSError: pass\n"
        began = time.monotonic()
        assert worker.check(course, "0.1", app_with(package, "", f"{top}os._exit(0)")).outcome is Outcome.RAISED
        assert time.monotonic() - began < 120
    assert worker.check(course, "0.1", app_with(package, "")).passed


def test_an_exit_is_told_where_the_exercise_is_not_found(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Code that ends the process is no exercise that nobody attempted."""
    app = package("%%app numbers.py\nimport os\nos._exit(0)\nmine = 1\n")
    found = worker.check(course, "0.2", app)
    assert found.outcome is Outcome.RAISED
    assert "your code ended the whole process (exit status 0)" in report.text(found)


def test_odd_files_in_the_package_stop_no_check(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A name that is not UTF-8, an editor's lock link, a folder `x.py` and a pipe: the check works, and so does a copy."""
    app = app_with(package, "")
    known = digest(app)
    Path(os.fsdecode(os.fsencode(app) + b"/caf\xe9.py")).write_text("x = 1\n")
    (app / ".#main.py").symlink_to("ada@host.1234")
    (app / "x.py").mkdir()
    os.mkfifo(app / "pipe.py")
    assert worker.check(course, "0.1", app).passed
    assert worker.check(course, "0.2", app).outcome is Outcome.NOT_ATTEMPTED
    assert digest(app) == known
    assert set(Snapshot.read(app).files) == {"__init__.py", "main.py"}


SEES_VARIANTS = """
from workbook import expect
from workbook.checks import exercise
from workbook.checking.suite import Variant


@exercise("0.2", limit=25)
def test_variants(load, suite):
    \"\"\"A variant is what its tests see, though the learner's own package was imported before\"\"\"
    load("numbers")
    (ran,) = suite.run([Variant("other", files={"numbers.py": "def add(a, b): return 99\\n"}, own=True)], limit=20)
    expect.that(ran.good, got=ran.summary())
"""


def test_a_variant_is_what_its_tests_see(root: Path, course: Course, worker: Worker, package: PackageMaker) -> None:
    """The learner's tests import the variant's package, and not the one that the check has imported already."""
    (root / "tests/chapters/test_00_demo.py").write_text(SEES_VARIANTS, encoding="utf-8")
    mine = "%%app tests/test_numbers.py\nfrom app.numbers import add\n\ndef test_add():\n    assert add(1, 1) == 99\n"
    found = worker.check(course, "0.2", package("%%app numbers.py\ndef add(a, b): return a + b\n", mine))
    assert found.passed, report.text(found)


def test_kept_output_counts_what_it_drops() -> None:
    """The first characters stay, the rest is counted, whoever writes them."""
    kept = Kept(5)
    stream = Stream(kept, 1)
    print("abc", end="", file=stream)
    stream.buffer.write(b"defgh")
    assert kept.text() == "abcde\n… 3 more characters"


def test_names_that_are_not_utf8_do_not_stop_the_guard_of_the_tests(tmp_path: Path) -> None:
    """The guard of the working tree reads git's names as bytes."""
    from tests import conftest

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("x")
    kept, conftest.ROOT = conftest.ROOT, tmp_path
    try:
        (entry,) = conftest.working_tree()
    finally:
        conftest.ROOT = kept
    entry.encode()
    assert "caf" in entry


def test_a_report_says_what_it_rests_on(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Text, JSON and JUnit name what was graded, what was left out, whose checks ran, and what held the code."""
    app = app_with(package, "")
    (app / "link.py").symlink_to("main.py")
    reports, found = grade.grade(course, [worker], app.parent, [course.exercises["0.1"]])
    note = "app/link.py is left out: it is a link to main.py, and links are not followed"
    checks = str(worker.root / "tests" / "chapters")
    for said in (grade.text(reports, found), export.as_json(reports), export.as_junit(reports)):
        for part in (str(app), note, checks, "SHA-256", sandbox.isolation()):
            assert part in said
