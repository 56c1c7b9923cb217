"""What a fuzzer has found, and how to read it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """One request after which one check of the fuzzer failed."""

    check: str  # such as "ServerError"
    route: str  # such as "POST /items"
    status: int
    curl: str  # the request, as a command


@dataclass(frozen=True)
class Suspicion:
    """All failures of one check on one route: what is worth one look."""

    check: str
    route: str
    times: int
    statuses: tuple[int, ...]
    curl: str  # the shortest of the commands


# A document cannot say "one capital letter": what fits it may still be refused, with 422.
NO_SUSPICION = "RejectedPositiveData"
# What is looked at before all else.
FIRST = ("ServerError", "IgnoredAuth")


def triage(failures: Iterable[Failure]) -> list[Suspicion]:
    """Make a short list out of a fuzzer's long one, the worst first."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for one in failures:
        if one.check != NO_SUSPICION:
            groups.setdefault((one.check, one.route), []).append(one)
    found = [
        Suspicion(
            check,
            route,
            len(some),
            tuple(sorted({one.status for one in some})),
            min((one.curl for one in some), key=len),
        )
        for (check, route), some in groups.items()
    ]

    def order(one: Suspicion) -> tuple[int, int, str, str]:
        rank = FIRST.index(one.check) if one.check in FIRST else len(FIRST)
        return rank, -one.times, one.route, one.check

    return sorted(found, key=order)
