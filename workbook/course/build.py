"""All chapters built: notebooks/, solutions/*.ipynb and solutions/app, cached by content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from pathlib import Path

import nbformat

from workbook.base import engine
from workbook.base.tree import content
from workbook.course import notebook, release
from workbook.course.chapter import Chapter, SourceError
from workbook.course.execution import dumps, execute
from workbook.course.index import Course, read_course
from workbook.course.snapshot import Snapshot
from workbook.course.snapshot import writes as _writes
from workbook.course.stable import nbval_rules, stable_text
from workbook.merge.assemble import CellError, check_syntax

MINE = "mine"  # the folder for notebooks that were worked in, beside those that replace them
# what a notebook is made by, and what its cells call
ENTRIES = ("course/build", "front/magics", "show")
Say = Callable[[str], None]


def build(root: Path, say: Say = lambda _text: None) -> list[str]:
    """Build what changed; return what was done, a line for each path relative to `root`.

    Raises:
        SourceError: a source breaks a rule.
        BuildError: a solved notebook does not run.
    """
    course = read_course(root, _cache(root))
    made = dict(expected(root, course))
    kept = [moved for path, text in made.items() if (moved := _keep(root, path, text))]
    written = [path for path, text in made.items() if _write(root / path, text)]
    for chapter, text in _executed(root, course, course.chapters, say):
        target = root / "solutions" / f"{chapter.name}.ipynb"
        if not (target.is_file() and comparable(target.read_text(encoding="utf-8")) == comparable(text)):
            _write(target, text)
            written.append(f"solutions/{chapter.name}.ipynb")
        _mark_fresh(root, course, chapter)
    removed = [path for path in _strays(root, course, set(made)) if _remove(root / path)]
    return kept + [f"wrote {path}" for path in written] + [f"removed {path}, which no source makes" for path in removed]


def _keep(root: Path, path: str, text: str) -> str:
    """Put a learner's notebook out of the way before it is replaced; return what was done, empty where nothing was."""
    target = root / path
    replaced = path.startswith("notebooks/") and target.is_file() and _read(target) != text
    if not replaced or notebook.is_untouched(target):
        return ""
    names = chain([target.name], (f"{target.stem}-{number}.ipynb" for number in count(2)))
    mine = next(found for name in names if not (found := target.parent / MINE / name).exists())
    mine.parent.mkdir(exist_ok=True)
    target.replace(mine)
    return f"kept your {path} as {mine.relative_to(root).as_posix()}"


