"""Hashes at the lowest cost, and what the learner's functions say of a password (chapter 07)."""

import asyncio
import inspect
import threading

import bcrypt
import pytest
from passlib.context import CryptContext
from passlib.hash import bcrypt as bcrypt_scheme

from course_checks.samples import PASSWORD
from workbook import expect
from workbook.checks import why_none

CHEAP = 4
NO_BYPASS = "another password than the right one would open the account"
NO_CRASH = "the sign-in would answer with a 500"
OLDER = ("$2a$", "$2y$")  # how older programs begin a bcrypt hash


def cheaply(security):
    """Lower the cost of the learner's context, so that a check takes no time; return the module."""
    context = security.pwd_context
    expect.that(
        isinstance(context, CryptContext),
        did="from app.core.security import pwd_context",
        got=f"a {type(context).__name__}",
        expected="a CryptContext of passlib",
        hint='keep the line `pwd_context = CryptContext(schemes=["bcrypt"], bcrypt__rounds=12)`',
    )
    try:
        context.update(bcrypt__rounds=CHEAP)
    except ValueError as error:  # other settings of the cost stand beside it
        raise expect.Wrong(
            did=f"pwd_context.update(bcrypt__rounds={CHEAP}), as tests do to be fast",
            got=f"a ValueError: {error}",
            expected="one setting of the cost, which tests can lower",
            why="each test that signs somebody in would pay the full cost, and the tests would take minutes",
            hint="set the cost by bcrypt__rounds alone, as the given line does; take any other setting of it away",
        ) from None
    return security


@pytest.fixture
def security(load):
    """The learner's `app.core.security`, at the lowest cost."""
    return cheaply(load("core.security"))


class Work:
    """What bcrypt did: the cost of each run, and the text that it got."""

    def __init__(self):
        self.costs, self.texts = [], []

    def __call__(self, secret, salt):
        """Hash, and note it."""
        self.costs.append(int(bytes(salt).split(b"$")[2]))
        self.texts.append(secret)
        return HASHPW(secret, salt)

    def of(self, function, *arguments):
        """Return what a call returned, and the costs of the runs inside it."""
        self.costs.clear()
        return function(*arguments), list(self.costs)


bcrypt_scheme.using(rounds=CHEAP).hash("its first use tries the library out")


HASHPW = bcrypt.hashpw


@pytest.fixture
def work(monkeypatch):
    """A count of bcrypt's work."""
    seen = Work()
    monkeypatch.setattr(bcrypt, "hashpw", seen)
    return seen


def hash_of(password, rounds=CHEAP):
    """Return a bcrypt text that was not made by the learner's code."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def fits(password, hashed):
    """Say whether a text is a bcrypt hash of the password, by bcrypt itself."""
    try:
        return bcrypt.checkpw(password.encode(), hashed.encode())
    except (ValueError, AttributeError):
        return False


def shortened(text):
    """Return the beginning of a text, and its length where it is cut."""
    return text if len(text) < 24 else f"{text[:12]}…' ({len(text) - 2} characters)"


def call(password, stored):
    """Return a call of check_hash as a person would write it."""
    whole = str(stored).startswith("$2") and len(str(stored)) == 60
    what = "the stored hash" if whole else shortened(repr(stored))
    return f"check_hash({expect.shown(password)}, {what})"


def check(security, password, stored):
    """Call the learner's check_hash, and return its pair; what is no pair is a wrong answer."""
    did, at = call(password, stored), security.check_hash
    try:
        answer = security.check_hash(password, stored)
    except (ValueError, TypeError) as error:  # what passlib and str.encode raise; the rest is the learner's to see
        raise expect.Wrong(
            did=did,
            got=f"it raised {type(error).__name__}: {error}",
            expected="a pair, such as (False, None)",
            why=NO_CRASH,
            hint=hint_for(error, stored),
            at=at,
            error=error,
            sure=True,
        ) from None
    if inspect.iscoroutine(answer):
        answer.close()
        raise expect.Wrong(
            did=did,
            got="a coroutine",
            expected="a pair: check_hash is an ordinary function",
            why="a thread can only run an ordinary function",
            hint="write `def check_hash`, without async",
            at=at,
        )
    return pair_of(answer, did, at)


def hint_for(error, stored):
    """Say what usually is behind an exception of check_hash."""
    if "could not be identified" in str(error) and str(stored).startswith("$2"):
        return "verify takes the password first, then the stored hash"
    if "not None" in str(error):
        return "ask whether hashed_password is None before anything else reads it"
    if "could not be identified" in str(error):
        return "verify says ValueError for a text that is no hash: catch it around this call, and do the dummy's work"
    if str(stored).startswith("$2") and len(str(stored)) != len(hash_of(PASSWORD)):
        return "a hash that was cut short is no hash, though it begins like one: catch the ValueError of verify"
    if "72 bytes" in str(error):
        return "ask is_too_long first: count bytes, not characters"
    if "surrogates" in str(error):
        return "call refuse_unstorable before you count bytes: half of a character has none"
    if "NULL" in str(error):
        return "a NUL cannot be hashed: let can_be_hashed ask refuse_unstorable, and the guard clause can_be_hashed"
    return "check_hash answers for every text; return (False, None) for one that cannot be compared"


