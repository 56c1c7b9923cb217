"""The files around the app: linted, checked against their schemas, and their commands run."""

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.backend.conftest import APP_DIR
from tests.backend.support import SECRET_KEY
from workbook.servers.redis import free_port

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with all files, as the command writes them."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP_DIR)}
    folder = tmp_path / "files"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "app.deploy.files", str(folder)], env=env, check=True)
    return folder


def lint(*command: str, cwd: Path) -> None:
    """Run a linter, which must have nothing to say."""
    program = BIN / command[0]
    if not program.exists():
        pytest.skip(f"{command[0]} has no wheel for this machine")
    result = subprocess.run([program, *command[1:]], cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_linters_have_nothing_to_say(files: Path) -> None:
    """The Dockerfile by hadolint, the workflow by zizmor, both YAML files by their published schemas."""
    lint("hadolint", "--failure-threshold", "warning", "Dockerfile", cwd=files)
    lint("zizmor", "--offline", "--no-progress", ".github", cwd=files)
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml", cwd=files)
    lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/tests.yml", cwd=files)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("Dockerfile", ("hadolint", "--failure-threshold", "warning", "Dockerfile")),
        ("compose.yaml", ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")),
        (
            ".github/workflows/tests.yml",
            ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/tests.yml"),
        ),
    ],
)
def test_the_linters_see_a_fault(files: Path, name: str, command: tuple[str, ...]) -> None:
    """With one fault in each file its linter complains."""
    path = files / name
    text = path.read_text(encoding="utf-8")
    faulty = {"Dockerfile": "FROM python\n" + text, "compose.yaml": text.replace("services:", "servises:")}
    path.write_text(faulty.get(name, text.replace("runs-on:", "runs-under:")), encoding="utf-8")
    with pytest.raises(AssertionError):
        lint(*command, cwd=files)


