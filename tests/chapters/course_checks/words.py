"""Exceptions in words."""


def in_words(error, size=150):
    """Return an error in one line, its message cut after `size` letters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:size]}"