def _executed(
    root: Path, course: Course, chapters: Iterable[Chapter], say: Say = lambda _text: None
) -> Iterator[tuple[Chapter, str]]:
    """Run each of the solved chapters whose result is not cached, as many at once as there are cores."""

    def run(chapter: Chapter) -> tuple[Chapter, str]:
        say(f"running {chapter.name}")
        return chapter, execute(root, course, chapter)

    chapters = [chapter for chapter in chapters if not _is_fresh(root, course, chapter)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
        yield from executor.map(run, chapters)


def stale(root: Path, *, run: bool = False) -> list[str]:
    """Return the built files that do not agree with their sources, with the reason.

    Args:
        run: also run every solved notebook whose result is not cached, and compare the outputs.
    """
    course = read_course(root, _cache(root))
    made = dict(expected(root, course))
    whole: list[Chapter] = []
    found = [f"{path}: {_difference(root / path)}" for path, text in made.items() if _read(root / path) != text]
    for chapter in course.chapters:
        target = root / "solutions" / f"{chapter.name}.ipynb"
        if not target.is_file():
            found.append(f"solutions/{target.name}: missing")
        elif fault := notebook.fault(target):
            found.append(f"solutions/{target.name}: {fault}")
        elif _sources(target) != [release.solved_source(cell) for cell in chapter.cells]:
            found.append(f"solutions/{target.name}: its cells differ from its source")
        else:
            whole.append(chapter)
    for chapter, text in _executed(root, course, whole if run else []):
        target = root / "solutions" / f"{chapter.name}.ipynb"
        kept, fresh = comparable(target.read_text(encoding="utf-8")), comparable(text)
        differing = [number for number, pair in enumerate(zip(kept, fresh, strict=True), 1) if pair[0] != pair[1]]
        found += [f"solutions/{target.name}: a fresh run gives cell {number} another output" for number in differing]
        if not differing:
            _mark_fresh(root, course, chapter)
    return found + [f"{path}: no source makes it" for path in _strays(root, course, set(made))]


def _difference(path: Path) -> str:
    """Say what is wrong with a built file that is not as its source makes it."""
    fault = notebook.fault(path) if path.suffix == ".ipynb" and path.is_file() else ""
    return fault or ("differs from its source" if path.is_file() else "missing")


def expected(root: Path, course: Course) -> Iterator[tuple[str, str]]:
    """Yield the path and text of every built file that needs no run."""
    yield "tests/course/nbval.cfg", nbval_rules()
    package = Snapshot()
    for chapter in course.chapters:
        _validate_code(root, chapter)
        yield f"notebooks/{chapter.name}.ipynb", dumps(notebook.notebook(chapter, with_solutions=False))
    for cell in _writes(course):
        package.run(release.solved_source(cell))
    with tempfile.TemporaryDirectory(prefix="workbook-") as folder:
        app = package.write(Path(folder))
        for path in sorted(app.rglob("*.py")):
            yield f"solutions/app/{path.relative_to(app).as_posix()}", path.read_text(encoding="utf-8")


def _validate_code(root: Path, chapter: Chapter) -> None:
    """Refuse a cell whose solution or stub is no Python, with the source's own line."""
    for cell in chapter.writes:
        for kind, code in (("solution", release.solved(cell.body)), ("stub", release.stub(cell.body, "0.0"))):
            try:
                check_syntax(code + "\n", cell.argument)
            except CellError as error:
                path = root / "solutions" / f"{chapter.name}.md"
                raise SourceError(path, cell.line, f"the {kind} is no Python: {error}", "repair it") from None


def comparable(text: str) -> list[object]:
    """Return what a run must repeat: the cells' sources and their outputs, without the engine's own status lines."""
    found: list[object] = []
    for cell in json.loads(text)["cells"]:
        outputs = json.dumps(cell.get("outputs", []), sort_keys=True)
        found.append((cell["source"], stable_text(outputs)))
    return found


def _sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def _cache(root: Path) -> Path:
    return Path(os.environ.get("WORKBOOK_STATE") or root / ".workbook") / "cache"


def _key(root: Path, course: Course, chapter: Chapter) -> str:
    """Return a digest of all that a chapter's run depends on."""
    digest = hashlib.sha256()
    for earlier in course.chapters:
        if earlier.number < chapter.number:  # only what it builds
            digest.update("\0".join(cell.source for cell in earlier.writes).encode())
    digest.update(chapter.model_dump_json().encode())
    checks = [*(root / "tests" / "chapters").glob(f"test_{chapter.number:02d}_*.py")]
    checks += [root / "tests" / "chapters" / "conftest.py"]
    entries = [engine.FOLDER / f"{name}.py" for name in ENTRIES]
    files = engine.behind([*entries, *checks], engine.FOLDER, engine.shared(root))
    files += [root / "requirements.lock", *checks]
    for path in sorted(files):
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def _is_fresh(root: Path, course: Course, chapter: Chapter) -> bool:
    target = root / "solutions" / f"{chapter.name}.ipynb"
    mark = _cache(root) / f"run-{chapter.name}"
    if not (target.is_file() and mark.is_file()):
        return False
    built = hashlib.sha256(target.read_bytes()).hexdigest()
    return mark.read_text(encoding="utf-8") == f"{_key(root, course, chapter)} {built}"


def _mark_fresh(root: Path, course: Course, chapter: Chapter) -> None:
    target = root / "solutions" / f"{chapter.name}.ipynb"
    built = hashlib.sha256(target.read_bytes()).hexdigest()
    _write(_cache(root) / f"run-{chapter.name}", f"{_key(root, course, chapter)} {built}")


def _strays(root: Path, course: Course, made: set[str]) -> list[str]:
    """Return built-looking files that no source makes; a learner's own notebook is none."""
    made = made | {f"solutions/{chapter.name}.ipynb" for chapter in course.chapters}
    found = [path for path in root.glob("notebooks/*.ipynb") if notebook.is_untouched(path)]
    found += root.glob("solutions/*.ipynb")
    found += root.glob("solutions/app/**/*.py")
    paths = sorted(path.relative_to(root).as_posix() for path in found)
    return [path for path in paths if path not in made]


def _read(path: Path) -> str | None:
    data = content(path)  # a built file that somebody saved in another encoding differs, and is no error
    return None if data is None else data.decode("utf-8", "replace").replace("\r\n", "\n")


def _write(path: Path, text: str) -> bool:
    if _read(path) == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return True


def _remove(path: Path) -> bool:
    path.unlink()
    return True
