"""What belongs to the request that is handled now."""

import re
from contextvars import ContextVar
from uuid import uuid4

# Outside of a request, such as at the start of the app, there is no id.
request_id_now: ContextVar[str] = ContextVar("request_id_now", default="-")


def choose_request_id(sent: list[str]) -> str:
    """Return the one id that came in, if it looks like an id; otherwise a new one."""
    if len(sent) == 1 and re.fullmatch("[A-Za-z0-9_-]{8,64}", sent[0]):
        return sent[0]
    return uuid4().hex
