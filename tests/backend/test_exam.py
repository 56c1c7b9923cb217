"""The black-box exam: the finished backend passes it, and each of its broken variants fails by the right criterion."""

import ast
import asyncio
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.backend.conftest import APP_DIR, POSTGRES
from tests.backend.exam_variants import VARIANTS, Variant
from tests.backend.serving import ADMIN, examine, served
from tests.backend.support import PASSWORD, SECRET_KEY
from workbook.exam import items, run, told, users
from workbook.exam.cast import Exam
from workbook.exam.client import Answer, Client
from workbook.practice.faults import POOL, TOPICS
from workbook.practice.sabotage import choose, copy, edited

ASKS = re.compile(r"crud\.py|service\.py|^db/")


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> str:
    """A database in a file, where several requests can really meet, or the PostgreSQL of this run."""
    in_memory = database_url == "sqlite+aiosqlite://"
    return f"sqlite+aiosqlite:///{tmp_path}/exam.db" if in_memory else database_url


def test_the_finished_backend_passes(database: str) -> None:
    """Every criterion is asked, and passes, within the backend's own limits."""
    with served(APP_DIR, {"database_url": database}) as url:
        report = examine(url)
    assert report.passed, told.text(report)
    assert not report.of(run.UNASKED), told.text(report)


def asks(variant: Variant) -> bool:
    """Say whether a variant changes what the database is asked."""
    return any(ASKS.search(path) for path, _old, _new in variant.edits)


# the second run has only those: what else is broken looks the same on every database
ASKED = [variant for variant in VARIANTS if asks(variant) or not POSTGRES]


@pytest.mark.parametrize("variant", ASKED, ids=lambda variant: variant.name)
def test_a_broken_backend_fails(variant: Variant, database: str, tmp_path: Path) -> None:
    """The criteria that are about the fault find it."""
    folder = copy(APP_DIR / "app", tmp_path / "broken", variant.edits)
    settings: dict[str, Any] = {"database_url": database, **variant.settings}
    with served(folder, settings, variant.rounds) as url:
        for _ in range(5 if variant.name in TOPICS["race"] else 1):  # a race is won by chance, not at once
            report = examine(url, variant.fails, str(settings.get("secret_key", SECRET_KEY)))
            failed = {one.criterion.name for one in report.of(run.FAILED)}
            if failed == variant.fails:
                break
    assert failed == variant.fails, told.text(report)


def test_the_finished_backend_passes_again_and_again(database: str) -> None:
    """What an exam leaves behind is in no later exam's way; without limits it is asked twice in a row."""
    with served(APP_DIR, {"database_url": database, "rate_limit_enabled": False}) as url:
        reports = [examine(url, limits=False) for _ in range(2)]
    for report in reports:
        assert report.passed, told.text(report)
        assert {one.criterion.exercise for one in report.of(run.UNASKED)} == {"13.6", "13.9"}, told.text(report)


# rows that are deleted, not hidden: then SQLite gives the id of the newest one anew
GONE_FOR_GOOD = [("users/service.py", "user_crud.soft_delete(", "user_crud.delete(")]


def test_what_others_do_meanwhile_is_no_fault(database: str, tmp_path: Path) -> None:
    """After a row is deleted another criterion makes one: some databases give it the id of the one that is gone."""

    async def ask(url: str) -> None:
        exam = Exam(Client(url, 60.0), ADMIN, PASSWORD, last_admin=True)
        ada, plain = await exam.ada(), exam.client.ask

        async def meanwhile(method: str, path: str, **more: Any) -> Answer:
            answer = await plain(method, path, **more)
            if method == "DELETE" and answer.status == 204:
                await exam.item(ada)
                await exam.newcomer()
            return answer

        exam.client.ask = meanwhile  # type: ignore[method-assign]
        try:
            await items.delete_an_item(exam)
            await users.admins_delete_users(exam)
        finally:
            await exam.client.close()

    folder = copy(APP_DIR / "app", tmp_path / "deleting", GONE_FOR_GOOD)
    with served(folder, {"database_url": database, "rate_limit_enabled": False}) as url:
        asyncio.run(ask(url))


def test_what_may_cost_the_admin_is_asked_last() -> None:
    """A backend that is wrong has no admin afterwards, and then nothing else could be told about it."""
    assert run.CRITERIA[-1].name == run.LAST[-1].name == "the_last_admin"


def test_no_variant_comes_twice() -> None:
    """Thirty and more variants, each with a name of its own, and each criterion is needed by one of them."""
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS) >= 30
    needed = {name for variant in VARIANTS for name in variant.fails}
    assert needed == {one.name for one in run.CRITERIA}


def test_any_two_faults_of_chapter_15_fit_together() -> None:
    """Twenty and more faults; whatever the seed chooses, the edits do not meet, and the code can be read."""
    faults = [(topic, fault) for topic, some in POOL.items() for fault in some]
    assert len(faults) >= 20
    package = APP_DIR / "app"
    texts = {str(path.relative_to(package).as_posix()): path.read_text("utf-8") for path in package.rglob("*.py")}
    for (topic, one), (other_topic, other) in combinations(faults, 2):
        if topic == other_topic:
            continue
        edits = [*one.edits, *other.edits]
        found = edited(texts, edits)
        for path in {path for path, _old, _new in edits}:
            ast.parse(found[path])


def test_a_seed_chooses_one_fault_of_each_topic() -> None:
    """The same seed chooses the same faults; all faults are chosen by some."""
    assert choose(POOL, "one") == choose(POOL, "one")
    chosen = [choose(POOL, str(number)) for number in range(200)]
    assert all(set(one) == set(POOL) for one in chosen)
    assert {fault.name for one in chosen for fault in one.values()} == {f.name for some in POOL.values() for f in some}
