"""The extensions that the course ends with: the finished backend has none of them, and each can be done and is seen."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.backend.conftest import APP_DIR
from tests.backend.extension_variants import EXTENDED
from workbook.base.trouble import Trouble
from workbook.exam import run
from workbook.practice.extensions import EXTENSIONS, extended, told
from workbook.practice.sabotage import Edit, copy
from workbook.practice.server import Served

# As much of PyJWT as the app calls, for machines where nobody has installed it.
STAND_IN = '''
"""The four names of PyJWT that the app calls."""
from jose import JWTError as PyJWTError
from jose.jwt import decode, encode, get_unverified_header
'''


def look(folder: Path, *names: str, exam: bool = False) -> tuple[list[str], Any]:
    """Serve a package; return what is said of some extensions, and the report of the exam."""

    async def ask() -> tuple[list[str], Any]:
        app = Served(folder)
        try:
            await app.start()
            said = [await told(app, EXTENSIONS[name]) for name in names]
            return said, await app.examine(limits=False) if exam else None
        finally:
            await app.close()

    return asyncio.run(ask())


def test_the_finished_backend_has_none() -> None:
    """Each of the six lines says what is missing."""
    said, _ = look(APP_DIR, *EXTENSIONS)
    assert [line.split()[0] for line in said] == list(EXTENSIONS) == list(EXTENDED)
    assert all(" not yet: " in line for line in said), said


@pytest.mark.parametrize("name", EXTENDED)
def test_an_extension_is_seen_and_breaks_nothing(name: str, tmp_path: Path) -> None:
    """An app with the extension is said to be done, and passes the black-box exam as before."""
    folder = copy(APP_DIR / "app", tmp_path, EXTENDED[name])
    if name == "pyjwt" and importlib.util.find_spec("jwt") is None:
        (folder / "jwt.py").write_text(STAND_IN, encoding="utf-8")
    (said,), report = look(folder, name, exam=True)
    assert said.split(maxsplit=1) == [name, "done"]
    assert not report.of(run.FAILED), [(one.criterion.name, one.got) for one in report.of(run.FAILED)]


HALVES: dict[str, tuple[str, Edit, str]] = {
    "one order only": (
        "keyset",
        ("items/service.py", "Item.id < after if page.sort == '-id' else Item.id > after", "Item.id > after"),
        "sort=-id&after=",
    ),
    "an ETag that never changes": ("etag", ("items/router.py", "-{item.updated_at.timestamp()}", ""), "the ETag that"),
    "If-Match is not read": ("etag", ("items/router.py", "raise Outdated", "pass"), "gives 200, not 412"),
    "a key for everybody": (
        "idempotency",
        ("items/router.py", "idempotency:{service.user.id}:", "idempotency:"),
        "POST /items gives 404",
    ),
    "read, then write": (
        "idempotency",
        (
            "items/router.py",
            "if not await cache.add(name, b'', 86400):",
            "if await cache.get(name) or await __import__('asyncio').sleep(0.3):",
        ),
        "at the same moment make ",
    ),
    "old hashes stay": (
        "argon2",
        ("core/security.py", "return hashed.startswith('$2') or ", "return not hashed.startswith('$2') and "),
        "the old bcrypt hash is still there",
    ),
    "old hashes are refused": (
        "argon2",
        ("core/security.py", "return bcrypt.checkpw(password.encode(), hashed.encode())", "return False"),
        "signs in with 401, not 200",
    ),
    "no signature is asked for": (
        "pyjwt",
        ("core/security.py", "algorithms=[ALGORITHM])", 'algorithms=[ALGORITHM], options={"verify_signature": False})'),
        "8.4 ",
    ),
    "the status is missing": ("problem", ("core/handlers.py", ', "status": status_code}', "}"), "status is None"),
    "the document is as before": (
        "problem",
        ("core/handlers.py", "app.openapi = openapi", "pass"),
        "the document names",
    ),
}


@pytest.mark.parametrize("half", HALVES)
def test_half_an_extension_is_not_done(half: str, tmp_path: Path) -> None:
    """An extension that keeps half of what it promises is told what is missing."""
    name, edit, missing = HALVES[half]
    folder = copy(copy(APP_DIR / "app", tmp_path / "whole", EXTENDED[name]) / "app", tmp_path / "half", [edit])
    if name == "pyjwt" and importlib.util.find_spec("jwt") is None:
        (folder / "jwt.py").write_text(STAND_IN, encoding="utf-8")
    (said,), _ = look(folder, name)
    assert " not yet: " in said
    assert missing in said


def test_the_learners_own_app_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`extended` asks the app of the workspace, for all six or for those that are named; an unknown name is told."""
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setenv("WORKBOOK_APP", str(copy(APP_DIR / "app", tmp_path, EXTENDED["etag"]) / "app"))
    monkeypatch.setenv("WORKBOOK_STATE", str(tmp_path / "state"))
    said = asyncio.run(extended("etag", "keyset")).splitlines()
    assert said[0].split() == ["etag", "done"]
    assert said[1].startswith("keyset       not yet: ")
    with pytest.raises(Trouble, match="there is no extension 'graphql'") as error:
        asyncio.run(extended("etag", "graphql"))
    assert "keyset, etag, idempotency" in str(error.value)
