"""Text from outside: what no database column can store is refused before it gets there."""


def refuse_unstorable(value: str) -> str:
    """Refuse a NUL character and a lone surrogate: PostgreSQL and UTF-8 cannot hold them."""
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not contain a lone surrogate (half of a character)")
    return value
