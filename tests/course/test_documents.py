"""What the documents and settings say agrees with what is there."""

import ast
import importlib
import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.course import face
from workbook.cli import main as cli
from workbook.course import release
from workbook.course.index import read_course
from workbook.course.snapshot import Snapshot, writes
from workbook.install.installer import PYTHONS

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```[^\n]*\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
# Written in two halves, so that this file does not name one either.
REGISTRIES = [
    host + domain
    for host, domain in [
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("conda.", "anaconda.org"),
        ("npmjs", ".org"),
        ("npmjs", ".com"),
        ("yarnpkg", ".com"),
        ("jsdelivr", ".net"),
        ("unpkg", ".com"),
        ("deb.", "debian.org"),
        ("debian", ".org/debian"),
        ("ubuntu", ".com/ubuntu"),
        ("crates", ".io"),
        ("hub.", "docker.com"),
        ("ghcr", ".io"),
    ]
]


def project() -> dict[str, Any]:
    """Read pyproject.toml's project table."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def declared() -> list[str]:
    """Give every requirement of the project and of its developers."""
    return [*project()["dependencies"], *project()["optional-dependencies"]["dev"]]


def tracked() -> list[Path]:
    """Give the files that git keeps, or would keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def readme() -> str:
    """Read the README, which is written last."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if len(text.splitlines()) < 10:
        pytest.skip("README.md is not written yet")
    return text


def commands(text: str, program: str) -> set[str]:
    """Find what follows a program's name in the code of a document: `make lab` gives lab."""
    code = [fence["body"] for fence in FENCE.finditer(text)] + INLINE.findall(FENCE.sub("", text))
    pattern = re.compile(rf"(?:^|[\s/\\])(?:uv run |conda run )?{program}(?:\.exe)? ([a-z][a-z-]*)", re.MULTILINE)
    return {name for piece in code for name in pattern.findall(piece)}


def targets() -> set[str]:
    """Give the targets of the Makefile."""
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_conda_and_pip_install_the_same_packages() -> None:
    """environment.yml names exactly the packages and extras of pyproject.toml, and then the project itself."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert pip[-1] == "--editable ."
    assert sorted(pip[:-1]) == sorted(declared())


def test_conda_and_pip_want_the_same_python() -> None:
    """environment.yml asks for the versions of Python that pyproject.toml allows."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (python,) = [Requirement(entry) for entry in dependencies if str(entry).startswith("python")]
    assert str(python.specifier) == str(Requirement("python" + project()["requires-python"]).specifier)


def test_the_lock_pins_every_requirement() -> None:
    """requirements.lock has an exact version with hashes for each package that pyproject.toml names."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {
        name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==\S+[^\n]*\\\n +--hash=sha256:", lock, re.MULTILINE)
    }
    assert {Requirement(line).name.lower() for line in declared()} <= pinned


# The page /docs loads its script from there, and chapter 14's Content-Security-Policy lets it.
SCRIPTS_OF_DOCS = ("cdn.jsdelivr" + ".net").encode()


def test_no_file_names_a_registry() -> None:
    """No file in git names a package registry's host: people install from the one their machine is set up for."""
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked()
        for host in REGISTRIES
        if host.encode() in path.read_bytes().replace(SCRIPTS_OF_DOCS, b"")
    ]
    assert not named


def test_every_target_of_the_readme_exists() -> None:
    """Each `make` target that the README names is in the Makefile; it names lab and test."""
    named = commands(readme(), "make")
    assert {"lab", "test"} <= named
    assert named <= targets()


def test_every_workbook_command_of_the_readme_exists() -> None:
    """Each `workbook` command that the README names is one that the command line knows."""
    named = commands(readme(), "workbook")
    assert named <= set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]


def test_make_help_lists_the_targets_people_need() -> None:
    """`make help` shows each target that people type, with what it does."""
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in ["lab", "test", "check", "build", "grade", "bench", "lock", "clean"]:
        assert re.search(rf"^  make {name} +\w", shown, re.MULTILINE)


def test_commands_are_found_in_fences_and_inline_code_only() -> None:
    """`make lab` in code counts; make sure in prose does not."""
    text = "make sure you can `make lab`.\n\n```sh\n$ make test\n.venv/bin/workbook check 2.2\n```\nmake it so"
    assert commands(text, "make") == {"lab", "test"}
    assert commands(text, "workbook") == {"check"}


def test_the_readme_lists_every_chapter() -> None:
    """The table of chapters has each chapter's notebook, title, minutes and number of exercises."""
    course = read_course(ROOT)
    rows = [line for line in readme().split("\n") if "](notebooks/" in line]
    assert len(rows) == len(course.chapters)
    for row, chapter in zip(rows, course.chapters, strict=True):
        link = f"[{chapter.number:02d} {chapter.head.title}](notebooks/{chapter.name}.ipynb)"
        assert row.startswith(f"| {link} | {chapter.head.minutes} | {len(chapter.exercises)} | ")


def settings_of_the_backend() -> set[str]:
    """Give the names of the solved app's settings, as the environment has them."""
    package = Snapshot()
    for cell in writes(read_course(ROOT)):
        if cell.argument.startswith("core/config.py"):
            package.run(release.solved_source(cell))
    (settings,) = [
        node
        for node in ast.parse(package.files["core/config.py"]).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    ]
    fields = [node.target for node in settings.body if isinstance(node, ast.AnnAssign)]
    return {field.id.upper() for field in fields if isinstance(field, ast.Name)}


def test_every_setting_of_the_backend_is_documented() -> None:
    """The README's table and .env.example name exactly the settings that the finished backend reads."""
    wanted = settings_of_the_backend()
    table = readme().partition("### Its settings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in INLINE.findall(row)} == wanted
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#([A-Z_]+)=", example, re.MULTILINE)) == wanted


def test_given_cells_come_in_small_groups() -> None:
    """At most two given `%%app` cells stand in a row: then the reader writes, runs or predicts something."""
    for chapter in read_course(ROOT).chapters:
        row = 0
        for cell in chapter.cells:
            if cell.kind == "code":
                row = row + 1 if cell.source.startswith("%%app") and not cell.exercise else 0
                assert row <= 2, f"chapter {chapter.number}, line {cell.line}: a third given cell in a row"


def test_the_minutes_are_honest() -> None:
    """A chapter's minutes are its words of prose through 130, and 5 for each exercise, give or take 5."""
    for chapter in read_course(ROOT).chapters:
        text = (ROOT / "solutions" / f"{chapter.name}.md").read_text(encoding="utf-8").split("---", 2)[2]
        words = len(re.sub(r"<[^>]+>", " ", FENCE.sub("", text)).split())
        assert abs(words / 130 + 5 * len(chapter.exercises) - chapter.head.minutes) <= 5, chapter.name


NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
]


def test_each_chapter_says_how_long_it_takes() -> None:
    """Before the map stands how many minutes and exercises are ahead, as the chapter's head and cells have it."""
    for chapter in read_course(ROOT).chapters:
        text = (ROOT / "solutions" / f"{chapter.name}.md").read_text(encoding="utf-8")
        said = f"\nAbout {chapter.head.minutes} minutes, {NUMBERS[len(chapter.exercises)]} exercises.\n"
        assert said in text.split("\n## ")[0], chapter.name


def test_the_lock_is_complete() -> None:
    """What each locked package wants, on every supported Python and system, the lock holds in a version that fits."""
    entries = [Requirement(line) for line in pinned_lines()]
    wants = {entry.name: wanted_by(entry.name) for entry in entries}
    missing = set()
    for place in places():
        pins = {canonicalize_name(entry.name): entry for entry in entries if applies(entry, place)}
        missing |= {
            f"{entry.name} on {place['sys_platform']}, Python {place['python_version']}: {wanted}"
            for entry in pins.values()
            for wanted in wants[entry.name]
            if applies(wanted, place) and not is_met(wanted, pins)
        }
    assert missing == set()


def pinned_lines() -> list[str]:
    """Give the lock's entries without their hashes."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line.removesuffix("\\").strip() for line in lines if "==" in line and not line.startswith(" ")]


def wanted_by(name: str) -> list[Requirement]:
    """Give what an installed package wants without extras; nothing for one of another system."""
    try:
        return [Requirement(line) for line in importlib.metadata.requires(name) or []]
    except importlib.metadata.PackageNotFoundError:
        return []


def places() -> list[dict[str, str]]:
    """Give the values that markers ask for, on each supported Python and system."""
    systems = [("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt")]
    here = {name: str(value) for name, value in default_environment().items()}
    return [
        here
        | {"sys_platform": platform, "platform_system": system, "os_name": os_name, "extra": ""}
        | {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.9"}
        for platform, system, os_name in systems
        for minor in range(PYTHONS[0][1], PYTHONS[1][1])
    ]


def applies(entry: Requirement, place: dict[str, str]) -> bool:
    """Say whether a requirement's marker takes it in, there; a package may be locked once for each Python."""
    return entry.marker is None or entry.marker.evaluate(place)


def is_met(wanted: Requirement, pins: dict[NormalizedName, Requirement]) -> bool:
    """Say whether the lock holds a package that another one wants in a version that fits."""
    entry = pins.get(canonicalize_name(wanted.name))
    return entry is not None and wanted.specifier.contains(next(iter(entry.specifier)).version, prereleases=True)


# Where a file may lie: what stands here is the layout that CONTRIBUTING describes.
PLACES = [
    r"\.(ci/run|editorconfig|env\.example|gitattributes|gitignore|jupyter/.+\.json)",
    r"(README|CONTRIBUTING|CHANGELOG)\.md|LICENSE|Makefile|pyproject\.toml|requirements\.lock|environment\.yml",
    r"app/__init__\.py",
    r"notebooks/\d\d_\w+\.ipynb",
    r"solutions/(\d\d_\w+\.(md|ipynb)|ruff\.toml|sample_data\.py|app/.+\.py)",
    r"(workbook|bench)/(\w+/)*\w+\.py|workbook/REFERENCE\.md",
    r"tests/(\w+\.py|proof\.txt|(workbook|course|browser|backend|chapters)/(\w+/)*\w+\.(py|cfg)|backend/coveragerc)",
    r"tests/answers/\d\d_\w+\.md",
]


def test_no_file_lies_astray() -> None:
    """Every file in git has its place in the layout: no draft, no notebook that somebody worked in, no result."""
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    assert [name for name in names if not any(re.fullmatch(place, name) for place in PLACES)] == []


def test_a_notebook_that_was_worked_in_is_no_file_of_git() -> None:
    """What `workbook build` puts aside, and what learners and tools leave behind, git ignores."""
    names = ["notebooks/mine/00_start_here.ipynb", ".workbook/history.db", "app.db", "notebooks/app.db", ".venv/x"]
    found = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        cwd=ROOT,
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.split() == names


def test_the_face_is_listed() -> None:
    """CONTRIBUTING's table of the face names each public name of each of its modules, and nothing else."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| module | for | names |")[2].partition("\n\n")[0]
    rows = {row.split("|")[1].strip(" `"): re.findall(r"`(\w+)`", row.split("|")[3]) for row in table.splitlines()[2:]}
    for name in ("checks", "sabotage", "show", "tools"):
        module = importlib.import_module(f"workbook.{name}")
        assert sorted(rows[f"workbook.{name}"]) == sorted(module.__all__), name
        assert [one for one in module.__all__ if not hasattr(module, one)] == []


def test_the_faces_reference_is_that_of_its_docstrings() -> None:
    """workbook/REFERENCE.md is what `python -m tests.course.face` makes."""
    assert face.PAGE.read_text(encoding="utf-8") == face.page()
    assert all(
        f"### `{name}" in face.page() for name in ("equal", "status", "exercise", "tables", "sabotaged", "replica")
    )


@pytest.mark.parametrize(
    ("folder", "pattern", "allowed"),
    [("tests/chapters", "**/*.py", {"expect", "checks", "sabotage"}), ("solutions", "*.md", {"show", "tools"})],
)
def test_chapters_and_checks_know_the_face_alone(folder: str, pattern: str, allowed: set[str]) -> None:
    """No check file and no cell imports another module of the engine."""
    for path in sorted((ROOT / folder).glob(pattern)):
        found = re.findall(
            r"^\s*(?:from|import) workbook(?:\.([\w.]+)| import (.+))", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        names = {name.strip() for module, several in found for name in (several or module).split(",")}
        assert names <= allowed, path.name
