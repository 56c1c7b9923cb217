"""Which faults of a target are left, told from what the exam found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from workbook.practice.faults import FOUND_BY


def told(
    faults: Collection[str], failed: Mapping[str, str], passed: Collection[str], at_first: Collection[str] | None = None
) -> str:
    """Say how many faults are left, and what a repair has broken.

    Args:
        faults: the names of those that the target had.
        failed: the criteria that failed, by name, with their texts.
        passed: the names of those that passed.
        at_first: the names of those that failed before anything was repaired, where that is known.
    """
    left = [one for one in faults if _is_left(one, faults, failed, passed)]
    explained = {name for one in left for name in FOUND_BY[one]}
    lines = [f"{len(left)} of {len(faults)} faults are left"]
    if hidden := [one for one in faults if one not in left and _is_hidden(one, failed, passed)]:
        explained |= {name for one in hidden for name in FOUND_BY[one]}
        lines.append(f"  and {len(hidden)} more may be: what else is broken stands in the way")
    for name, text in failed.items():
        if name not in explained:
            lines.append(f"  fails too, {_reason(name, at_first, faulty=bool(left or hidden))}: {text}")
    if lines == [f"0 of {len(faults)} faults are left"]:
        lines.append("  all are repaired, and everything else works as before")
    return "\n".join(lines)


def _reason(name: str, at_first: Collection[str] | None, *, faulty: bool) -> str:
    """Say why a criterion fails that belongs to no fault alone; `faulty` if there are faults that could be why."""
    if not faulty or (at_first is not None and name not in at_first):
        return "a repair broke it"
    return "by a fault, or by a repair" if at_first is None else "as before any repair"


def _is_left(fault: str, faults: Iterable[str], failed: Collection[str], passed: Collection[str]) -> bool:
    """Say whether a criterion fails that no other fault explains."""
    others = {name for one in faults if one != fault and _is_whole(one, failed, passed) for name in FOUND_BY[one]}
    return any(name in failed and name not in others for name in FOUND_BY[fault])


def _is_whole(fault: str, failed: Collection[str], passed: Collection[str]) -> bool:
    """Say whether all looks as if a fault were there: some of its criteria fail, and none passes."""
    return any(name in failed for name in FOUND_BY[fault]) and not any(name in passed for name in FOUND_BY[fault])


def _is_hidden(fault: str, failed: Collection[str], passed: Collection[str]) -> bool:
    """Say whether nobody can tell: each criterion that could was not asked, or fails because of another fault."""
    asked = all(name in failed or name in passed for name in FOUND_BY[fault])
    return not asked or _is_whole(fault, failed, passed)
