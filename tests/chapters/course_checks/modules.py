"""The learner's modules, and parts of them by name."""

import sys


def module_of(load, name):
    """Return the learner's module itself, whose names can be set."""
    load(name)
    return sys.modules[f"app.{name}"]


def part_of(load, module, name):
    """Return a function of the learner's, for `at=`; None where it has another name."""
    return getattr(module_of(load, module), name, None)


def method(model, name):
    """Return the learner's method of a class, or the class where there is none of that name."""
    return getattr(model, name, model)
