"""The learner's models, all imported, and what SQLAlchemy says where they do not fit together."""

import importlib
import importlib.util
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from course_checks.words import in_words
from workbook import expect

MODELS = ("users.models", "items.models", "auth.models")


def load_models(load):
    """Import every model that the learner's package has by now, and return its `Base`."""
    base = load("db.base").Base
    folder = Path(importlib.import_module("app").__file__).parent
    for name in MODELS:
        if folder.joinpath(*name.split(".")).with_suffix(".py").is_file():
            load(name)
    with models_that_fit("connect the models with each other"):
        _ = [key.column for table in base.metadata.tables.values() for key in table.foreign_keys]
        configure_mappers()
    return base


NO_FIT = [
    ("passive_deletes", '"all" is a word of cascade, and passive_deletes is True or False'),
    ("cascade", "compare the words of cascade with the text, letter by letter"),
    ("", 'compare names and spelling: ForeignKey("users.id"), and back_populates on both ends'),
]


@contextmanager
def models_that_fit(did):
    """Turn what SQLAlchemy says of the models into a wrong answer."""
    try:
        yield
    except SQLAlchemyError as error:
        raise expect.Wrong(
            did=did,
            got=in_words(error, 200),
            expected="every foreign key and every relationship finds its other end, and every table can be made",
            why="the app would fail at its first query",
            hint=next(hint for part, hint in NO_FIT if part in str(error)),
        ) from None
