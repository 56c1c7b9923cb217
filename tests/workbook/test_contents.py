"""Notebooks as JupyterLab reads, saves and trusts them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from workbook.course import build
from workbook.course.notebook import METADATA
from workbook.front.contents import CourseContents, keep_metadata
from workbook.install import lab

OTHER = {"display_name": "R", "language": "R", "name": "ir"}


def write(path: Path, metadata: dict[str, Any]) -> Path:
    """Write a notebook without cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


def saved(path: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata with which JupyterLab's model would be saved over a file."""
    model = {"type": "notebook", "content": {"cells": [], "metadata": json.loads(json.dumps(metadata))}}
    keep_metadata(model, path.name, SimpleNamespace(_get_os_path=lambda name: str(path.parent / name)))
    return model["content"]["metadata"]  # type: ignore[index,no-any-return]


async def test_a_notebook_is_read_with_this_python_and_saved_with_its_own(tmp_path: Path) -> None:
    """What JupyterLab would write as soon as the kernel runs is there already; the file keeps what it had."""
    path = write(tmp_path / "00.ipynb", METADATA)
    kind: Any = CourseContents
    manager: AsyncLargeFileManager = kind(root_dir=str(tmp_path))
    model = await manager.get("00.ipynb")  # type: ignore[no-untyped-call]
    found = model["content"]["metadata"]
    assert found["language_info"]["version"] == sys.version.split()[0]
    assert found["kernelspec"] == METADATA["kernelspec"]
    assert saved(path, found) == METADATA
    write(tmp_path / "r.ipynb", {"kernelspec": OTHER, "language_info": {"name": "R"}})
    model = await manager.get("r.ipynb")  # type: ignore[no-untyped-call]
    assert model["content"]["metadata"]["language_info"] == {"name": "R"}
    assert (await manager.get("", content=False))["type"] == "directory"  # type: ignore[no-untyped-call]


def test_a_new_notebook_keeps_its_kernel(tmp_path: Path) -> None:
    """A notebook made in the lab, whose file names no kernel yet, is saved with the one that was chosen."""
    path = write(tmp_path / "new.ipynb", {})
    assert saved(path, METADATA) == METADATA
    assert saved(tmp_path / "none.ipynb", METADATA) == METADATA
    path.write_text("<<<<<<< HEAD")
    assert saved(path, METADATA) == METADATA


def test_a_changed_kernel_stays(tmp_path: Path) -> None:
    """Who chooses another kernel keeps it; another name of the same kernel changes nothing."""
    path = write(tmp_path / "00.ipynb", METADATA)
    changed = {"kernelspec": OTHER, "language_info": {"name": "R"}}
    assert saved(path, changed) == changed
    renamed = {**METADATA, "kernelspec": {**METADATA["kernelspec"], "display_name": "Python 3.14"}}
    assert saved(path, renamed) == METADATA


def test_one_unreadable_notebook_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebooks after it are trusted; the warning names it and says why."""
    signed: list[Any] = []
    monkeypatch.setattr("nbformat.sign.NotebookNotary", lambda: SimpleNamespace(sign=signed.append))
    broken = write(tmp_path / "01.ipynb", {})
    broken.write_text('{"cells": [\n<<<<<<< HEAD\n')
    lab.trust([write(tmp_path / "00.ipynb", METADATA), broken, write(tmp_path / "02.ipynb", METADATA)])
    assert len(signed) == 2
    assert f"{broken}: it holds the conflict markers of a merge (line 2)" in capsys.readouterr().err


def test_build_names_what_is_wrong_with_a_notebook(root: Path) -> None:
    """A merge that was not finished, and another encoding, are told; a plain difference is a difference."""
    path = write(root / "notebooks" / "00_demo.ipynb", {})
    assert "notebooks/00_demo.ipynb: differs from its source" in build.stale(root)
    path.write_text('{"cells": [\n=======\n>>>>>>> theirs\n')
    assert "notebooks/00_demo.ipynb: it holds the conflict markers of a merge (line 3)" in build.stale(root)
    path.write_bytes(b"\xff\xfe{")
    assert any("notebooks/00_demo.ipynb: it is no notebook" in line for line in build.stale(root))
