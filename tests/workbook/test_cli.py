"""The command line: every command on the small course, its text, its JSON and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from workbook.base.errors import WorkbookError
from workbook.cli import main as cli


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Give a function that runs a command in the small course."""
    monkeypatch.chdir(root)
    return Runner()


class Runner:
    """Runs `workbook WORDS…`."""

    def __call__(self, *words: str) -> Result:
        found = CliRunner().invoke(cli.app, list(words))
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found


def test_a_learners_way(run: Runner, root: Path) -> None:
    """Status, check, catch-up, check again, undo: text, JSON and exit status."""
    assert "next: 0.1 A route" in run("status").output
    failed = run("check", "0.1")
    assert (failed.exit_code, "0.1 A route: not attempted" in failed.output) == (1, True)
    assert "filled in:  0.1, 0.2" in run("catchup", "all").output
    passed = run("check", "--json")
    assert passed.exit_code == 0
    assert [one["outcome"] for one in json.loads(passed.stdout)] == ["passed", "passed"]
    assert json.loads(run("status", "--json").output)["0.1"]["attempts"] == 1, "what was filled in is none"
    assert "took back: %catchup" in run("undo").output
    assert not (root / "app/main.py").exists()
    assert "nothing to take back" in run("undo").output
    assert "done again: %catchup" in run("redo").output
    assert (root / "app/main.py").exists()
    number = run("history", "main.py").output.split()[0]
    assert "no app/main.py" in run("history", number).output
    assert "`workbook undo 15`" in run("history").output


def test_build_grade_and_verify(run: Runner, root: Path) -> None:
    """Build, find no drift, grade the solutions with JUnit and JSON, prove the checks and write the table."""
    drift = run("build", "--check")
    assert (drift.exit_code, "notebooks/00_demo.ipynb" in drift.output) == (1, True)
    assert "wrote solutions/app/numbers.py" in run("build").output
    assert run("build", "--check").exit_code == 0
    graded = run("grade", "solutions", "--junit", str(root / "junit.xml"))
    assert (graded.exit_code, "5 of 5 points, 2 of 2 exercises passed" in graded.output) == (0, True)
    assert (root / "junit.xml").read_text(encoding="utf-8").count("<testsuite ") == 2
    untouched = run("grade", ".", "--json", "--only", "0.1")
    assert untouched.exit_code == 1
    assert [one["outcome"] for one in json.loads(untouched.stdout)] == ["not attempted"]
    assert run("verify").exit_code == 1, "the table is not in CONTRIBUTING.md yet"
    assert run("verify", "--write").exit_code == 0
    assert "| 0.2 A sum |" in run("verify", "0.2").output


def test_a_report_that_cannot_be_written_is_told_before_the_work(
    run: Runner, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the JUnit file is made; where it cannot be, nothing is graded. The verdicts are always printed."""
    (root / "app" / "main.py").write_text("x = 1\n")
    graded = run("grade", ".", "--only", "0.2", "--junit", str(root / "no" / "such" / "x.xml"))
    assert "0.2 A sum: not attempted" in graded.output
    assert f"graded: {root / 'app'}" in graded.output
    assert (root / "no" / "such" / "x.xml").read_text(encoding="utf-8").count("<testsuite ") == 1
    monkeypatch.setattr("workbook.grading.grade.grade", lambda *arguments, **named: pytest.fail("graded in vain"))
    with pytest.raises(WorkbookError, match="cannot be written"):
        run("grade", ".", "--junit", str(root / "app" / "main.py" / "x.xml"))


@pytest.mark.parametrize(
    "words", [("check", "7"), ("catchup", "x"), ("catchup",), ("grade", "nowhere"), ("verify", "9.9")]
)
def test_wrong_words_are_told(run: Runner, words: tuple[str, ...]) -> None:
    """A name that is not there is an error in words with a hint."""
    with pytest.raises(WorkbookError, match="hint: "):
        run(*words)


def test_main_tells_errors_without_a_traceback(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program ends with status 2 and the error's text, also outside of a course."""
    monkeypatch.chdir(root.parent)
    monkeypatch.setattr("sys.argv", ["workbook", "status"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: no course at")


def test_every_command_has_help(run: Runner) -> None:
    """`--help` of each command says what it does."""
    listed = run("--help").output
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert command.callback.__name__ in listed
        assert (command.callback.__doc__ or "").split(".")[0][:20] in run(command.callback.__name__, "--help").output
