"""The kept versions as people ask for them: listed, shown, brought back."""

from __future__ import annotations

from datetime import datetime

from workbook.learner.history import NOT_WRITTEN, Version
from workbook.learner.workspace import Workspace, WorkspaceError
from workbook.merge.assemble import CellError, parse_header

SHOWN = 20
HELP = "`%history 15` shows what version 15 held, `%undo 15` brings it back"


def undo(workspace: Workspace, words: str) -> str:
    """Take back the newest change, of a file if one is named, or bring a version back; say what was done.

    Raises:
        WorkspaceError: there is no such version or file.
    """
    asked = words.strip()
    if asked.isdigit():
        found = workspace.version(int(asked))
        if found.cause.startswith(NOT_WRITTEN):
            hint = f"`%history {asked}` shows it: copy it into a cell"
            raise WorkspaceError(f"version {asked} is a cell that was never written", hint)
        change = workspace.restore(found.id)
        what = "is gone again" if found.content is None else "is back"
        return f"app/{found.path}: version {asked} {what} ({_until(found)})" if change.files else _as_it_is(found)
    change_or_none = workspace.undo(_path(asked) if asked else None)
    return f"took back: {change_or_none.cause.removeprefix('undo: ')}" if change_or_none else "nothing to take back"


def _as_it_is(found: Version) -> str:
    return f"app/{found.path} is as version {found.id} has it already"


def redo(workspace: Workspace) -> str:
    """Take back the newest undo; say what was done."""
    change = workspace.redo()
    return f"done again: {change.cause.removeprefix('redo: ')}" if change else "nothing to do again"


def listed(workspace: Workspace, words: str) -> str:
    """List versions, the newest first, or show one.

    Args:
        workspace: the learner's.
        words: a version's number, a file, `all`, or nothing.

    Raises:
        WorkspaceError: there is no such version or file.
    """
    asked = words.split()
    if len(asked) == 1 and asked[0].isdigit():
        return shown(workspace.version(int(asked[0])))
    everything = "all" in asked
    path = next((_path(word) for word in asked if word != "all"), None)
    workspace.keep_edits(path)
    total = workspace.count_versions(path)
    found = workspace.history(path, total if everything else SHOWN)
    if not found:
        return "nothing was overwritten yet" if path is None else f"no version of app/{path} is kept"
    lines = [f"{one.id:>5}  until {_local(one.time)}  app/{one.path}, then {one.cause}" for one in found]
    more = total - len(found)
    lines += [f"{more} more: `%history {f'{path} ' if path else ''}all`"] if more else []
    return "\n".join([*lines, "", f"hint: {HELP}"])


def shown(version: Version) -> str:
    """Return what a version held."""
    if version.content is None:
        return f"version {version.id}: there was no app/{version.path} {_until(version)}"
    text = version.content.decode("utf-8", errors="replace")
    return f"version {version.id} of app/{version.path}, {_until(version)}:\n\n{text.rstrip()}"


def _until(version: Version) -> str:
    if version.cause.startswith(NOT_WRITTEN):
        return f"a cell of {_local(version.time)} that was not written"
    return f"until {_local(version.time)}"


def _local(time: str) -> str:
    """Return a time of the record as the clock on the wall shows it: the day only where it is not today."""
    found = datetime.fromisoformat(time).astimezone()
    today = found.date() == datetime.now().astimezone().date()
    return f"{found:%H:%M:%S}" if today else f"{found:%Y-%m-%d %H:%M}"


def _path(word: str) -> str:
    try:
        return parse_header(word).path
    except CellError:
        hint = "`%undo`, `%undo users/schemas.py`, or a number from `%history`"
        raise WorkspaceError(f"{word!r} is no file of app/", hint) from None