def test_only_the_proxy_has_a_door(files: Path) -> None:
    """Ports belong to the proxy; the app starts after its migrations; its grace is longer than its stopping."""
    from app.core.config import Settings

    compose = yaml.safe_load((files / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert [name for name, one in services.items() if "ports" in one] == ["proxy"]
    assert services["app"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert int(services["app"]["stop_grace_period"].rstrip("s")) > defaults["drain_seconds"] + defaults["stop_seconds"]
    assert services["app"]["environment"]["TRUSTED_PROXIES"] == services["proxy"]["networks"]["front"]["ipv4_address"]
    for name in ("database", "redis"):
        assert services[name]["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True
    text = (files / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?im)^ *\w*(password|secret_key)\w*: *[^$ \n]", text)


def test_the_settings_in_the_compose_file_start(files: Path) -> None:
    """With what Compose sets, and a .env with the rest, the app is made in production."""
    compose = yaml.safe_load((files / "compose.yaml").read_text(encoding="utf-8"))
    env = {
        name: re.sub(r"\$\{(\w+):\?\}", "shop.example", str(value))
        for name, value in compose["services"]["app"]["environment"].items()
    }
    env |= {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(APP_DIR),
        "SECRET_KEY": SECRET_KEY,
        "MAIL_HOST": "smtp.example.com",
    }
    assert env["STAGE"] == "production"
    result = subprocess.run(
        [sys.executable, "-c", "import app.main"], env=env, cwd=files, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_workflow_runs_tests_that_pass(files: Path, tmp_path: Path) -> None:
    """Each pytest command of the workflow, on a copy of the app, with the database of its step left out."""
    shutil.copytree(APP_DIR / "app", tmp_path / "copy" / "app")
    workflow = yaml.safe_load((files / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["tests"]["steps"] if "pytest" in step.get("run", "")]
    assert len(commands) == 2
    assert len(set(commands)) == 1
    env = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        commands[0].split(), env=env, cwd=tmp_path / "copy", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


# ----------------------------------------------------------------------------------------------- each command, for real


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: name and rest, with continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def app_lock() -> str:
    """Return the part of the course's lock that the app needs: what pyproject.toml lists for it, and the rest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    todo = [Requirement(line) for line in project[: next(i for i, line in enumerate(project) if line == "hatchling")]]
    found: set[str] = set()
    asked: set[tuple[str, str]] = set()
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        for extra in ("", *one.extras):
            if (name, extra) not in asked:
                asked.add((name, extra))
                found.add(name)
                needs = map(Requirement, importlib.metadata.requires(name) or [])
                todo += [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
    entries = re.findall(
        r"^[a-zA-Z0-9].*(?:\n +--hash.*)+", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    return "\n".join(entry for entry in entries if canonicalize_name(re.split(r"[=\[ ]", entry)[0]) in found) + "\n"


class Machine:
    """A folder in place of `/`, in which the instructions of a Dockerfile are carried out."""

    def __init__(self, root: Path, context: Path) -> None:
        self.root, self.context, self.folder = root, context, root
        self.env = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(root)}
        self.env |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        self.commands: dict[str, str] = {}
        (root / "tmp").mkdir(parents=True)
        (root / "etc").mkdir()
        for name in ("passwd", "group", "shadow", "gshadow", "login.defs"):
            (root / "etc" / name).touch()

    def moved(self, text: str) -> str:
        """Put the folder before each absolute path."""
        return re.sub(r"(?<![\w.])/(venv|srv|tmp)\b", rf"{self.root}/\1", text)

    def do(self, name: str, rest: str) -> None:
        """Carry out one instruction."""
        known = {"RUN": self.run, "COPY": self.copy, "WORKDIR": self.work_in, "ENV": self.set}
        if name in known:
            known[name](rest)
        elif name in ("HEALTHCHECK", "CMD"):
            self.commands[name] = rest[rest.index("[") :]

    def run(self, rest: str) -> None:
        """Run a command; a user is added to the folder's own list, which only root may do."""
        if "useradd" not in rest:
            subprocess.run(["sh", "-ec", self.moved(rest)], env=self.env, cwd=self.folder, check=True)
        elif os.geteuid() == 0 and shutil.which("useradd"):
            subprocess.run(rest.replace("useradd", f"useradd --prefix {self.root}"), shell=True, check=True)
            assert "app:" in (self.root / "etc" / "passwd").read_text(encoding="utf-8")

    def copy(self, rest: str) -> None:
        """Copy from the context; both stages share this folder."""
        if not rest.startswith("--from="):
            source, target = rest.split()
            copy = shutil.copytree if (self.context / source).is_dir() else shutil.copy
            copy(self.context / source, self.moved(target))

    def work_in(self, rest: str) -> None:
        """Make the folder for what follows."""
        self.folder = Path(self.moved(rest))
        self.folder.mkdir(parents=True, exist_ok=True)

    def set(self, rest: str) -> None:
        """Set variables."""
        for pair in rest.split():
            key, _, value = pair.partition("=")
            self.env[key] = self.moved(value).replace("$PATH", self.env["PATH"])


@pytest.mark.skipif(
    not os.environ.get("WORKBOOK_REQUIRE_REGISTRY"),
    reason="installs from the package registry: WORKBOOK_REQUIRE_REGISTRY=1",
)
def test_each_command_of_the_dockerfile_runs(files: Path, tmp_path: Path) -> None:
    """RUN and COPY in a clean folder in place of /, then CMD: the health check says yes, and SIGTERM ends it well."""
    root, context, port = tmp_path / "root", tmp_path / "context", free_port()
    shutil.copytree(APP_DIR / "app", context / "app")
    (context / "requirements.lock").write_text(app_lock(), encoding="utf-8")
    machine = Machine(root, context)
    for name, rest in instructions((files / "Dockerfile").read_text(encoding="utf-8")):
        machine.do(name, rest)
    machine.env |= {"DATABASE_URL": f"sqlite:///{tmp_path}/shop.db", "SECRET_KEY": SECRET_KEY, "DRAIN_SECONDS": "0"}
    run = [*json.loads(machine.commands["CMD"]), "--host", "127.0.0.1", "--port", str(port)]
    healthy = json.loads(machine.commands["HEALTHCHECK"].replace("8000", str(port)))
    how: dict[str, Any] = {"env": machine.env, "cwd": machine.folder}
    with subprocess.Popen(run, **how) as process:
        try:
            for _ in range(1000):
                if subprocess.run(healthy, **how, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                    break
                assert process.poll() is None
            else:
                pytest.fail("the health check never says yes")
        finally:
            process.terminate()
    # process 1 of a container ends with 0; elsewhere uvicorn ends by the signal that it was sent
    assert process.returncode in (0, -signal.SIGTERM)
    assert Path(shutil.which("python", path=machine.env["PATH"]) or "").is_relative_to(root / "venv")
