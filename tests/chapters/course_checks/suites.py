"""Runs of a learner's tests on variants of the app (chapter 11)."""

SECONDS = 20  # for one run; on a quiet machine it is one
