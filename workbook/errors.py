"""The base of every error that is told to a person in words: what, where, the bad value, and one hint."""


class WorkbookError(Exception):
    """An error whose text says all: the command line and the magics show it without a traceback."""
