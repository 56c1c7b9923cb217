"""Values, names and exceptions in words: articles and plurals right, secrets shortened, memory addresses left out."""

from __future__ import annotations

import base64
import json
import re
import unicodedata

LONG = 60
QUOTES = "\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_LETTERS_LIKE_VOWELS = tuple("AEFHILMNORSX")  # "an HTTPException", "an SQLModel": said letter by letter
_TOKEN = re.compile(r"eyJ[\w-]{5,}(?:\.[\w-]*){1,2}|eyJ[\w-]{12,}")
_BCRYPT = re.compile(r"(\$2[abxy]\$\d\d\$)[./A-Za-z0-9]{20,}")
_SECRET = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])(?=[\w-]*[A-Z])([\w-]{4})[\w-]{28,}(?![\w-])")
_HEX = re.compile(r"\b(?=\d*[a-f])(?=[a-f]*\d)([0-9a-f]{4})[0-9a-f]{28,}\b")
_IDENTIFIER = re.compile(r"[A-Za-z]+\d*(?:_+(?:[A-Za-z]+\d*|\d+))+")
_OBJECT = (
    (re.compile(r"<[\w.<>]*?(\w+) object at 0x\w+>"), r"<\1>"),
    (re.compile(r"<(\w+) object ([\w.<>]+) at 0x\w+>"), r"<\1 \2>"),
    (re.compile(r" at 0x[0-9a-fA-F]+"), ""),
    (re.compile(r"(?<=\w):\d{9,}(?=\.\w)"), ""),
)


def odd_character(line: str) -> str:
    """Name a line's first character that looks like another one, and its column; empty where there is none."""
    for column, char in enumerate(line, 1):
        if (
            char in QUOTES
            or unicodedata.category(char) in ("Cf", "Zl", "Zp")
            or (char != " " and char.isspace() and ord(char) > 127)
        ):
            name = unicodedata.name(char, "a control character").lower()
            instead = "a straight quote" if char in QUOTES else "a space" if char.isspace() else "nothing"
            return f"column {column} holds U+{ord(char):04X} ({name}), which looks like {instead}: type it anew"
    return ""


def with_article(name: str) -> str:
    """Return a name with `a` or `an` before it, by its sound: an IntegrityError, a UserCreate, an int."""
    spelled = len(name) > 1 and (name[:3].isupper() or name.startswith("Http"))
    if spelled:
        vowel = name[0] in _LETTERS_LIKE_VOWELS
    else:
        vowel = name[:1] in tuple("AEIOaeio") or (name[:2] in ("Un", "un") and name[2:3] != "i")
    return f"{'an' if vowel else 'a'} {name}"


def count(number: float, noun: str) -> str:
    """Return a number with its noun, which gets an s where it needs one: 1 byte, 2 bytes, 2.5 seconds."""
    return f"{number:,.6g} {noun}" + ("" if number == 1 else "s")


def kind_of(value: object) -> str:
    """Return what a value is, in brackets, to stand after it: ` (an int)`."""
    return f" ({with_article(type(value).__name__)})"


def shown(value: object) -> str:
    """Return a value for a person: cut when long, with its size in bytes when that differs from its length."""
    if isinstance(value, str):
        size = len(value.encode("utf-8", "surrogatepass"))
        seen = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in value[:LONG])
        cut = f'"{seen[:4]}…"' if len(value) > LONG else f'"{seen}"'
        if len(value) <= LONG and size == len(value):
            return cut
        return f"{cut} ({count(len(value), 'character')}, {count(size, 'byte')})"
    text = shortened(repr(value))
    return text if len(text) <= LONG * 3 else f"{text[: LONG * 3]}…"


def shown_apart(got: object, expected: object) -> tuple[str, str]:
    """Return two values for a person, cut so that both show where they first differ."""
    found, wanted = shown(got), shown(expected)
    texts = [one if isinstance(one, str) else repr(one) for one in (got, expected)]
    if type(got) is not type(expected) or texts[0] == texts[1]:
        return found, wanted
    if shortened(texts[0]) == shortened(texts[1]):  # tokens and hashes: what tells them apart is not for reading
        return found, f"{wanted} (another one)"
    pairs = enumerate(zip(*texts, strict=False))
    place = next((index for index, (one, other) in pairs if one != other), min(map(len, texts)))
    longest, seen = (LONG, 4) if isinstance(expected, str) else (LONG * 3, LONG * 2)
    if max(map(len, texts)) <= longest or (place < seen and found != wanted):
        return found, wanted
    return _part(texts[0], place), _part(texts[1], place)


def _part(text: str, place: int) -> str:
    """Return a part of a text around a place, on one line."""
    start, end = max(place - LONG // 3, 0), place + LONG // 3
    seen = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[start:end])
    cut = f"{'…' if start else ''}{seen}{'…' if end < len(text) else ''}"
    return f'"{cut}" (from character {start + 1} of {len(text)})' if start or end < len(text) else f'"{cut}"'


def shortened(text: str) -> str:
    """Return a text with its tokens, secrets and hashes shortened and its memory addresses left out.

    A token is told apart from others by what it says of itself: its subject and its type, without any check.
    """
    text = _TOKEN.sub(_token, text)
    text = _BCRYPT.sub(r"\1…", text)
    text = _SECRET.sub(_secret, text)
    text = _HEX.sub(r"\1…", text)
    return without_addresses(text)


def without_addresses(text: str) -> str:
    """Return a text in which objects stand without the place in memory where they lie."""
    for pattern, kept in _OBJECT:
        text = pattern.sub(kept, text)
    return text


def _token(match: re.Match[str]) -> str:
    said = ", ".join(f"{name} {value}" for name, value in _claims(match[0]).items())
    return f"eyJ… ({said})" if said else "eyJ…"


def _claims(token: str) -> dict[str, object]:
    """Return the short claims of a token that anyone can read: texts such as its type, and the subject."""
    part = [*token.split("."), ""][1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return {}
    if not isinstance(claims, dict):
        return {}
    return {name: value for name, value in claims.items() if isinstance(value, str) and 0 < len(value) <= 12}


def _secret(match: re.Match[str]) -> str:
    return match[0] if _IDENTIFIER.fullmatch(match[0]) else f"{match[1]}…"


LONGEST_MESSAGE = 20_000  # characters: nobody reads more, and every rule would be tried on it


def said(error: BaseException) -> str:
    """Return an exception's message, also when its `__str__` gives none."""
    try:
        return str(error)[:LONGEST_MESSAGE]
    except Exception as broken:
        return f"its message cannot be read: {broken}"


def summary(error: BaseException) -> str:
    """Return an exception in one line: its kind and the first line of its message, or the first that says something."""
    lines = [line.strip() for line in said(error).strip().split("\n") if line.strip()]
    lines = [line for line in lines if not line.startswith('File "')] or lines  # an address of this machine
    first = " ".join(lines[: 3 if lines and re.match(r"\d+ validation error", lines[0]) else 1])
    named = without_addresses(first)
    return f"{type(error).__name__}: {named}" if named else type(error).__name__
