"""The files around the app: `python -m app.deploy.files FOLDER` writes them."""

import sys
from pathlib import Path

from app.deploy.compose import CADDYFILE, COMPOSE
from app.deploy.dockerfile import DOCKERFILE
from app.deploy.workflow import WORKFLOW

FILES = {
    "Dockerfile": DOCKERFILE,
    "compose.yaml": COMPOSE,
    "Caddyfile": CADDYFILE,
    ".github/workflows/tests.yml": WORKFLOW,
}


def write_all(folder: Path) -> None:
    """Write every file below a folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
