"""Property-based fuzzing from the OpenAPI document: no 500, and no answer that is not documented."""

import tempfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from app.core.config import Settings
from app.main import create_app
from hypothesis import HealthCheck, Phase, settings
from hypothesis.configuration import set_hypothesis_home_dir
from schemathesis.specs.openapi import checks as all_checks

from tests.backend.conftest import HAS_AUTH
from tests.backend.serving import running
from tests.backend.support import PASSWORD, SECRET_KEY

# hypothesis keeps caches in the working directory, unless it is told another place
CACHE = tempfile.TemporaryDirectory(prefix="hypothesis-")  # removed at exit
set_hypothesis_home_dir(CACHE.name)

ADMIN: dict[str, Any] = {"first_admin_email": "root@example.com", "first_admin_password": PASSWORD}
FUZZ = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(database_url: str) -> Iterator[str]:
    """Serve the app on a free port of 127.0.0.1, in a thread with its own event loop."""
    with running(create_app(Settings(database_url=database_url, secret_key=SECRET_KEY, **ADMIN))) as url:
        yield url


@pytest.fixture(scope="module")
def admin_headers(server: str) -> dict[str, str]:
    """Sign in as the first admin; before chapter 09 nobody can, and nobody needs to."""
    if not HAS_AUTH:
        return {}
    form = {"username": "admin", "password": PASSWORD}
    token = httpx.post(f"{server}/api/v1/auth/login", data=form, timeout=60).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


def excluded(case: Any) -> list[Any]:
    """Return the checks that cannot hold, each for a reason."""
    # JSON Schema cannot say "one upper-case letter" or "72 bytes": a valid document may be refused with 422.
    checks: list[Any] = [all_checks.positive_data_acceptance]
    if case.operation.path.endswith("/users/me"):
        # "me" also fits the pattern of /users/{user_id}, so the router truly knows DELETE for this path.
        checks += [all_checks.allow_header_conformance, all_checks.unsupported_method]
    return checks


@schema.parametrize()
@FUZZ
def test_an_admin_meets_no_surprise(case: Any, server: str, admin_headers: dict[str, str]) -> None:
    """Whatever an admin sends: no 500, no undocumented answer, no malformed request accepted."""
    case.call_and_validate(base_url=server, headers=admin_headers, excluded_checks=excluded(case))
