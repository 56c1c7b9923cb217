"""What the browser's tests share: a course of their own, a server, Chromium, and a person at the keyboard."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.driver import Newcomer, chromium, copy_course, served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium; without one, skip, or fail where WORKBOOK_REQUIRE_BROWSER=1 asks for it."""
    if not shutil.which("chromium"):
        reason = "Chromium is not installed (on Debian: apt-get install chromium)"
        if os.environ.get("WORKBOOK_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def course(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a fresh copy of the course, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("lab") / "the course"
    folder.mkdir()
    return copy_course(folder)


@pytest.fixture(scope="module")
def address(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run `workbook lab` and give the address that it prints."""
    with served(course, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def newcomer(browser: Browser, address: str, tmp_path: Path) -> Iterator[Newcomer]:
    """Give someone who looks at the page that `workbook lab` opens."""
    screenshots = Path(os.environ.get("WORKBOOK_SCREENSHOTS") or tmp_path)
    screenshots.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    try:
        someone = Newcomer(context.new_page(), screenshots)
        someone.arrive(address)
        yield someone
    finally:
        context.close()
