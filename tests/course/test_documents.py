"""What the documents and settings say agrees with what is there."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from workbook.course import read_course

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


def test_no_file_names_a_registry() -> None:
    """No file in git names a package registry's host: people install from the one their machine is set up for."""
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked()
        for host in REGISTRIES
        if host.encode() in path.read_bytes()
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
    cli = pytest.importorskip("workbook.cli", reason="the command line is not written yet")
    import typer.main

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
