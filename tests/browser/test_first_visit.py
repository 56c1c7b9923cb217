"""A newcomer's first half hour, in a real JupyterLab."""

import platform
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.driver import ROOT, SECOND, Newcomer, git
from workbook.course.reading import read_chapter
from workbook.course.release import solved_source
from workbook.proof.answers import Answer, read_answers

CHAPTER = read_chapter(ROOT / "solutions" / "00_start_here.md")
LOAD = "%load_ext workbook"


def solution(id: str) -> str:
    """Give the solved cell of an exercise."""
    return next(solved_source(cell) for cell in CHAPTER.cells if cell.exercise == id)


def wrong_answer(id: str) -> Answer:
    """Give the first wrong answer that the course keeps for an exercise."""
    answers = read_answers(ROOT / "tests" / "answers" / "00_start_here.md", CHAPTER)
    return next(one for one in answers if one.exercise == id and one.kind == "wrong")


def test_opening_a_notebook_and_saving_it_changes_no_file(newcomer: Newcomer, course: Path) -> None:
    """Who opens chapter 00, does nothing, and lets JupyterLab save it, has a clean `git status`."""
    newcomer.save()
    assert git(course, "status", "--porcelain") == ""


def test_a_notebook_that_is_only_looked_at_is_not_changed(newcomer: Newcomer) -> None:
    """JupyterLab does not call a notebook changed that somebody opened, whatever the version of Python."""
    newcomer.page.wait_for_timeout(3 * SECOND)
    assert newcomer.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.model.dirty") is False
    shown = newcomer.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.model.getMetadata('language_info').version"
    )
    assert shown == platform.python_version()


def test_a_first_visit(newcomer: Newcomer, course: Path) -> None:
    """Chapter 00 by clicks and keys: run, fail, read, open a hint, pass, restart, go on, undo."""
    sees_chapter_00_beside_the_files(newcomer)
    runs_the_given_cells(newcomer, course)
    checks_too_early(newcomer)
    gives_a_wrong_answer(newcomer)
    opens_a_hint(newcomer)
    solves(newcomer, "0.1")
    restarts_and_goes_on(newcomer)
    fails_on_the_planted_bug_then_solves_it(newcomer)
    sees_progress(newcomer)
    reads_a_hash_letter_by_letter(newcomer)
    takes_the_last_write_back(newcomer, course)


def sees_chapter_00_beside_the_files(newcomer: Newcomer) -> None:
    """`workbook lab` opens chapter 00, trusted, with the file browser beside it and nothing over it."""
    assert newcomer.title == "notebooks/00_start_here.ipynb"
    expect(newcomer.page.locator("#jp-left-stack .jp-DirListing")).to_be_visible()
    expect(newcomer.page.locator(".jp-Dialog")).to_have_count(0)
    expect(newcomer.page.locator(".Toastify__toast")).to_have_count(0)
    newcomer.photograph("1-landing", 0)
    newcomer.theme("Dark")
    newcomer.reload()
    newcomer.page.screenshot(path=newcomer.screenshots / "2-reloaded-dark.png")
    newcomer.theme("Light")


def runs_the_given_cells(newcomer: Newcomer, course: Path) -> None:
    """The first cells start the workbook, write app/main.py and send a request that finds nothing."""
    load = newcomer.find(LOAD)
    assert newcomer.run(load).strip()
    write = newcomer.find("%%app main.py", after=load)
    assert "app/main.py" in newcomer.run(write)
    assert "FastAPI()" in (course / "app" / "main.py").read_text()
    request = newcomer.find("await client.get", after=write)
    assert "404" in newcomer.run(request)
    newcomer.photograph("3-first-request", request)
    opens_the_file_beside(newcomer)


def opens_the_file_beside(newcomer: Newcomer) -> None:
    """The button in the text opens app/main.py, which needs a notebook that is trusted."""
    newcomer.page.get_by_role("button", name="Open app/main.py").click()
    expect(newcomer.page.locator(".jp-FileEditor .cm-content")).to_contain_text("app = FastAPI()")
    newcomer.page.screenshot(path=newcomer.screenshots / "3-file-beside-light.png")
    newcomer.page.evaluate("() => window.jupyterapp.commands.execute('application:close')")
    newcomer.wait_for_kernel()


