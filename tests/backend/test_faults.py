"""The faults of chapter 15: each fits the finished app, and is found by the attack that is meant for it."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from course_checks.workshops import Workshop, opened
from workbook.course.index import read_course
from workbook.course.snapshot import solved_before, solved_until
from workbook.practice.edits import EDITS
from workbook.practice.faults import POOL, TOPICS
from workbook.practice.replica import replica
from workbook.practice.sabotage import edited
from workbook.practice.target import CHAPTER

ROOT = Path(__file__).parents[2]
MAKER: Any = Workshop
TURNS = {"leak": 2}  # so that the race of two sign-ups meets the fault that makes a 500 of a taken name
CHOICES = [
    {topic: names[(number + TURNS.get(topic, 0)) % len(names)] for topic, names in TOPICS.items()}
    for number in range(max(map(len, TOPICS.values())))
]  # each fault is in one of them, with seven others


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Give the finished app without its tests."""
    found = solved_before(read_course(ROOT, ROOT / ".workbook" / "cache"), CHAPTER).files
    return {path: text for path, text in found.items() if not path.startswith("tests/")}


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Give the course's own suite of attacks."""
    whole = solved_until(read_course(ROOT, ROOT / ".workbook" / "cache"), None).files
    folder = tmp_path_factory.mktemp("attacks")
    replica({path: text for path, text in whole.items() if not path.startswith("tests/")}, "attacking", folder)
    yield importlib.import_module("attacking.attacks.suite")
    for name in [name for name in sys.modules if name.split(".")[0] == "attacking"]:
        del sys.modules[name]
    sys.path.remove(str(folder))


@pytest.mark.parametrize("name", EDITS)
def test_a_fault_fits_once_and_changes_the_app(name: str, files: dict[str, str]) -> None:
    """Each of its texts stands in the app once; what comes out is Python, and differs."""
    found = edited(files, EDITS[name])
    for path, _old, _new in EDITS[name]:
        assert found[path] != files[path]
        compile(found[path], path, "exec")
    assert {path for path in files if found[path] != files[path]} == {path for path, _old, _new in EDITS[name]}


def test_each_fault_has_one_topic() -> None:
    """Every fault is in the pool, once."""
    pooled = [fault.name for faults in POOL.values() for fault in faults]
    assert sorted(pooled) == sorted(EDITS)
    assert all(fault.edits == EDITS[fault.name] for faults in POOL.values() for fault in faults)


@pytest.mark.parametrize(("topic", "name"), [(topic, name) for topic, names in TOPICS.items() for name in names])
def test_the_attack_of_its_topic_finds_it(
    topic: str, name: str, files: dict[str, str], attacks: ModuleType, tmp_path: Path
) -> None:
    """The app with the fault can be imported, and the course's attack of this topic finds something in it."""
    main = MAKER(files, tmp_path).made(EDITS[name], {})
    shop_type = importlib.import_module("attacking.attacks.shop").Shop
    url = f"sqlite+aiosqlite:///{tmp_path}/shop.db"
    slow = 0.05 if name == "two at the same moment" else 0.0  # so that two sign-ups meet

    async def attack() -> list[str]:
        async with opened(main.__name__.partition(".")[0], main, url, slow) as http:
            found: list[str] = await attacks.ATTACKS[topic](shop_type(http))
            return found

    assert asyncio.run(attack())


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice["tokens"])
def test_no_fault_hides_another(
    choice: dict[str, str], files: dict[str, str], attacks: ModuleType, tmp_path: Path
) -> None:
    """On an app with eight faults each of the eight attacks finds something."""
    main = MAKER(files, tmp_path).made(tuple(edit for name in choice.values() for edit in EDITS[name]), {})
    shop_type = importlib.import_module("attacking.attacks.shop").Shop
    url = f"sqlite+aiosqlite:///{tmp_path}/shop.db"
    slow = 0.02 if choice["race"] == "two at the same moment" else 0.0

    async def attack() -> dict[str, list[str]]:
        async with opened(main.__name__.partition(".")[0], main, url, slow) as http:
            found: dict[str, list[str]] = await attacks.attack(shop_type(http))
            return found

    found = asyncio.run(attack())
    assert set(found) == set(TOPICS)
    missed = {topic: some for topic, some in found.items() if not some or some[0].startswith("failed")}
    assert not missed, choice


def test_the_choices_have_every_fault() -> None:
    """Each fault of the pool is in one of the choices that are attacked as a whole."""
    assert {name for choice in CHOICES for name in choice.values()} == set(EDITS)


def test_a_right_app_is_not_accused(files: dict[str, str], attacks: ModuleType, tmp_path: Path) -> None:
    """On the finished app all attacks find nothing."""
    main = MAKER(files, tmp_path).made((), {})
    shop_type = importlib.import_module("attacking.attacks.shop").Shop

    async def attack() -> dict[str, list[str]]:
        async with opened(main.__name__.partition(".")[0], main, f"sqlite+aiosqlite:///{tmp_path}/shop.db") as http:
            found: dict[str, list[str]] = await attacks.attack(shop_type(http))
            return found

    found = asyncio.run(attack())
    assert set(found) == set(TOPICS)
    assert not any(found.values()), found
