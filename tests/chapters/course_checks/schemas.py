"""The learner's schemas: what they accept, refuse and pass on, and what usually is missing (chapter 02)."""

import ast
import inspect
import sys
import textwrap
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from workbook import expect

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Row:
    """A row without a `__dict__`, as an object of another library may be: its attributes can only be read by name."""

    __slots__ = ("_values",)

    def __init__(self, stored):
        self._values = vars(stored)

    def __getattr__(self, name):
        """Read a column."""
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None


def schema(load, name):
    """Load one of the learner's schemas, such as "users.UserCreate"; what is no schema is a wrong answer."""
    feature, name = name.split(".")
    found = getattr(load(f"{feature}.schemas"), name)
    expect.that(
        isinstance(found, type) and issubclass(found, BaseModel),
        did=f"from app.{feature}.schemas import {name}",
        got=f"{name} is no schema",
        expected=f"{name} is a class that inherits from BaseModel",
        why="FastAPI checks a request and filters an answer by Pydantic models",
        hint=f"write `class {name}(BaseModel):`",
        at=found,
    )
    if feature == "items":
        bounds_fit(found)
    return found


def bounds_fit(model):
    """Expect that the bounds of a price fit its type; else every value of every field ends in the same error."""
    try:
        model.model_validate({"title": "Lamp", "price": "9.90"})
    except TypeError as error:
        raise expect.Wrong(
            did=f'{model.__name__}(title="Lamp", price="9.90")',
            got=f"{type(error).__name__}: {error}",
            expected="it is accepted",
            why="every request, good or bad, would be a 500",
            hint=hint_for_constraint(str(error)),
            at=rule(model, "Price"),
        ) from None
    except Exception:  # noqa: S110 - what else goes wrong, the criteria tell
        pass


def hint_for_constraint(message):
    """Return what repairs a Field whose bounds do not fit its type."""
    name = message.split("'")[1] if "'" in message else "this bound"
    if "float" in message or name in ("max_digits", "decimal_places"):
        return f"`{name}` needs a type that counts digits as people do on paper: a float does not"
    return f"`{name}` does not fit the type that stands before it: compare the two"


def same_names(model):
    """Return a name that two methods of the class share, or an empty string: the second replaces the first."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0].body
    except (OSError, TypeError, SyntaxError, AttributeError, IndexError):
        return ""
    names = Counter(one.name for one in body if isinstance(one, ast.FunctionDef))
    return next((name for name, count in names.items() if count > 1), "")


def without(data, field):
    """Return the data without one field."""
    return {key: value for key, value in data.items() if key != field}


def rule(model, name):
    """Return the name in the learner's module that holds a rule, for `at`; the model where there is no such name."""
    module = sys.modules[model.__module__]
    return (module, name) if hasattr(module, name) else model


def expect_fields(made, wanted, **reason):
    """Expect what was made to have these fields with these values."""
    model = type(made)
    at = reason.pop("at", model)
    missing = [name for name in wanted if not hasattr(made, name)]
    if missing:
        raise expect.Wrong(
            did=f"the fields of {model.__name__}",
            got=f"it has no field {', '.join(missing)}",
            expected=f"it has {', '.join(wanted)}",
            why="what a person sends would be lost",
            hint=f"add {missing[0]} to {model.__name__}, or to the class that it inherits from; mind the spelling",
            at=model,
        )
    if len(wanted) == 1:
        (name,) = wanted
        expect.equal(getattr(made, name), wanted[name], at=at, **reason)
    else:
        expect.equal({name: getattr(made, name) for name in wanted}, wanted, at=at, **reason)


def part(answer, names, schema):
    """Return the named fields of a JSON answer, which must be there; others, of later chapters, do not matter."""
    body = expect.body(answer)
    missing = [name for name in names if name not in body] if isinstance(body, dict) else []
    expect.that(
        not missing,
        did=f"the fields of {schema.__name__}",
        got=f"it has no field {', '.join(missing)}",
        expected=f"the fields {', '.join(names)}",
        why="a client reads these fields, and finds nothing",
        hint=f"add the field {missing[0]} to {schema.__name__}" if missing else "",
        at=schema,
    )
    return {key: body[key] for key in names} if isinstance(body, dict) else body