def pair_of(answer, did, at):
    """Return an answer that is a pair of a bool and a text or None."""
    expect.that(
        isinstance(answer, tuple) and len(answer) == 2,
        did=did,
        got=repr(answer),
        expected="a pair: first True or False, then None or a new hash",
        why="the caller takes it apart: `valid, new_hash = ...`",
        hint=why_none(at, "the pair")
        if answer is None
        else "return the pair of check_hash as it is: do not take it apart"
        if at.__name__ == "verify_password"
        else "return two values with a comma between them",
        at=at,
    )
    expect.that(
        isinstance(answer[0], bool),
        did=did,
        got=f"a {type(answer[0]).__name__} in the first place",
        expected="True or False in the first place",
        why="the caller asks `if valid`, and a pair or a text counts as true",
        hint="return what passlib says: True or False",
        at=at,
    )
    if inspect.iscoroutine(answer[1]):
        answer[1].close()
        raise expect.Wrong(
            did=did,
            got="a coroutine in the second place",
            expected="a text or None in the second place",
            why="the caller would store a coroutine in the row of the user",
            hint="hash_password is async, and check_hash runs in a thread that awaits nothing: ask pwd_context itself",
            at=at,
            sure=True,
        )
    expect.that(
        answer[1] is None or isinstance(answer[1], str),
        did=did,
        got=f"a {type(answer[1]).__name__} in the second place",
        expected="a text or None in the second place",
        why="the caller stores it in the row of the user",
        hint="the second place is a new hash or None",
        at=at,
    )
    return answer


def second(text, stored):
    """Return the second place of a pair in words."""
    return "None" if text is None else "the stored text again" if text == stored else "a new hash"


def expect_answer(security, password, stored, valid, *, why, hint):
    """Expect the first place of the pair, and, for a wrong password, None in the second."""
    got = check(security, password, stored)
    expected = (valid, got[1]) if valid else (False, None)
    expect.that(
        got == expected,
        did=call(password, stored),
        got="(True, …)" if got[0] else f"(False, {second(got[1], stored)})",
        expected="(True, …)" if valid else "(False, None)",
        why=why,
        hint=hint,
        at=security.check_hash,
    )


async def finished(awaited, did, why, arguments, at):
    """Return the result of a call; what a thread cannot run, and a coroutine as the result, are wrong answers."""
    expect.that(
        inspect.isawaitable(awaited),
        did=did,
        got=f"a {type(awaited).__name__}, which nobody can await",
        expected=f"something to await: {at.__name__} is an async function",
        why="who calls it says `await`, and would get a TypeError",
        hint=f"write `async def {at.__name__}`",
        at=at,
    )
    try:
        found = await awaited
    except TypeError as error:
        if "not callable" not in str(error):
            raise
        raise expect.Wrong(
            did=did,
            got=f"a TypeError: {error}",
            expected="a thread that is given a function to call",
            why="with brackets the slow work is done here, on the event loop, and the thread gets only its result",
            hint=f"hand over the function's name without brackets{arguments}",
            at=at,
        ) from None
    if inspect.iscoroutine(found):
        found.close()
        raise expect.Wrong(
            did=did,
            got="a coroutine",
            expected="the finished result",
            why=why,
            hint="put `await` before asyncio.to_thread(...)",
            at=at,
        )
    return found


async def verified(security, password, stored):
    """Call the learner's verify_password, and return its pair."""
    did, at = f"await verify_password({expect.shown(password)}, ...)", security.verify_password
    awaited = security.verify_password(password, stored)
    arguments = ", and behind it, with commas, the password and the stored hash"
    try:
        answer = await finished(awaited, did, NO_CRASH, arguments, at)
    except ValueError as error:  # what passlib raises
        raise expect.Wrong(
            did=did,
            got=f"it raised {type(error).__name__}: {error}",
            expected="a pair, such as (False, None)",
            why=NO_CRASH,
            hint=hint_for(error, stored).replace("verify takes", "check_hash takes"),
            at=at,
        ) from None
    return pair_of(answer, did, at)


class Patient:
    """A bcrypt that waits, once it has begun, for a sign of life of the event loop."""

    def __init__(self):
        self.begun, self.free, self.waited = threading.Event(), threading.Event(), []

    def __call__(self, secret, salt):
        """Hash, once the event loop has shown that it lives, or a while has passed."""
        self.begun.set()
        self.waited.append(self.free.wait(0.3))
        return HASHPW(secret, salt)

    async def beat(self):
        """Show that the event loop lives."""
        while not self.begun.is_set():
            await asyncio.sleep(0.001)
        self.free.set()


@pytest.fixture
async def patient(monkeypatch):
    """A bcrypt that notices whether the event loop lives while it works."""
    one = Patient()
    monkeypatch.setattr(bcrypt, "hashpw", one)
    heart = asyncio.create_task(one.beat())
    yield one
    heart.cancel()


def expect_free(patient, did, at):
    """Expect that the event loop went on while bcrypt worked."""
    expect.that(
        bool(patient.waited) and all(patient.waited),
        did=f"{did}, and meanwhile a second task",
        got="the second task had to wait until bcrypt was done" if patient.waited else "bcrypt never ran",
        expected="the second task goes on while bcrypt works",
        why="each sign-in would stop every request of every user for 0.2 to 0.4 s",
        hint="run it in a thread and wait with await: `await asyncio.to_thread(function, argument)`",
        at=at,
    )
