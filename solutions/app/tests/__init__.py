"""The tests of this backend: `pytest app/tests` runs them."""