def hint_for_missing(model, data):
    """Return what repairs a schema that asks for a field which may be left out, if that is what it does."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        fields = [".".join(map(str, one["loc"])) for one in error.errors() if one["type"] == "missing"]
        if fields and fields[0] not in inspect.get_annotations(model) and model.__name__.endswith("Update"):
            return f"{model.__mro__[1].__name__} requires {fields[0]}: write the field here anew, with a default"
        return "`Field required`: whatever its type, only a field with a default may be left out" if fields else ""
    except Exception:
        return ""
    return ""


@contextmanager
def throw_away_app():
    """Show no way to send a request again: its app lives in the check only."""
    try:
        yield
    except expect.Wrong as wrong:
        wrong.exchange = None
        raise


def rule_of(model, field):
    """Return the learner's function that judges a field, or the model where there is none."""
    decorated = model.__pydantic_decorators__.field_validators.values()
    functions = [one.func for one in decorated if field in one.info.fields]
    if field in model.model_fields:
        functions += [getattr(one, "func", None) for one in model.model_fields[field].metadata]
    own = [one for one in functions if getattr(one, "__module__", "") == model.__module__]
    return own[-1] if own else model


def hint_for_misspelled(model, data):
    """Return what to do about a field whose name is nearly that of one that the client sends, if there is one."""
    fields = getattr(model, "model_fields", {})
    for name in fields.keys() - data.keys():
        for sent in data.keys() - fields.keys():
            if fields[name].is_required() and sent.replace("_", "") == name.replace("_", "").lower():
                return f"the field is called {sent}, not {name}: clients send the name of the table"
    return None


def accepts(model, data, **reason):
    """Expect that data is accepted; an error from inside Pydantic, such as a bad validator, is a wrong answer."""
    try:
        return expect.accepted(model, data, **reason)
    except expect.Wrong as wrong:
        wrong.hint = hint_for_misspelled(model, data) or hint_for_missing(model, data) or wrong.hint
        raise
    except Exception as error:
        module = sys.modules[model.__module__].__file__
        if any(frame.filename == module for frame in traceback.extract_tb(error.__traceback__)):
            raise
        raise expect.Wrong(
            did=f"{model.__name__}.model_validate({data!r})",
            got=f"it raised {type(error).__name__}: {error}",
            expected="it is accepted",
            why="every request, good or bad, would be a 500",
            hint="give AfterValidator the name of a function that takes one value and returns it",
            at=model,
        ) from None


def changes(model, data, **reason):
    """Return what an update schema hands on: only what the client sent."""
    return accepts(model, data, **reason).model_dump(exclude_unset=True)


def expect_none(update, names):
    """Expect that fields which were not sent read as None."""
    made = accepts(
        update,
        {},
        why="a client that changes one field would have to send all the others",
        hint="give each field the default None",
    )
    expect_fields(
        made,
        dict.fromkeys(names),
        did=f"the fields of {update.__name__}.model_validate({{}})",
        why="code that asks `if update.email is not None` would act on a value that nobody sent",
        hint="give each field the default None",
    )


def hint_for_null(update, field):
    """Return what repairs an update that lets null through: look first which validators it has."""
    if name := same_names(update):
        return f"two methods are called `{name}`, and the second replaces the first: give each its own name"
    if rule_of(update, field) is update:
        return f"no validator of yours looks at {field}: a field validator names the fields that it judges"
    return f"your validator looks at {field}: what does it do when the value is None?"


def refuses_null(update, field):
    """Expect that null is refused for this field, and that the error names the field."""
    why = "the database would refuse the null, and the client would get a 500"
    hint = hint_for_null(update, field)
    try:
        update.model_validate({field: None})
    except ValidationError as error:
        if all(one["loc"] == () for one in error.errors()):
            raise expect.Wrong(
                did=f"{update.__name__}({field}=None)",
                got=f"a ValidationError that names no field: {error.errors()[0]['msg']}",
                expected=f'a ValidationError for "{field}"',
                why="a form shows the message beside the field: without its name it has no place",
                hint="a model_validator speaks for the whole request; a field_validator speaks for its field",
                at=update,
            ) from None
    except Exception:  # noqa: S110 - expect.refused, below, says what came
        pass
    expect.refused(update, {field: None}, field=field, why=why, hint=hint, at=rule_of(update, field))


