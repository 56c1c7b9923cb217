"""Pages: every list has the same, bounded, parameters and says how many rows there are."""

from typing import Annotated

from fastapi import Response
from pydantic import AfterValidator, BaseModel, Field

from app.core.text import refuse_unstorable
from app.db.crud import DEFAULT_LIMIT, MAX_LIMIT

MAX_SKIP = 1_000_000

SearchText = Annotated[str, Field(max_length=100), AfterValidator(refuse_unstorable)]

TOTAL_COUNT_HEADER = "X-Total-Count"


class PageParams(BaseModel):
    """Which part of a list; features add their own `sort`."""

    skip: int = Field(default=0, ge=0, le=MAX_SKIP)
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    q: SearchText | None = Field(default=None, description="only rows that contain this text")


def set_total_count(response: Response, total: int) -> None:
    """Tell the client how many rows all pages have together."""
    response.headers[TOTAL_COUNT_HEADER] = str(total)
