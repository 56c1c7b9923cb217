"""The base of every error that is told to a person in words: what, where, the bad value, and one hint."""


class WorkbookError(Exception):
    """An error whose text says all: the command line and the magics show it without a traceback.

    Args:
        message: What is wrong, where, and the bad value.
        hint: One action that repairs it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message