def checks_too_early(newcomer: Newcomer) -> None:
    """An exercise that nobody has touched is not attempted, not wrong."""
    assert "exercise 0.1" not in newcomer.run(newcomer.exercise("0.1"))
    check = newcomer.find("%check 0.1")
    assert "not attempted" in newcomer.run(check)
    newcomer.photograph("4-not-attempted", check)


def gives_a_wrong_answer(newcomer: Newcomer) -> None:
    """A wrong answer gets the message that the course promises for it, and no traceback."""
    answer = wrong_answer("0.1")
    place = newcomer.exercise("0.1")
    newcomer.answer(place, answer.cells[0])
    newcomer.run(place)
    check = newcomer.find("%check 0.1")
    said = newcomer.run(check)
    assert answer.message.replace("`", "") in said.replace("`", "")
    assert "Traceback" not in said
    newcomer.photograph("5-wrong", check)


def opens_a_hint(newcomer: Newcomer) -> None:
    """A hint is closed at first and opens at a click."""
    hint = newcomer.page.locator(".jp-RenderedMarkdown details").first
    text = hint.locator("p").first
    expect(text).not_to_be_visible()
    hint.locator("summary").click()
    expect(text).to_be_visible()
    newcomer.photograph("6-hint", newcomer.exercise("0.1") - 1)


def solves(newcomer: Newcomer, id: str) -> None:
    """The course's own solution passes."""
    place = newcomer.exercise(id)
    newcomer.answer(place, solution(id))
    newcomer.run(place)
    check = newcomer.find(f"%check {id}")
    said = newcomer.run(check)
    assert "passed" in said
    assert "wrong" not in said
    newcomer.photograph(f"7-passed-{id}", check)


def restarts_and_goes_on(newcomer: Newcomer) -> None:
    """After a restart of the kernel one cell is enough to go on; what was passed is still there."""
    newcomer.restart()
    assert newcomer.run(newcomer.find(LOAD)).strip()
    after = newcomer.find("%check 0.1")
    assert "200" in newcomer.run(newcomer.find("await client.get", after=after))
    assert "405" in newcomer.run(newcomer.find("await client.post", after=after))


def fails_on_the_planted_bug_then_solves_it(newcomer: Newcomer) -> None:
    """The colleague's code fails on the second request; the repaired one passes."""
    newcomer.run(newcomer.exercise("0.2"))
    check = newcomer.find("%check 0.2")
    said = newcomer.run(check)
    assert "ok, ok" in said
    newcomer.photograph("8-planted-bug", check)
    solves(newcomer, "0.2")


def sees_progress(newcomer: Newcomer) -> None:
    """`%progress` in a cell of one's own counts both exercises as passed."""
    own = newcomer.insert_below(newcomer.find("%check 0.2"), "%progress")
    said = newcomer.run(own)
    assert "0.1" in said
    assert "0.2" in said
    newcomer.photograph("9-progress", own)


def reads_a_hash_letter_by_letter(newcomer: Newcomer) -> None:
    """Dollar signs in a table stay what they are: JupyterLab would set what is between them as mathematics."""
    table = 'from workbook.front.panel import grid\ngrid("users", ["hash"], [["$2b$12$letters"], ["$x^2$"]])'
    own = newcomer.insert_below(newcomer.find("%progress"), table)
    said = newcomer.run(own)
    newcomer.page.wait_for_timeout(SECOND)  # mathematics is set after the output is there
    assert "$2b$12$letters" in said
    assert "$2b$12$letters" in newcomer.output(own)
    expect(newcomer.page.locator(".jp-OutputArea-output mjx-container")).to_have_count(0)


def takes_the_last_write_back(newcomer: Newcomer, course: Path) -> None:
    """`%undo` brings back the file as it was before the last cell wrote it."""
    before = (course / "app" / "main.py").read_text()
    own = newcomer.insert_below(newcomer.find("from workbook.front.panel"), "%undo")
    assert "took back" in newcomer.run(own)
    undone = (course / "app" / "main.py").read_text()
    assert undone != before
    assert "results.append" in undone
    newcomer.photograph("10-undone", own)
