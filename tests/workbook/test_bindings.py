"""What a notebook imported from the package, and its client, stay those of the newest files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbook.checking.finder import Finder, forget
from workbook.front.bindings import Bindings
from workbook.front.kernel import LazyClient, hiding, on_path

OLD = "LIMIT = 1\n_hidden = 1\n\ndef limit():\n    return 1\n\nclass Limit:\n    value = 1\n"
CELLS = """
from app.core import limits
import app.core.limits as aliased
import app.core.limits
from app.core.limits import LIMIT, limit as function, Limit
if True:
    from app.core.limits import LIMIT as nested
own = LIMIT
def inner():
    from app.core.limits import LIMIT as local
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a package with one module, importable until the test ends."""
    paths, finders, bytecode = [*sys.path], [*sys.meta_path], sys.dont_write_bytecode
    core = tmp_path / "app" / "core"
    core.mkdir(parents=True)
    for made in (tmp_path / "app", core):
        (made / "__init__.py").touch()
    (core / "limits.py").write_text(OLD)
    forget()
    on_path(tmp_path / "app")
    yield tmp_path / "app"
    sys.path[:], sys.meta_path[:], sys.dont_write_bytecode = paths, finders, bytecode
    forget()


def test_names_that_imports_bound_are_renewed(folder: Path) -> None:
    """Modules, aliases, constants, functions and classes: each name is what its import would bind now."""
    names: dict[str, Any] = {}
    exec(CELLS, names)
    bindings = Bindings(names)
    bindings.note(CELLS)
    (folder / "core" / "limits.py").write_text(OLD.replace("1", "2"))
    forget()
    bindings.renew()
    assert names["limits"].LIMIT == names["aliased"].LIMIT == names["app"].core.limits.LIMIT == 2
    assert (names["LIMIT"], names["nested"], names["function"](), names["Limit"].value) == (2, 2, 2, 2)
    assert (names["own"], "local" in names) == (1, False)


def test_what_the_notebook_bound_itself_stays(folder: Path) -> None:
    """A name that another statement took over is left alone; so is one whose module is broken now."""
    cell = "from app.core.limits import *\nfrom app.core.limits import Limit as Kept"
    names: dict[str, Any] = {}
    exec(cell, names)
    bindings = Bindings(names)
    bindings.note(cell)
    names["LIMIT"] = 7
    (folder / "core" / "limits.py").write_text(OLD.replace("1", "2"))
    forget()
    bindings.renew()
    assert (names["LIMIT"], names["limit"](), names["Kept"].value) == (7, 2, 2)
    (folder / "core" / "limits.py").write_text("raise ValueError")
    forget()
    bindings.renew()
    assert names["limit"]() == 2


def test_files_beside_the_package_hide_nothing_and_are_named(folder: Path) -> None:
    """A scratch file called like a package is imported by nobody, and named when the extension is loaded."""
    for name in ("fractions", "h2_not_there", "uvicorn"):
        (folder.parent / f"{name}.py").write_text("raise RuntimeError('a scratch file')")
    found = "\n".join(hiding(folder.parent, folder.parent))
    assert f"{folder.parent / 'fractions.py'} is called like the module `fractions`" in found
    assert found.count("is called like") == 2
    sys.modules.pop("fractions", None)
    import fractions

    assert fractions.Fraction(1, 2) * 2 == 1
    assert sys.path[-1] == str(folder.parent)
    Finder.point(folder)
    assert [type(one) for one in sys.meta_path].count(Finder) == 1


async def test_the_client_is_one_to_configure_and_to_close(folder: Path) -> None:
    """What is set on the client is used; `async with` works, twice; a closed client is followed by a new one."""
    seen: list[dict[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append({name.decode(): value.decode() for name, value in scope["headers"]} | {"path": scope["path"]})
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    client: Any = LazyClient(lambda: app)
    client.headers = {"x-mine": "1"}
    client.base_url = "http://testserver/api"
    client.cookies = {"a": "b"}
    await client.get("/items")
    assert (seen[-1]["x-mine"], seen[-1]["path"], seen[-1]["cookie"]) == ("1", "/api/items", "a=b")
    for _ in range(2):
        async with client as same:
            assert (await same.get("/")).status_code == 204
    await client.aclose()
    assert (await client.get("/")).status_code == 204
    assert "x-mine" not in seen[-1]
    await client.aclose()
