"""What crosses the wire about items."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    StringConstraints,
    field_validator,
)

from app.core.pagination import PageParams
from app.core.text import refuse_unstorable

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(refuse_unstorable),
]
Description = Annotated[str, Field(max_length=2000), AfterValidator(refuse_unstorable)]

Url = Annotated[HttpUrl, Field(max_length=2000), PlainSerializer(str, return_type=str)]


def to_cents(value: Decimal) -> Decimal:
    """Write every price with two decimal places, and minus zero as zero."""
    return value.quantize(Decimal("0.01")) + 0


Price = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2), AfterValidator(to_cents)]


class ItemBase(BaseModel):
    """The fields that the owner chooses."""

    title: Title
    description: Description | None = None
    url: Url | None = None
    price: Price


class ItemCreate(ItemBase):
    """What a client sends to make an item; the owner is always the signed-in user."""


class ItemUpdate(BaseModel):
    """What the owner may change; a field that is not sent stays as it is."""

    title: Title | None = None
    description: Description | None = None
    url: Url | None = None
    price: Price | None = None

    @field_validator("title", "price")
    @classmethod
    def refuse_null(cls, value: object) -> object:
        """Refuse null for the fields that every item must have."""
        if value is None:
            raise ValueError("must not be null")
        return value


class ItemPublic(BaseModel):
    """What a client sees of an item."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    description: str | None
    url: str | None
    price: Decimal
    owner_id: int
    created_at: datetime
    updated_at: datetime


class ItemPage(PageParams):
    """Which part of the list of items, and in which order."""

    sort: Literal[
        "id", "-id", "title", "-title", "price", "-price", "created_at", "-created_at"
    ] = "id"


class ItemSummary(BaseModel):
    """How many items somebody owns, and what they are worth together."""

    items: int
    worth: Annotated[Decimal, AfterValidator(to_cents)]
