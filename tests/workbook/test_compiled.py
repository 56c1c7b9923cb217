"""Bytecode that is made once for each text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from workbook.checking.compiled import Compiled


def folder_of(place: Path, files: dict[str, str]) -> Path:
    """Write modules."""
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text, encoding="utf-8")
    return place


def test_the_same_text_has_the_same_bytecode(tmp_path: Path) -> None:
    """It stands beside each file, also in a new folder; another text has its own; a file with a fault has none."""
    files = {"one.py": "x = 1\n", "rooms/two.py": "x = 2\n", "no.py": "x =\n", "warns.py": 'x = "\\d"\n'}
    compiled = Compiled()
    first, second = folder_of(tmp_path / "a", files), folder_of(tmp_path / "b", files | {"one.py": "x = 3\n"})
    compiled.put(first, files)
    compiled.put(second, files | {"one.py": "x = 3\n"})

    def kept(place: Path, path: str) -> bytes:
        found = Path(importlib.util.cache_from_source(place / path))
        return found.read_bytes() if found.exists() else b""

    assert kept(first, "rooms/two.py") == kept(second, "rooms/two.py") != b""
    assert kept(first, "one.py") != kept(second, "one.py") != b""
    assert not any(kept(place, path) for place in (first, second) for path in ("no.py", "warns.py"))
