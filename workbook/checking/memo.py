"""What FastAPI makes of an endpoint, remembered for the life of a process.

A check makes the app anew for each criterion, and at its first request FastAPI reads the same endpoints, parameters and
response models again: a fifth of a check's time in chapters 09 and 10. What comes out depends on the router's route and
on how it was included, and on nothing else, so each is read once.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

PARAMETERS = {"route", "path", "endpoint", "dependencies", "tags", "responses", "dependency_overrides_provider"}
PROVIDER = "dependency_overrides_provider"  # the app itself
OWN = (list, dict, set)  # what one app may change


def remember() -> bool:
    """Let FastAPI, in this process, answer from memory; return False where it is not built as this expects."""
    from fastapi import routing

    read: Any = getattr(routing, "_populate_api_route_state", None)
    if read is None or not inspect.signature(read).parameters.keys() >= PARAMETERS:
        return False
    if not hasattr(read, "remembers"):
        routing._populate_api_route_state = remembered(read)
    return True


def remembered(read: Callable[..., None]) -> Callable[..., None]:
    """Return what fills in a route's state, with a memory for routes that an app includes from a router."""
    known: dict[tuple[object, ...], tuple[object, dict[str, Any]]] = {}

    @wraps(read)
    def populate(route: Any, path: str, endpoint: Any, **options: Any) -> None:
        original = getattr(route, "original_route", None)
        if original is None:  # a route as the learner's code writes it
            return read(route, path, endpoint, **options)
        key = (id(original), path, id(endpoint), *(_key(options[name]) for name in sorted(options) if name != PROVIDER))
        try:
            found = known.get(key)
        except TypeError:  # an option that has no hash
            return read(route, path, endpoint, **options)
        if found is None:
            before = dict(vars(route))
            read(route, path, endpoint, **options)
            now = {name: value for name, value in vars(route).items() if value is not before.get(name, before)}
            # the route is kept, so that no other can have its number
            known[key] = original, {name: _own(value) for name, value in now.items()}
            return None
        vars(route).update({name: _own(value) for name, value in found[1].items()})
        setattr(route, PROVIDER, options.get(PROVIDER))
        return None

    populate.remembers = True  # type: ignore[attr-defined]
    return populate


def _key(value: Any) -> object:
    """Return what stands for an option's value: equal values give equal keys."""
    if isinstance(value, list | set | tuple):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(one)) for name, one in value.items())
    return ("default", value.value) if type(value).__name__ == "DefaultPlaceholder" else value


def _own(value: Any) -> Any:
    """Return a copy of what one app may change: lists, and the lists in what an endpoint depends on."""
    if isinstance(value, OWN):
        return value.copy()
    if type(value).__name__ != "Dependant":
        return value
    made = copy.copy(value)
    for name in ("dependencies", "body_params"):
        setattr(made, name, [*getattr(made, name)])
    return made
