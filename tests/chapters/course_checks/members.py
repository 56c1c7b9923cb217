"""Members of the learner's classes, by name (chapter 14)."""


def method(load, module, owner, name):
    """Return a method of the learner's, for `at=`; the class where it is missing."""
    made = getattr(load(module), owner)
    return getattr(made, name, made)
