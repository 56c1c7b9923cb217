"""How JupyterLab reads and saves the course's notebooks: one that is only looked at stays as it is, here and in git."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from workbook.base.tree import content

KERNEL = "python3"  # the kernel of this environment


class CourseContents(AsyncLargeFileManager):
    """The contents manager of the course's JupyterLab.

    As soon as a kernel runs, JupyterLab writes the exact version of its Python into the notebook's metadata, and calls
    the notebook changed. So a notebook is given to it with that version, and saved with the one that its file has.
    """

    async def get(self, path: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return a file's model; a notebook's names the Python of this environment's kernel."""
        model: dict[str, Any] = await super().get(path, *arguments, **named)  # type: ignore[no-untyped-call]
        if model.get("type") == "notebook" and model.get("content"):
            name_version(model["content"]["metadata"])
        return model


def name_version(metadata: dict[str, Any]) -> None:
    """Put the exact description of this environment's Python where a notebook has that of another version."""
    kernel, language = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
    if kernel.get("name") == KERNEL and language.get("name") == "python":
        metadata["language_info"] = language_info()


def language_info() -> dict[str, Any]:
    """Return what this environment's kernel will say of its language."""
    found: dict[str, Any] = json.loads(json.dumps(IPythonKernel.language_info))
    return found | {"version": sys.version.split()[0]}


def keep_metadata(model: dict[str, Any], path: str, contents_manager: Any, **_: Any) -> None:
    """Keep what a saved notebook says about its kernel, as long as that is the kernel's name.

    JupyterLab calls this before each save. A new notebook, and one whose kernel was changed, is saved as it comes.
    """
    if model.get("type") != "notebook":
        return
    saved = _saved(Path(contents_manager._get_os_path(path)))
    metadata = model["content"]["metadata"]
    names = [(one.get("kernelspec") or {}).get("name") for one in (saved, metadata)]
    if not names[0] or names[1] not in (names[0], None):
        return
    metadata["kernelspec"] = saved["kernelspec"]
    if saved.get("language_info"):
        metadata["language_info"] = saved["language_info"]


def _saved(path: Path) -> dict[str, Any]:
    """Return the metadata of the file that will be replaced; nothing where it is no notebook."""
    try:
        metadata = json.loads(content(path) or b"")["metadata"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
