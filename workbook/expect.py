"""Expectations for checks: each failure says what was done, what came back, what was expected, why, and one hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from workbook.base.wording import kind_of, said, shortened, shown, shown_apart, summary, with_article
from workbook.feedback.verdict import Exchange, Fault

__all__ = ["shown", "with_article"]  # what checks use of the words, beside the expectations themselves
M = TypeVar("M", bound=BaseModel)


class Wrong(AssertionError):
    """The learner's code ran and did something else than the exercise asks.

    Args:
        did: what the check did ("UserCreate(password='short')").
        got: what came back.
        expected: what should have come back.
        why: one sentence: what goes wrong for someone who uses the backend.
        hint: one action.
        at: the learner's function, method or class that is at fault, if known.
        exchange: the recorded request, if it was one.
        error: the exception behind it: it tells the line of the learner's, and the hint where a rule knows it.
        fault: the same, of an exception that rose in another process.
        sure: the hint is about this very exception, and no general rule knows better.
    """

    def __init__(
        self,
        *,
        did: str = "",
        got: str = "",
        expected: str = "",
        why: str = "",
        hint: str = "",
        at: object = None,
        exchange: Exchange | None = None,
        error: BaseException | None = None,
        fault: Fault | None = None,
        sure: bool = False,
    ) -> None:
        self.did, self.got, self.expected = did, got, expected
        self.why, self.hint, self.at, self.exchange, self.error = why, hint, at, exchange, error
        self.fault, self.sure = fault, sure
        super().__init__("; ".join(part for part in (did, got, expected) if part))


class Caught:
    """The exception that `raising` caught."""

    def __init__(self) -> None:
        self.value: Any = None


def _call(model: type[BaseModel], data: Mapping[str, object]) -> str:
    return f"{model.__name__}({', '.join(f'{key}={shown(value)}' for key, value in data.items())})"


def same(got: object, expected: object) -> bool:
    """Compare by the expected value's own rules, so that an object "equal to everything" is not.

    `1` is not `True` and `1.0` is not `1`; dicts, lists and tuples are compared item by item.
    """
    if type(got) is not type(expected):
        return False
    if isinstance(expected, dict) and isinstance(got, dict):
        return _same_keys(got, expected) and all(same(got[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        return len(got) == len(expected) and all(map(same, got, expected))
    return bool(type(expected).__eq__(expected, got) is True)


def _same_keys(got: dict[Any, Any], expected: dict[Any, Any]) -> bool:
    return set(map(repr, got)) == set(map(repr, expected))


def _exchange(response: httpx.Response) -> Exchange | None:
    found = response.extensions.get("workbook.exchange")
    return found if isinstance(found, Exchange) else None


def status(response: httpx.Response, expected: int, *, why: str = "", hint: str = "", at: object = None) -> None:
    """Expect a status code.

    Raises:
        Wrong: the response has another one.
    """
    if response.status_code == expected:
        return
    exchange = _exchange(response)
    raise Wrong(
        did=exchange.request_line if exchange else str(response.request.url),
        got=exchange.answer_line if exchange else str(response.status_code),
        expected=f"{expected} {httpx.codes.get_reason_phrase(expected)}".strip(),
        why=why,
        hint=hint,
        at=at,
        exchange=exchange,
    )


def body(response: httpx.Response, *, why: str = "", hint: str = "", at: object = None) -> Any:
    """Return the response's JSON.

    Raises:
        Wrong: the body is no JSON.
    """
    try:
        return response.json()
    except ValueError:
        exchange = _exchange(response)
        raise Wrong(
            did=exchange.request_line if exchange else "",
            got=shown(response.text) if response.text else "an empty body",
            expected="a JSON body",
            why=why,
            hint=hint,
            at=at,
            exchange=exchange,
        ) from None


def json(response: httpx.Response, expected: object, *, why: str = "", hint: str = "", at: object = None) -> None:
    """Expect a JSON body, types included.

    Raises:
        Wrong: the response has another body.
    """
    found = body(response, why=why, hint=hint, at=at)
    if not same(found, expected):
        exchange = _exchange(response)
        did = exchange.request_line if exchange else ""
        got, wanted = (f"the body {one}" for one in shown_apart(found, expected))
        raise Wrong(did=did, got=got, expected=wanted, why=why, hint=hint, at=at, exchange=exchange)


def header(
    response: httpx.Response,
    name: str,
    expected: str | None,
    *,
    why: str = "",
    hint: str = "",
    at: object = None,
) -> None:
    """Expect a response header with a value, or with None its absence.

    Raises:
        Wrong: it is missing, different, or there.
    """
    found = response.headers.get(name)
    if found == expected:
        return
    exchange = _exchange(response)
    raise Wrong(
        did=exchange.request_line if exchange else "",
        got=f"the header {name}: {found}" if found is not None else f"no header {name}",
        expected=f"the header {name}: {expected}" if expected is not None else f"no header {name}",
        why=why,
        hint=hint,
        at=at,
        exchange=exchange,
    )


def equal(
    got: object,
    expected: object,
    *,
    did: str = "",
    why: str = "",
    hint: str = "",
    at: object = None,
) -> None:
    """Expect a value, by type too.

    Raises:
        Wrong: the values differ.
    """
    if not same(got, expected):
        told = type(got) is not type(expected) and got is not None and expected is not None
        kinds = (kind_of(got), kind_of(expected)) if told else ("", "")
        found, wanted = shown_apart(got, expected)
        found, wanted = found + kinds[0], wanted + kinds[1]
        raise Wrong(did=did, got=found, expected=wanted, why=why, hint=hint, at=at)


def that(
    condition: object,
    *,
    did: str = "",
    got: str = "",
    expected: str = "",
    why: str = "",
    hint: str = "",
    at: object = None,
    response: httpx.Response | None = None,
    fault: Fault | None = None,
) -> None:
    """Expect a condition to be exactly True.

    Args:
        response: the answer that the condition is about, so that its request is shown.
        fault: an exception of another process that is behind it.

    Raises:
        Wrong: it is anything else.
    """
    if condition is not True:
        exchange = _exchange(response) if response is not None else None
        did = did or (exchange.request_line if exchange else "")
        raise Wrong(did=did, got=got, expected=expected, why=why, hint=hint, at=at, exchange=exchange, fault=fault)


def refused(
    model: type[BaseModel],
    data: Mapping[str, object],
    *,
    field: str | None = None,
    says: str = "",
    why: str = "",
    hint: str = "",
    at: object = None,
) -> ValidationError:
    """Expect a Pydantic model to refuse data, blaming `field`, with `says` in its message.

    Returns:
        The ValidationError, for a closer look.

    Raises:
        Wrong: it accepted the data, blamed another field, said something else, or raised something else.
    """
    did, at, crash = _call(model, data), at or model, None
    expected = f'a ValidationError for "{field}"' if field else "a ValidationError"
    if says:
        expected += f' that says "{says}"'
    try:
        model.model_validate(dict(data))
    except ValidationError as error:
        found = [e for e in error.errors() if field is None or field in map(str, e["loc"])]
        if any(says.lower() in e["msg"].lower() for e in found):
            return error
        first = (found or error.errors())[0]
        got = f'it was refused for "{".".join(map(str, first["loc"]))}": {first["msg"]}'
    except Exception as error:
        got, crash = f"it raised {summary(error)} (no ValidationError)", error
    else:
        got = "it was accepted"
    raise Wrong(did=did, got=got, expected=expected, why=why, hint=hint, at=at, error=crash) from None


def accepted(
    model: type[M],
    data: Mapping[str, object],
    *,
    why: str = "",
    hint: str = "",
    at: object = None,
) -> M:
    """Expect a Pydantic model to accept data.

    Returns:
        The instance.

    Raises:
        Wrong: it was refused, or what came out is no instance of the model.
    """
    did, at = _call(model, data), at or model
    try:
        made = model.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        got = f'it was refused for "{".".join(map(str, first["loc"]))}": {first["msg"]}'
        raise Wrong(did=did, got=got, expected="it is accepted", why=why, hint=hint, at=at) from None
    except Exception as error:
        got = f"it raised {summary(error)}"
        raise Wrong(did=did, got=got, expected="it is accepted", why=why, hint=hint, at=at, error=error) from error
    if not isinstance(made, model):
        name = type(made).__name__
        got = f"validation gave {'None' if name == 'NoneType' else with_article(name)}"
        expected = with_article(model.__name__)
        raise Wrong(did=did, got=got, expected=expected, why=why, hint=hint, at=at)
    return made


@contextmanager
def raising(
    kind: type[BaseException],
    *,
    says: str = "",
    did: str = "",
    why: str = "",
    hint: str = "",
    at: object = None,
) -> Iterator[Caught]:
    """Expect the block to raise `kind`, with `says` in its message (any case).

    Raises:
        Wrong: nothing, something else, or another message was raised.
    """
    caught, other = Caught(), None
    expected = with_article(kind.__name__) + (f' that says "{says}"' if says else "")
    try:
        yield caught
    except Wrong:  # what the block itself expects
        raise
    except kind as error:
        caught.value = error
        if says.lower() in said(error).lower():
            return
        got = f"{with_article(type(error).__name__)} that says: {shortened(said(error))}"
    except Exception as error:
        got, other = f"{with_article(type(error).__name__)}: {shortened(said(error))}", error
    else:
        got = "nothing was raised"
    raise Wrong(did=did, got=got, expected=expected, why=why, hint=hint, at=at, error=other) from None


def known(error: Exception, mistakes: Iterable[tuple[str, str]], **facts: Any) -> NoReturn:
    """Raise a wrong answer that names a known mistake, or else the error itself.

    Args:
        error: what the learner's code raised.
        mistakes: for each known mistake a part of the error's message, and the hint.
        facts: what else `Wrong` takes: did, expected, why.
    """
    for part, hint in mistakes:
        if part in said(error):
            raise Wrong(got=f"it raised {summary(error)[:160]}", hint=hint, error=error, sure=True, **facts) from None
    raise error
