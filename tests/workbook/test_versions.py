"""Kept versions: listed, shown, brought back; undone and done again."""

from __future__ import annotations

import sqlite3

import pytest

from workbook.learner import versions
from workbook.learner.database import SCHEMA
from workbook.learner.workspace import Workspace, WorkspaceError


def write(workspace: Workspace, *texts: str, path: str = "users/a.py") -> None:
    """Write a file several times."""
    for text in texts:
        workspace.write({path: text.encode()}, f"cell {text}")


def held(workspace: Workspace, path: str = "users/a.py") -> str | None:
    """Return what a file holds; None where there is none."""
    found = workspace.app_dir / path
    return found.read_text(encoding="utf-8") if found.is_file() else None


def number(workspace: Workspace, content: str) -> int:
    """Return the number of the version that holds a text."""
    return next(one.id for one in workspace.history(limit=99) if one.content == content.encode())


def test_a_version_is_shown_and_brought_back_by_its_number(workspace: Workspace) -> None:
    """The number that the history prints shows the version and brings it back; that can be undone too."""
    write(workspace, "one", "two", "three")
    wanted = number(workspace, "one")
    assert f"{wanted:>5}  until " in versions.listed(workspace, "")
    assert versions.listed(workspace, str(wanted)).endswith(":\n\none")
    assert f"version {wanted} is back" in versions.undo(workspace, str(wanted))
    assert held(workspace) == "one"
    assert "as version" in versions.undo(workspace, str(wanted))
    versions.undo(workspace, "")
    assert held(workspace) == "three"


def test_the_first_version_is_that_there_was_no_file(workspace: Workspace) -> None:
    """To go back to before the first cell deletes the file, and the folder that is empty then."""
    write(workspace, "one", "two")
    first = min(one.id for one in workspace.history("users/a.py"))
    assert "there was no app/users/a.py" in versions.listed(workspace, str(first))
    assert "is gone again" in versions.undo(workspace, str(first))
    assert held(workspace) is None


def test_an_undo_leaves_no_empty_folder(workspace: Workspace) -> None:
    """The `__init__.py` and the folder that a cell made go with its file, for a named file too."""
    for words in ("", "users/a.py"):
        write(workspace, "one")
        (workspace.app_dir / "users" / "__pycache__").mkdir()
        versions.undo(workspace, words)
        assert not (workspace.app_dir / "users").exists()


def test_redo_takes_undos_back_one_by_one(workspace: Workspace) -> None:
    """Two undos, two redos: the newest text is back; then there is nothing, nor after a new change."""
    write(workspace, "one", "two", "three")
    for expected in ("two", "one"):
        versions.undo(workspace, "")
        assert held(workspace) == expected
    for expected in ("two", "three"):
        assert versions.redo(workspace) == f"done again: cell {expected}"
        assert held(workspace) == expected
    assert versions.redo(workspace) == "nothing to do again"
    versions.undo(workspace, "")
    assert held(workspace) == "two"
    write(workspace, "four")
    assert versions.redo(workspace) == "nothing to do again"
    versions.undo(workspace, "")
    assert held(workspace) == "two"


def test_redo_brings_back_what_was_remembered(workspace: Workspace) -> None:
    """What a change remembered goes with an undo and comes with a redo."""
    workspace.write({"a.py": b"1"}, "first", {"a.py#x": "one"})
    workspace.write({"a.py": b"2"}, "second", {"a.py#x": "two", "#y": "new"})
    workspace.undo()
    assert workspace.recall(["a.py#x", "#y"]) == {"a.py#x": "one", "#y": None}
    workspace.redo()
    assert workspace.recall(["a.py#x", "#y"]) == {"a.py#x": "two", "#y": "new"}


def test_what_the_list_leaves_out_is_counted(workspace: Workspace) -> None:
    """Twenty versions are listed, with the number of the others; `all` lists every one."""
    write(workspace, *map(str, range(30)), path="a.py")
    short, whole = versions.listed(workspace, "a.py").split("\n"), versions.listed(workspace, "a.py all").split("\n")
    assert len([line for line in short if "until" in line]) == 20
    assert "10 more: `%history a.py all`" in short
    assert len([line for line in whole if "until" in line]) == 30


def test_a_cell_that_was_not_written_is_shown_and_not_brought_back(workspace: Workspace) -> None:
    """Its text is in the history, but it is no version of the file, and no undo stops at it."""
    write(workspace, "one", "two")
    draft = workspace.keep_draft("users/a.py", "def (", "not written: %%app users/a.py")
    assert versions.listed(workspace, str(draft)).endswith("def (")
    with pytest.raises(WorkspaceError, match="never written"):
        versions.undo(workspace, str(draft))
    versions.undo(workspace, "")
    assert held(workspace) == "one"


@pytest.mark.parametrize("words", ["../x.py", "99", "5x"])
def test_what_is_not_there_is_told(workspace: Workspace, words: str) -> None:
    """A number or file that the history does not know is an error in words."""
    with pytest.raises(WorkspaceError, match="hint: "):
        versions.undo(workspace, words)
    with pytest.raises(WorkspaceError, match="hint: "):
        versions.listed(workspace, words)


def test_an_older_record_is_taken_over(workspace: Workspace) -> None:
    """A database of the schema before this one keeps its history and progress."""
    workspace.state_dir.mkdir()
    connection = sqlite3.connect(workspace.state_dir / "state.sqlite3")
    connection.executescript(f"{SCHEMA} PRAGMA application_id = {0x574B424B}; PRAGMA user_version = 1;")
    connection.execute("INSERT INTO attempts VALUES (1, '2026-01-01T00:00:00+00:00', '0.1', 'passed', 2, 2, '%check')")
    connection.commit()
    connection.close()
    assert workspace.progress()["0.1"].passed
    write(workspace, "one")
    workspace.undo()
    assert workspace.notes == []


def test_what_was_changed_or_deleted_by_hand_is_kept(workspace: Workspace) -> None:
    """The history shows what a cell had written also where an editor or a file browser took it away, once each."""
    write(workspace, "one")
    write(workspace, "other", path="b.py")
    (workspace.app_dir / "users/a.py").unlink()
    (workspace.app_dir / "b.py").write_text("by hand", encoding="utf-8")
    for _again in range(2):
        said = versions.listed(workspace, "")
        assert said.count("app/users/a.py, then deleted by hand") == 1
        assert said.count("app/b.py, then an edit by hand") == 1
    versions.undo(workspace, str(number(workspace, "one")))
    assert held(workspace) == "one"
    assert held(workspace, "b.py") == "by hand"
    assert "deleted by hand" not in versions.listed(workspace, "b.py")


def test_a_folder_in_a_files_place_does_not_stop_the_history(workspace: Workspace) -> None:
    """What cannot be read is passed over; the kept versions of all files are listed as ever."""
    write(workspace, "one", "two")
    (workspace.app_dir / "users/a.py").unlink()
    (workspace.app_dir / "users/a.py").mkdir()
    assert "app/users/a.py, then cell two" in versions.listed(workspace, "")
