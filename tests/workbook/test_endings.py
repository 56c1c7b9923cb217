"""How a function ends: with a result on each way, or not."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from workbook.feedback.endings import falls_off, why_none

FALLING = [
    "x.strip()",
    "if x:\n        return 1",
    "try:\n        return 1\n    except ValueError:\n        pass",
    "while x:\n        return 1",
    "for one in x:\n        return one",
    "match x:\n        case 1:\n            return 1",
]
LEAVING = [
    "return (1, 2) if x else None",
    "if x:\n        return 1\n    else:\n        raise ValueError",
    "try:\n        return 1\n    except ValueError:\n        return 2",
    "try:\n        pass\n    finally:\n        return 1",
    "with x:\n        return 1",
    "while True:\n        x += 1",
    "match x:\n        case 1:\n            return 1\n        case _:\n            return 2",
]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that makes a function of a body."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(body: str) -> Any:
        name = f"body_{abs(hash(body))}"
        (tmp_path / f"{name}.py").write_text(f"def work(x):\n    {body}\n", encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(name).work

    return make


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", FALLING)
def test_a_way_without_a_return_is_found(made: Any, body: str) -> None:
    """The function is told to return what was wanted."""
    assert why_none(made(body), "the pair") == "`work` ends without a `return`: return the pair"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", LEAVING)
def test_a_return_of_none_is_no_missing_return(made: Any, body: str) -> None:
    """Where each way returns or raises, no `return` is said to be missing."""
    assert "returned None here, and the pair was wanted" in why_none(made(body), "the pair")


def test_where_nobody_knows_nothing_is_missing() -> None:
    """A function without a source is not said to lack anything."""
    assert not falls_off(print)