def shows(schema, row, hint="compare the fields and their types with the table"):
    """Read a row by a public schema, as our own code would, and return its JSON as Python values."""
    try:
        return schema.model_validate(row).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise expect.Wrong(
            did=f"{schema.__name__}.model_validate(row)",
            got=f"{name or 'the row'} was refused: {first['msg']}",
            expected="the row is read",
            why="a row that is stored must be shown: whoever asks for it would get a 500",
            hint=hint_for_row(schema, name, first) or hint,
            at=schema,
        ) from None


def hint_for_row(schema, name, fault):
    """Return what repairs a public schema that refused a row, if the fault tells."""
    if not name:
        return "Pydantic reads attributes only where a setting of model_config allows it: the text above names it"
    if fault["type"] == "missing":
        return f"the row has no {name}: list only the fields of the table"
    if fault["input"] is None:
        return f"{name} may be null: give it a type with `| None`"
    if name not in inspect.get_annotations(schema) and len(schema.__mro__) > 3:
        return f"{name} comes from {schema.__mro__[1].__name__}, with its rules for new input: inherit from BaseModel"
    if "type" in fault and fault["type"] not in ("string_type", "enum"):
        return f"the type of {name} carries a rule for new input: on the way out a plain type is enough"
    return ""


def sends_only(schema, row, names):
    """Expect that a public schema sends nothing that is not listed, however the row is given."""
    shows(schema, row)
    for way, given in (("an object", row), ("an object without __dict__", Row(row)), ("a dict", vars(row))):
        try:
            made = schema.model_validate(given)
            sent = {**made.model_dump(), **made.model_dump(mode="json")}
        except Exception as error:
            raise expect.Wrong(
                did=f"{schema.__name__}.model_validate(row), the row being {way}",
                got=f"it raised {type(error).__name__}: {str(error).splitlines()[0]}",
                expected="the row is read",
                why="your own code hands over rows of many kinds",
                hint="let Pydantic read the attributes by their names: one setting of model_config allows it",
                at=schema,
            ) from None
        leaks = [name for name in names if name in sent or hasattr(made, name)]
        expect.that(
            not leaks,
            did=f"{schema.__name__}.model_validate(row), the row being {way} with more than the listed fields",
            got=f"{', '.join(leaks)} got through",
            expected="only the listed fields",
            why="what the database gains later would leave the server, and nobody would have decided so",
            hint="what is not listed stays: which setting, or which method of yours, lets more through?",
            at=schema,
        )


def never_passes_on(model, data, name):
    """Expect that a field which a client must not choose never reaches the dump; refusing it is as good."""
    for value in ("admin", "Correct horse", True, 7, "2026-05-01T12:00:00Z", {"id": 7}):
        try:
            dumped = model.model_validate(data | {name: value}).model_dump()
        except Exception:  # refused is as good; what else it may be, the other criteria tell
            continue
        expect.that(
            name not in dumped,
            did=f'{model.__name__} with "{name}": {value!r}',
            got=f"the dump has {name}",
            expected=f"{name} is dropped or refused",
            why="a client could give itself rights that nobody granted",
            hint=f"take {name} out of {model.__name__}; list only what this client may choose"
            if name in model.model_fields
            else f"{model.__name__} does not list {name}: which setting of it lets more through than it lists?",
            at=model,
        )


def no_old_pydantic(load, name):
    """Expect that a module imports without a warning about Pydantic 1."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load.fresh(name)
    said = [str(one.message).split(". ")[0].replace("\n", " ") for one in caught]
    old = [text for text in said if "deprecated" in text or "changed in V2" in text]
    expect.that(
        not old,
        did=f"import app.{name}",
        got=f"the warning: {old[0][:120]}" if old else "",
        expected="no warning about old Pydantic",
        why="Pydantic 1's ways are ignored or warned about today, and the next version drops them",
        hint="use model_config = ConfigDict(...) for settings and @field_validator for rules",
    )
