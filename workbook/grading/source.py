"""What is graded of a submission."""

from enum import StrEnum


class Source(StrEnum):
    """The package, the notebooks, or whichever holds code."""

    AUTO = "auto"
    APP = "app"
    NOTEBOOKS = "notebooks"
