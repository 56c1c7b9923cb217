"""The faults of chapter 15: what a learner's sabotaged app may have, by topic; `edits` has what each changes.

Whoever attacks by HTTP alone can find each of them; `tests/backend/exam_variants.py` says by which criterion of the
exam.
"""

from __future__ import annotations

from workbook.practice.edits import EDITS
from workbook.practice.sabotage import Fault

TOPICS: dict[str, tuple[str, ...]] = {
    "tokens": (
        "refresh and access are the same",
        "signatures are not verified",
        "the algorithm none is taken",
        "the token brings its key",
        "the token names its key",
        "the key is a word",
    ),
    "objects": (
        "anybody's account by its id",
        "anybody's item by its id",
        "anybody's item can be deleted",
        "another one's item is 403",
    ),
    "assignment": (
        "everybody makes an admin of themselves",
        "everybody signs up as an admin",
        "the owner is the client's choice",
        "the owner can be changed",
    ),
    "enumeration": (
        "the log-in tells who has an account",
        "the way back tells who has an account",
        "the log-in tells who is switched off",
        "an unknown name costs nothing",
    ),
    "race": ("two at the same moment", "read, then write: two refreshes at once", "the last admin can go"),
    "injection": ("a search in SQL", "a search that is a pattern", "sorted by the hash"),
    "leak": ("the hash is shown", "validation that repeats the input", "a 500 that shows the traceback"),
    "sessions": (
        "the revocation is rolled back",
        "signing out ends nothing",
        "a new password leaves the sessions",
        "switched off and on, and the session lives",
        "who is switched off goes on",
    ),
}
POOL: dict[str, tuple[Fault, ...]] = {
    topic: tuple(Fault(name, EDITS[name]) for name in names) for topic, names in TOPICS.items()
}
# the names of the exam's criteria that find a fault
FOUND_BY: dict[str, tuple[str, ...]] = {
    "validation that repeats the input": ("input_is_not_repeated",),
    "a 500 that shows the traceback": (
        "no_internals",
        "no_crash",
        "names_are_taken_once",
        "sign_ups_at_once",
    ),
    "an unknown name costs nothing": ("equal_work",),
    "the hash is shown": (
        "no_secrets_in_answers",
        "the_current_user",
        "register",
    ),
    "two at the same moment": (
        "sign_ups_at_once",
        "no_crash",
    ),
    "the log-in tells who has an account": ("who_has_an_account",),
    "refresh and access are the same": ("tokens_have_one_use",),
    "read, then write: two refreshes at once": ("refresh_races",),
    "the revocation is rolled back": ("reuse_ends_the_family",),
    "signing out ends nothing": ("logout",),
    "a new password leaves the sessions": ("change_password",),
    "who is switched off goes on": ("switched_off_at_once",),
    "the log-in tells who is switched off": ("switched_off_is_not_told",),
    "switched off and on, and the session lives": ("switched_on_again",),
    "the way back tells who has an account": ("forgotten_password",),
    "signatures are not verified": (
        "changed_tokens",
        "unsigned_tokens",
    ),
    "the algorithm none is taken": ("unsigned_tokens",),
    "the token names its key": ("keys_from_the_token",),
    "the key is a word": ("guessed_keys",),
    "the token brings its key": ("keys_from_the_token",),
    "the owner is the client's choice": ("create_and_read",),
    "the owner can be changed": ("change_an_item",),
    "a search that is a pattern": ("search",),
    "a search in SQL": (
        "injections",
        "search",
    ),
    "sorted by the hash": ("sort_what_may_be_seen",),
    "anybody's account by its id": ("other_people",),
    "anybody's item by its id": ("other_peoples_items",),
    "anybody's item can be deleted": ("other_peoples_items",),
    "another one's item is 403": ("other_peoples_items",),
    "everybody makes an admin of themselves": ("nobody_promotes_themselves",),
    "everybody signs up as an admin": ("nobody_signs_up_as_an_admin",),
    "the last admin can go": ("the_last_admin",),
}
