"""Where things lie; files written whole; history, undo and progress."""

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbook.learner import files
from workbook.learner.root import CourseNotFound, find_root
from workbook.learner.workspace import Workspace, WorkspaceError

REPOSITORY = Path(__file__).resolve().parents[2]
VARIABLES = ("WORKBOOK_ROOT", "WORKBOOK_APP", "WORKBOOK_STATE")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "course"
    (folder / "solutions").mkdir(parents=True)
    (folder / "notebooks").mkdir()
    (folder / "pyproject.toml").write_text("[tool.workbook]\n", encoding="utf-8")
    return folder


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return Workspace.at(root / "notebooks")


def text(workspace: Workspace, path: str) -> str:
    return (workspace.app_dir / path).read_text(encoding="utf-8")


def leftovers(workspace: Workspace) -> list[Path]:
    return list(workspace.app_dir.rglob("*.tmp"))


class TestPlaces:
    def test_the_root_is_found_from_below(self, root: Path) -> None:
        """The course's folder is found from any folder in it."""
        assert find_root(root / "notebooks") == root

    def test_a_broken_pyproject_is_passed_over(self, root: Path) -> None:
        """A pyproject.toml that cannot be read, or is another project's, is not the course's."""
        (root / "notebooks" / "pyproject.toml").write_text("[tool", encoding="utf-8")
        (root / "solutions" / "pyproject.toml").write_text("[tool.ruff]", encoding="utf-8")
        assert find_root(root / "notebooks") == find_root(root / "solutions") == root

    def test_no_course_is_an_error_with_a_hint(self, root: Path) -> None:
        """Outside a course the error names the place and a way out."""
        with pytest.raises(CourseNotFound, match=r"no course at .*\n\nhint: "):
            find_root(root.parent)

    def test_the_environment_goes_first(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """WORKBOOK_ROOT, WORKBOOK_APP and WORKBOOK_STATE override what would be found."""
        monkeypatch.setenv("WORKBOOK_ROOT", str(root))
        monkeypatch.setenv("WORKBOOK_APP", str(root / "other"))
        monkeypatch.setenv("WORKBOOK_STATE", str(root / "state"))
        here = Workspace.at(root.parent)
        assert (here.root, here.app_dir, here.state_dir) == (root, root / "other", root / "state")
        monkeypatch.setenv("WORKBOOK_ROOT", str(root / "missing"))
        with pytest.raises(CourseNotFound, match="missing"):
            find_root()

    def test_a_solution_writes_to_the_finished_backend(self, root: Path) -> None:
        """A notebook in solutions/ writes to solutions/app, any other to app."""
        assert Workspace.at(root / "solutions").app_dir == root / "solutions" / "app"
        here = Workspace.at(root)
        assert here.app_dir == root / "app"
        assert here.notebooks == root / "notebooks"
        assert here.solutions == root / "solutions"
        assert here.checks == root / "tests" / "chapters"
        assert here.answers == root / "tests" / "answers"

    def test_the_state_is_made_when_first_used(self, workspace: Workspace) -> None:
        """Asking for places writes nothing; the first use makes a folder that git ignores."""
        assert not workspace.state_dir.exists()
        workspace.progress()
        assert (workspace.state_dir / ".gitignore").read_text(encoding="utf-8") == "*\n"


class TestWrite:
    def test_a_new_folder_becomes_a_package(self, workspace: Workspace) -> None:
        """Each folder that a change begins gets an empty __init__.py, in the same change."""
        change = workspace.write({"users/schemas.py": b"A = 1\n"}, "cell")
        paths = [file.path for file in change.files]
        assert paths == ["__init__.py", "users/__init__.py", "users/schemas.py"]
        assert text(workspace, "users/__init__.py") == ""

    def test_the_same_content_is_no_change(self, workspace: Workspace) -> None:
        """Writing what is there already records nothing."""
        workspace.write({"a.py": b"1\n"}, "cell")
        again = workspace.write({"a.py": b"1\n"}, "cell")
        assert (again.id, again.files) == (None, ())

    def test_an_editors_version_is_kept(self, workspace: Workspace) -> None:
        """What the learner saved in an editor is in the history once a cell overwrites it."""
        workspace.write({"a.py": b"1\n"}, "cell")
        (workspace.app_dir / "a.py").write_bytes(b"mine\n")
        workspace.write({"a.py": b"2\n"}, "cell")
        assert [version.content for version in workspace.history("a.py")] == [b"mine\n", None]

    def test_none_deletes(self, workspace: Workspace) -> None:
        """None deletes the file, and undo brings it back."""
        workspace.write({"a.py": b"1\n"}, "cell")
        workspace.write({"a.py": None}, "delete")
        assert not (workspace.app_dir / "a.py").exists()
        workspace.undo()
        assert text(workspace, "a.py") == "1\n"

    @pytest.mark.parametrize("path", ["../x.py", "/x.py", "a/../../x.py", "C:/x.py", "a\\x.py", "", "a\0"])
    def test_a_path_outside_is_refused(self, workspace: Workspace, path: str) -> None:
        """Nothing is written outside the package."""
        with pytest.raises(WorkspaceError, match="hint: "):
            workspace.write({path: b""}, "cell")
        with pytest.raises(WorkspaceError, match="hint: "):
            workspace.update(path, lambda _: "", "cell")

    def test_a_symlink_that_leaves_is_refused(self, workspace: Workspace, tmp_path: Path) -> None:
        """A symlink out of the package is not followed, be it a file's or a folder's."""
        workspace.write({"a.py": b""}, "cell")
        try:
            (workspace.app_dir / "users").symlink_to(tmp_path, target_is_directory=True)
            (workspace.app_dir / "b.py").symlink_to(tmp_path / "secret.py")
        except OSError:
            pytest.skip("this system makes no symlinks")
        for path in ("users/x.py", "b.py"):
            with pytest.raises(WorkspaceError, match="symlink"):
                workspace.write({path: b"1"}, "cell")
        assert not (tmp_path / "x.py").exists()
        assert not (tmp_path / "secret.py").exists()

    def test_a_directory_in_the_way_is_named(self, workspace: Workspace) -> None:
        """A folder where the file should be is named, and so is a file where a folder should be."""
        (workspace.app_dir / "a.py").mkdir(parents=True)
        with pytest.raises(WorkspaceError, match=r"a\.py is a folder"):
            workspace.write({"a.py": b""}, "cell")
        workspace.write({"b": b""}, "cell")
        with pytest.raises(WorkspaceError, match="a file stands where a folder"):
            workspace.write({"b/c.txt": b""}, "cell")

    def test_a_read_only_file_is_refused(self, workspace: Workspace) -> None:
        """A read-only file stays as it is, and no change is recorded."""
        workspace.write({"a.py": b"1"}, "cell")
        (workspace.app_dir / "a.py").chmod(0o444)
        with pytest.raises(WorkspaceError, match=r"cannot be written(.|\n)*hint: make"):
            workspace.write({"a.py": b"2"}, "cell")
        (workspace.app_dir / "a.py").chmod(0o644)
        assert text(workspace, "a.py") == "1"
        assert len(workspace.history("a.py")) == 1

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
    def test_a_refusal_half_way_leaves_all_as_it_was(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """If the second of two files cannot be written, the first is put back."""
        workspace.write({"a.py": b"1", "b.py": b"1"}, "cell")
        replace = Path.replace

        def refuse(self: Path, target: Path) -> Path:
            if target.name == "b.py":
                raise OSError(code, os.strerror(code))
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(WorkspaceError, match="hint: "):
            workspace.write({"a.py": b"2", "b.py": b"2"}, "cell")
        assert (text(workspace, "a.py"), text(workspace, "b.py")) == ("1", "1")
        assert len(workspace.history("a.py")) == 1
        assert leftovers(workspace) == []

    @pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such modes")
    def test_the_mode_is_kept(self, workspace: Workspace) -> None:
        """A file keeps its permissions."""
        workspace.write({"a.py": b"1"}, "cell")
        (workspace.app_dir / "a.py").chmod(0o750)
        workspace.write({"a.py": b"2"}, "cell")
        assert (workspace.app_dir / "a.py").stat().st_mode & 0o777 == 0o750

    def test_leftovers_are_swept(self, workspace: Workspace) -> None:
        """A temporary file of a killed process goes with the next write."""
        workspace.write({"users/a.py": b"1"}, "cell")
        (workspace.app_dir / "users" / ".workbook-1-2.tmp").write_bytes(b"half")
        workspace.write({"a.py": b"2"}, "cell")
        assert leftovers(workspace) == []


class TestUpdate:
    def test_it_reads_and_writes_under_one_lock(self, workspace: Workspace) -> None:
        """The function gets the text that is there, None first."""
        seen: list[str | None] = []

        def change(now: str | None) -> str:
            seen.append(now)
            return f"{now}é"

        workspace.update("a.py", change, "cell")
        workspace.update("a.py", change, "cell")
        assert seen == [None, "Noneé"]

    def test_an_exception_changes_nothing(self, workspace: Workspace) -> None:
        """What the function raises comes through; the lock is free again."""
        workspace.write({"a.py": b"1"}, "cell")
        with pytest.raises(ZeroDivisionError):
            workspace.update("a.py", lambda _: str(1 // 0), "cell")
        workspace.update("a.py", lambda now: f"{now}2", "cell")
        assert text(workspace, "a.py") == "12"

    def test_a_file_that_is_not_utf8_is_named(self, workspace: Workspace) -> None:
        """A file in another encoding is left alone, and its first bad byte named."""
        workspace.write({"a.py": b"ab\xe9"}, "cell")
        with pytest.raises(WorkspaceError, match=r"a\.py is not UTF-8: byte 2 is 0xe9"):
            workspace.update("a.py", lambda now: f"{now}", "cell")


class TestHistory:
    def test_undo_goes_back_step_by_step(self, workspace: Workspace) -> None:
        """Each undo takes back one change more; then there is nothing left."""
        for content in (b"1", b"2", b"3"):
            workspace.write({"a.py": content}, f"cell {content!r}")
        for expected in ("2", "1"):
            change = workspace.undo("a.py")
            assert change is not None
            assert text(workspace, "a.py") == expected
        workspace.undo("a.py")
        assert not (workspace.app_dir / "a.py").exists()
        assert workspace.undo("a.py") is None

    def test_undo_loses_nothing(self, workspace: Workspace) -> None:
        """What stood in the file when it was taken back, edited since or not, can be restored."""
        workspace.write({"a.py": b"1"}, "cell")
        workspace.write({"a.py": b"2"}, "cell")
        (workspace.app_dir / "a.py").write_bytes(b"edited")
        workspace.undo()
        assert text(workspace, "a.py") == "1"
        newest = workspace.history("a.py", limit=1)[0]
        assert (newest.content, newest.cause) == (b"edited", "undo: cell")
        workspace.restore(newest.id)
        assert text(workspace, "a.py") == "edited"
        workspace.undo()
        assert text(workspace, "a.py") == "1"

    def test_undo_of_one_file_leaves_the_others(self, workspace: Workspace) -> None:
        """Undo of a path takes back that file alone; a later undo takes back the rest."""
        workspace.write({"a.py": b"1", "b.py": b"1"}, "first")
        workspace.write({"a.py": b"2", "b.py": b"2"}, "second")
        workspace.undo("a.py")
        assert (text(workspace, "a.py"), text(workspace, "b.py")) == ("1", "2")
        workspace.undo()
        assert (text(workspace, "a.py"), text(workspace, "b.py")) == ("1", "1")

    def test_undo_keeps_a_package_that_is_in_use(self, workspace: Workspace) -> None:
        """The __init__.py that a change brought stays while its folder holds another module."""
        workspace.write({"users/a.py": b"1"}, "first")
        (workspace.app_dir / "users" / "mine.py").write_bytes(b"mine")
        workspace.undo()
        assert not (workspace.app_dir / "users" / "a.py").exists()
        assert (workspace.app_dir / "users" / "__init__.py").exists()

    def test_an_unknown_version_is_an_error(self, workspace: Workspace) -> None:
        """Restoring a version that is not there says so."""
        with pytest.raises(WorkspaceError, match="no version 99"):
            workspace.restore(99)

    def test_the_limit_holds(self, workspace: Workspace) -> None:
        """The history lists the newest versions, up to the limit."""
        for number in range(5):
            workspace.write({"a.py": b"%d" % number}, "cell")
        assert [version.content for version in workspace.history(limit=2)] == [b"3", b"2"]


class TestState:
    def test_a_cell_is_remembered(self, workspace: Workspace) -> None:
        """A cell's text is remembered by its key, the newest one."""
        assert workspace.recall_cell("a.py#1.1") is None
        workspace.remember_cell("a.py#1.1", "x = 1")
        workspace.remember_cell("a.py#1.1", "x = 2")
        assert workspace.recall_cell("a.py#1.1") == "x = 2"

    def test_progress_sums_up_attempts(self, workspace: Workspace) -> None:
        """The best points, the last outcome, the first pass and the number of checks are kept."""
        assert workspace.progress() == {}
        for outcome, points in (("wrong", 1), ("passed", 3), ("wrong", 0), ("passed", 3)):
            workspace.record("2.2", outcome, points, 3, "%check")
        workspace.record("2.3", "not attempted", 0, 2, "workbook check")
        found = workspace.progress()
        one, tries = found["2.2"], workspace.attempts("2.2")
        assert (one.best, one.out_of, one.last, one.attempts) == (3, 3, "passed", 4)
        assert (one.passed_at, one.last_at) == (tries[1].time, tries[3].time)
        assert one.last_at.endswith("+00:00")
        assert (one.passed, found["2.3"].passed) == (True, False)
        assert [attempt.outcome for attempt in tries] == ["wrong", "passed", "wrong", "passed"]

    @pytest.mark.parametrize("name", ["state.sqlite3", "lock.sqlite3"])
    def test_a_corrupt_database_is_kept_and_begun_anew(self, workspace: Workspace, name: str) -> None:
        """Garbage in a database file stops nobody: it is moved aside."""
        workspace.state_dir.mkdir()
        (workspace.state_dir / name).write_bytes(b"garbage, not a database" * 300)
        workspace.write({"a.py": b"1"}, "cell")
        assert text(workspace, "a.py") == "1"
        kept = list(workspace.state_dir.glob(f"{name}.broken-*"))
        assert [path.read_bytes()[:7] for path in kept] == [b"garbage"]
        assert len(workspace.notes) == (name == "state.sqlite3")

    @pytest.mark.parametrize("statement", ["CREATE TABLE x (y)", "PRAGMA application_id = 7"])
    def test_a_foreign_database_is_kept(self, workspace: Workspace, statement: str) -> None:
        """Another program's database, under our name, is moved aside and kept."""
        workspace.state_dir.mkdir()
        with sqlite3.connect(workspace.state_dir / "state.sqlite3") as connection:
            connection.execute(statement)
        connection.close()
        workspace.record("1.1", "passed", 1, 1, "%check")
        assert workspace.progress()["1.1"].passed
        assert "kept as" in workspace.notes[0]

    def test_corruption_in_the_middle_is_survived(self, workspace: Workspace) -> None:
        """A database whose pages are overwritten is begun anew, while the files stay."""
        workspace.write({"a.py": b"1" * 20000}, "cell")
        path = workspace.state_dir / "state.sqlite3"
        content = bytearray(path.read_bytes())
        content[2000:] = b"\xff" * (len(content) - 2000)
        path.write_bytes(content)
        workspace.write({"a.py": b"2"}, "cell")
        assert text(workspace, "a.py") == "2"

    def test_a_folder_in_the_databases_place_is_kept(self, workspace: Workspace) -> None:
        """A folder called state.sqlite3 is moved aside."""
        (workspace.state_dir / "state.sqlite3").mkdir(parents=True)
        workspace.record("1.1", "passed", 1, 1, "%check")
        assert workspace.notes

    def test_a_state_folder_that_cannot_be_made_is_named(self, workspace: Workspace) -> None:
        """A file in the place of the state folder gives an error with a hint."""
        workspace.state_dir.write_bytes(b"")
        with pytest.raises(WorkspaceError, match="WORKBOOK_STATE"):
            workspace.progress()

    def test_a_lock_held_for_too_long_is_explained(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        """The learner hears that another notebook writes."""
        monkeypatch.setattr("workbook.learner.database.PATIENCE", 0.05)
        with (
            Workspace.at(workspace.root).database.lock(),
            pytest.raises(WorkspaceError, match="another notebook"),
        ):
            workspace.write({"a.py": b""}, "cell")


MERGES = """
import sys
from pathlib import Path
from workbook.merge.assemble import merge
from workbook.learner.workspace import Workspace
here, name = Workspace.at(Path(sys.argv[1])), sys.argv[2]
for number in range(50):
    cell = f"def {name}{number}():\\n    return {number}\\n"
    here.update("users/many.py", lambda now: merge(now or "", cell), name)
"""

WRITES = """
import sys
from pathlib import Path
from workbook.learner.workspace import Workspace
here = Workspace.at(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    letter = b"abcdefgh"[number % 8:number % 8 + 1]
    here.write({"a.py": letter * 200_000, "b.py": letter * 1000}, "cell")
    number += 1
"""


@pytest.fixture
def start(root: Path) -> Callable[..., subprocess.Popen[str]]:
    def begin(code: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, str(root), *arguments]
        return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)

    return begin


class TestProcesses:
    def test_two_processes_lose_nothing(
        self, workspace: Workspace, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        """Two processes that merge 50 functions each into one module leave all 100 in it."""
        running = [start(MERGES, name) for name in ("left", "right")]
        assert [process.wait(120) for process in running] == [0, 0]
        for process in running:
            process.communicate()
        found = text(workspace, "users/many.py")
        wanted = {f"{name}{number}" for name in ("left", "right") for number in range(50)}
        assert {line[4:-3] for line in found.split("\n") if line.startswith("def ")} == wanted
        assert len(workspace.history("users/many.py", limit=200)) == 100

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
    def test_a_killed_process_leaves_files_whole(
        self, workspace: Workspace, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        """Whenever a writer is killed, each file is whole, and the next write sweeps and works."""
        chance = random.Random(7)
        for _ in range(8):
            process = start(WRITES)
            assert process.stdout
            process.stdout.readline()
            time.sleep(chance.uniform(0.01, 0.15))
            process.kill()
            process.communicate()
            for name, size in (("a.py", 200_000), ("b.py", 1000)):
                path = workspace.app_dir / name
                content = path.read_bytes() if path.exists() else b"x" * size
                assert (len(content), len(set(content))) == (size, 1)
            workspace.write({"c.py": str(chance.random()).encode()}, "next")
            assert leftovers(workspace) == []
        assert workspace.notes == []

    @pytest.mark.parametrize("module", ["merge.assemble", "learner.workspace"])
    def test_the_import_is_light(self, module: str) -> None:
        """Importing the module loads none of the packages that a notebook would have to wait for."""
        heavy = ["pydantic", "sqlalchemy", "fastapi", "httpx", "nbformat", "pytest", "rich", "typer"]
        code = f"import sys, workbook.{module}; print(*sorted(set(sys.modules) & set({heavy})))"
        command = [sys.executable, "-c", code]
        assert subprocess.check_output(command, cwd=REPOSITORY, text=True).split() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are Unix's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A file that is a pipe is refused in words; reading it would wait for ever."""
    os.mkfifo(tmp_path / "main.py")
    with pytest.raises(WorkspaceError, match="is no regular file"):
        files.read(tmp_path / "main.py")
