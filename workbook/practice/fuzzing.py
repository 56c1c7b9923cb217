"""Schemathesis, asked by a notebook: some examples for some routes, and which of its checks failed."""

from __future__ import annotations

import asyncio
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

from workbook.base.trouble import Trouble

EXAMPLES = 8  # for each route: a demonstration; a real run has thousands
Found = tuple[str, str, int, str]  # check, route, status, command


async def fuzz(url: str, token: str, paths: Sequence[str], prefix: str = "/api/v1") -> list[Found]:
    """Let the fuzzer ask some routes of a backend; return each failed check.

    Args:
        url: where it runs, without the prefix.
        token: who asks.
        paths: behind the prefix, such as /items; all their methods are asked.
        prefix: what the versioned routes begin with.

    Raises:
        Trouble: a path is not in the backend's document: nothing would be asked, and nothing found.
    """
    wanted = [f"{prefix}{path}" for path in paths]
    return await asyncio.to_thread(_fuzz, url, token, f"{url}{prefix}/openapi.json", wanted)


def _fuzz(url: str, token: str, document: str, wanted: Sequence[str]) -> list[Found]:
    import schemathesis  # a second of imports, which only this cell pays
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.configuration import set_hypothesis_home_dir

    found: list[Found] = []
    left = set(wanted)
    with tempfile.TemporaryDirectory(prefix="workbook-fuzz-") as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        set_hypothesis_home_dir(cache)
        few = settings(
            max_examples=EXAMPLES,
            derandomize=True,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        for result in schemathesis.openapi.from_url(document).get_all_operations():
            operation: Any = result.ok() if hasattr(result, "ok") else None
            if operation is not None and operation.path in wanted:
                left.discard(operation.path)
                few(given(case=operation.as_strategy())(_asker(url, token, found)))()
    if left:
        raise Trouble(f"{document} has no route {min(left)}", "name a path as it stands in /docs, without the prefix")
    return found


def _asker(url: str, token: str, found: list[Found]) -> Any:
    def ask(case: Any) -> None:
        response = case.call(base_url=url, headers={"Authorization": f"Bearer {token}"})
        try:
            case.validate_response(response)
        except BaseExceptionGroup as group:
            route = f"{case.operation.method.upper()} {case.operation.path}"
            command = str(case.as_curl_command()).replace(token, "…")
            found.extend((type(one).__name__, route, response.status_code, command) for one in group.exceptions)

    return ask
