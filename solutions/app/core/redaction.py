"""The net below the log: what looks like a secret is hidden."""

import re
from typing import Any

HIDDEN = "[hidden]"
SECRET_NAMES = ("password", "token", "secret", "authorization", "cookie", "api_key")
NAMES = "|".join(SECRET_NAMES)
PATTERNS = [
    (r"(\w://[^/\s:@]*:)[^/\s@]+@", rf"\1{HIDDEN}@"),  # postgresql://shop:s3cr3t@db
    (r"(?<![\w-])eyJ[\w-]*\.[\w-]+\.[\w-]*", HIDDEN),  # a JWT
    (r"(cookie: ?)[^\r\n]+", rf"\1{HIDDEN}"),
]
BEFORE = rf"(?:{NAMES})\w{{0,20}}[\"']?\s*[=:]\s*"
PATTERNS += [
    (r"\b(bearer|basic)\s+[^\s,;\"']+", rf"\1 {HIDDEN}"),
    (rf'({BEFORE}")(?:[^"\\]|\\.)*', rf"\1{HIDDEN}"),
    (rf"({BEFORE}')(?:[^'\\]|\\.)*", rf"\1{HIDDEN}"),
    (rf"({BEFORE})(?!bearer |basic )[^\s&,;\"']+", rf"\1{HIDDEN}"),
]


def cleaned(value: Any) -> Any:
    """Return a value for the log without what looks like a secret."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {
            str(key): HIDDEN if re.search(NAMES, str(key), re.IGNORECASE) else cleaned(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [cleaned(inner) for inner in value]
    text = str(value)
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    return text
