"""Checks of chapter 07: passwords. bcrypt's work is counted, never timed, and done at the lowest cost."""

import asyncio
import inspect
import threading

import bcrypt
import pytest
from passlib.context import CryptContext
from passlib.hash import bcrypt as bcrypt_scheme

from workbook import expect
from workbook.checks import exercise
from workbook.endings import why_none

HORSE = "Correct horse"
CHEAP = 4
NO_BYPASS = "another password than the right one would open the account"
LISTS_USERS = "a stranger could find out by a clock who has an account"
NO_CRASH = "the sign-in would answer with a 500"
OLDER = ("$2a$", "$2y$")  # how older programs begin a bcrypt hash
NOBODY = "only the right password for a stored hash may open an account"


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


@pytest.fixture
def dearer(security):
    """The learner's module after the cost rose from 4 to 5."""
    security.pwd_context.update(bcrypt__rounds=CHEAP + 1)
    yield security
    security.pwd_context.update(bcrypt__rounds=CHEAP)


async def warmed(load, ready=lambda: None):
    """Import the learner's `app.core.security` anew, at the lowest cost, say that it is `ready`, and warm it up."""
    security = cheaply(load.fresh("core.security"))
    ready()
    why = "the app would not start, or the first unknown user would wait longer than others"
    await finished(security.warm_up_hashing(), "await warm_up_hashing()", why, "", security.warm_up_hashing)
    return security


class Work:
    """What bcrypt did: the cost of each run, and the text that it got."""

    def __init__(self):
        self.costs, self.texts = [], []

    def __call__(self, secret, salt):
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
    if str(stored).startswith("$2") and len(str(stored)) != len(hash_of(HORSE)):
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


async def hashed_by(security, password):
    """Return what the learner's hash_password gives; what is no text is a wrong answer."""
    did, at = "await hash_password(password)", security.hash_password
    why = "the row of the user would get something that is no hash, and nobody could sign in"
    found = await finished(
        security.hash_password(password), did, why, ", and behind it, with a comma, the password", at
    )
    expect.that(
        isinstance(found, str), did=did, got=repr(found), expected="a text", why=why, hint="return the hash", at=at
    )
    return found


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


# ---------------------------------------------------------------------------------------------------------------- 7.1


async def expect_cost_of_the_context(security):
    """Expect that hash_password works at the cost that the context has at this moment."""
    for cost in (CHEAP, CHEAP + 1):
        security.pwd_context.update(bcrypt__rounds=cost)
        try:
            hashed = await hashed_by(security, HORSE)
        finally:
            security.pwd_context.update(bcrypt__rounds=CHEAP)
        expect.that(
            hashed.split("$")[2:3] == [f"{cost:02}"],
            did=f"pwd_context.update(bcrypt__rounds={cost}), then await hash_password(...)",
            got=f"a text that begins with {hashed[:7]}",
            expected=f"a hash of cost {cost}, which begins with $2b${cost:02}$",
            why="there would be two places for the cost: tests would stay slow, and a higher cost would reach nobody",
            hint="pwd_context knows the cost, so let it make the hash: its method is `hash`",
            at=security.hash_password,
        )


@exercise("7.1")
class TestHash:
    async def test_a_hash_fits_its_password(self, security):
        """The hash is a bcrypt text that fits the password, and holds nothing of it"""
        for password in (HORSE, "  Spaces Around  ", "Größe 🙂", "Two² ½ pints"):
            hashed = await hashed_by(security, password)
            expect.that(
                password.strip().lower() not in hashed.lower() and hashed.startswith("$2"),
                did="await hash_password(password)",
                got="the password itself" if password in hashed else f"{hashed[:4]}…, no bcrypt text",
                expected="a bcrypt text: $2b$…",
                why="a thief of the database could use what it holds, or guess it a million times a second",
                hint="return pwd_context.hash(password)",
                at=security.hash_password,
            )
            expect.that(
                fits(password, hashed),
                did=f"await hash_password({expect.shown(password)}), checked by bcrypt",
                got="the hash is of another text",
                expected="the hash is of exactly this text",
                why="people could not sign in with the password that they chose",
                hint="hand the password over as it is: do not trim it, do not change its case",
                at=security.hash_password,
            )

    async def test_each_hash_has_its_own_salt(self, security):
        """The same password gives another hash each time"""
        expect.that(
            await hashed_by(security, HORSE) != await hashed_by(security, HORSE),
            did="hash_password, twice with one password",
            got="the same hash",
            expected="two different hashes",
            why="a thief would see who shares a password, and crack all of them at once",
            hint="do not give a salt: pwd_context.hash makes a new one at each call",
            at=security.hash_password,
        )

    async def test_the_cost(self, load):
        """A hash costs 12 or more, as long as nobody lowers it for a test"""
        security = load.fresh("core.security")
        hashed = await hashed_by(security, HORSE)
        cost = hashed.split("$")[2] if hashed.count("$") == 3 else "none"
        expect.that(
            cost.isdigit() and int(cost) >= 12,
            did="the cost inside a hash",
            got=cost,
            expected="12 or more",
            why="each step less makes the thief twice as fast",
            hint="the cost of all hashes is one number, in the line of pwd_context",
            at=(security, "pwd_context"),
        )

    async def test_the_context_decides(self, security):
        """Who changes the cost of pwd_context changes the cost of the next hash"""
        await expect_cost_of_the_context(security)

    def test_the_right_password(self, security):
        """check_hash answers True for the right password, whoever made the hash"""
        for password in (HORSE, "  Spaces Around  ", "Größe 🙂", "Two² ½ pints"):
            expect_answer(
                security,
                password,
                hash_of(password),
                True,
                why="nobody could sign in",
                hint="a new hash has a new salt, so never compare hashes: use pwd_context.verify"
                if password == HORSE
                else "compare the password as it is: do not trim it, do not change its case",
            )
        for beginning in OLDER:
            expect_answer(
                security,
                HORSE,
                hash_of(HORSE).replace("$2b$", beginning, 1),
                True,
                why=f"people whose hash was made by an older program, and begins with {beginning}, could not sign in",
                hint="let pwd_context.verify read the stored text: it knows every beginning of a bcrypt hash",
            )

    def test_a_wrong_password(self, security):
        """check_hash answers (False, None) for any other password"""
        for stored, typed in [
            (HORSE, "Wrong horse"),
            (HORSE, "correct horse"),
            (HORSE, HORSE + " "),
            ("  Spaces Around  ", "Spaces Around"),
            (HORSE, ""),
            ("Horse²", "Horse2"),
        ]:
            expect_answer(
                security,
                typed,
                hash_of(stored),
                False,
                why=NO_BYPASS,
                hint="compare the password as it is: do not trim it, do not change its case",
            )

    async def test_sign_up_stores_a_hash(self, load, security, db):
        """A new user's row holds a hash of the password"""
        schemas, service = load("users.schemas"), load("users.service").UserService(db)
        data = {"email": "ada@example.com", "username": "ada", "password": HORSE}
        user = await service.create(schemas.UserCreate(**data))
        expect.that(
            fits(HORSE, user.hashed_password),
            did="UserService(session).create(...), the new row's hashed_password",
            got=expect.shown(user.hashed_password),
            expected="a bcrypt text that fits the password",
            why="the user could never sign in",
            hint="hash_password must return the text that pwd_context.hash gives",
            at=security.hash_password,
        )


# ---------------------------------------------------------------------------------------------------------------- 7.2


class Patient:
    """A bcrypt that waits, once it has begun, for a sign of life of the event loop."""

    def __init__(self):
        self.begun, self.free, self.waited = threading.Event(), threading.Event(), []

    def __call__(self, secret, salt):
        self.begun.set()
        self.waited.append(self.free.wait(0.3))
        return HASHPW(secret, salt)

    async def beat(self):
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


@exercise("7.2")
class TestOffTheLoop:
    async def test_hashing_leaves_the_loop_free(self, security, patient):
        """While hash_password works, the event loop goes on"""
        await hashed_by(security, HORSE)
        expect_free(patient, "await hash_password(...)", security.hash_password)

    async def test_checking_leaves_the_loop_free(self, security, patient):
        """While verify_password works, the event loop goes on"""
        patient.free.set()
        hashed = await hashed_by(security, HORSE)
        patient.waited.clear(), patient.begun.clear(), patient.free.clear()
        beat = asyncio.create_task(patient.beat())
        await verified(security, HORSE, hashed)
        expect_free(patient, "await verify_password(...)", security.verify_password)
        beat.cancel()

    async def test_the_results_are_the_same(self, security):
        """hash_password and verify_password still give the right results, also ten at once"""
        passwords = [f"Correct horse {number}" for number in range(10)]
        hashed = await asyncio.gather(*(hashed_by(security, one) for one in passwords))
        expect.that(
            all(map(fits, passwords, hashed)),
            did="ten times hash_password, at once",
            got="a hash that does not fit its password",
            expected="each hash fits its own password",
            why="people could not sign in",
            hint="give the thread the function and its argument: asyncio.to_thread(pwd_context.hash, password)",
            at=security.hash_password,
        )
        for password, valid in ((HORSE, True), ("Wrong horse", False)):
            answer = await verified(security, password, hash_of(HORSE))
            expect.equal(
                answer[0],
                valid,
                did=f"await verify_password({expect.shown(password)}, the hash of {expect.shown(HORSE)})",
                why="the right person could not sign in, or the wrong one could",
                hint="give check_hash the password first, then the stored hash",
                at=security.verify_password,
            )

    async def test_the_context_decides(self, security):
        """hash_password works at the cost of pwd_context, as before"""
        await expect_cost_of_the_context(security)

    async def test_verify_password_asks_check_hash(self, security, monkeypatch):
        """verify_password returns what check_hash returns"""
        asked = []

        def check_hash(password, hashed_password):
            asked.append((password, hashed_password))
            return True, "a better hash"

        check_hash.__qualname__ = "check_hash"  # for the message of an exception
        monkeypatch.setattr(inspect.getmodule(security.verify_password), "check_hash", check_hash)
        for password, stored, known in (
            (HORSE, hash_of("Another horse"), "the stored hash"),
            (HORSE, None, "None"),
            ("", "", '""'),
            ("a" * 73, "!", '"!"'),
        ):
            asked.clear()
            answer = await verified(security, password, stored)
            expect.equal(
                (asked, tuple(answer)),
                ([(password, stored)], (True, "a better hash")),
                did=f"await verify_password({expect.shown(password)}, {known}): check_hash's calls, and the answer",
                why="what check_hash learns in the next exercises would never reach a sign-in",
                hint="decide nothing here: check_hash is asked about every password, and about None too"
                if not asked
                else "run check_hash in the thread, with both arguments, and return its pair",
                at=security.verify_password,
            )


# ---------------------------------------------------------------------------------------------------------------- 7.3


@exercise("7.3")
class TestLongPasswords:
    def test_bytes_are_counted(self, security):
        """is_too_long counts bytes: 72 are good, 73 are too many"""
        for password, expected in [
            ("a" * 72, False),
            ("a" * 73, True),
            ("É" * 36, False),
            ("É" * 37, True),
            ("🙂" * 18, False),
            ("🙂" * 18 + "a", True),
            (HORSE, False),
        ]:
            expect.equal(
                security.is_too_long(password),
                expected,
                did=f"is_too_long({expect.shown(password)})",
                why="bcrypt reads 72 bytes: a password that has exactly 72 is a good one"
                if len(password.encode()) == 72
                else "bcrypt reads 72 bytes, and a letter may have two or four of them",
                hint="72 bytes are not too many yet: more than MAX_PASSWORD_BYTES are"
                if len(password.encode()) == 72
                else "count the bytes of the text, and compare their number with MAX_PASSWORD_BYTES",
                at=security.is_too_long,
            )

    def test_a_long_password_is_wrong(self, security):
        """A password that is too long is wrong: (False, None), no exception"""
        for password in ("a" * 73, "É" * 37, "a" * 10_000):
            expect_answer(
                security,
                password,
                hash_of(HORSE),
                False,
                why=NO_CRASH,
                hint="ask is_too_long first, and return False, None",
            )

    def test_is_too_long_decides(self, security, work, monkeypatch):
        """check_hash asks is_too_long before it compares"""
        hashed, asked = hash_of(HORSE), []

        def too_long(password):
            asked.append(password)
            return True

        def cannot(password):
            return not too_long(password)

        module = inspect.getmodule(security.check_hash)
        monkeypatch.setattr(module, "is_too_long", too_long)
        if hasattr(module, "can_be_hashed"):  # exercise 7.6 asks in there
            monkeypatch.setattr(module, "can_be_hashed", cannot)
        answer = check(security, HORSE, hashed)
        expect.that(
            bool(asked) and answer == (False, None),
            did="check_hash, for a password of which is_too_long says True",
            got="is_too_long was never asked" if not asked else f"({answer[0]}, {second(answer[1], hashed)})",
            expected="is_too_long is asked, and the answer is (False, None)",
            why="two rules for one thing: one of them will be changed, and the other one forgotten",
            hint="the first line of check_hash asks is_too_long",
            at=security.check_hash,
        )

    def test_nothing_is_cut(self, security):
        """The right password of 72 bytes with anything behind it is wrong"""
        for right in ("a" * 72, "É" * 36):
            expect_answer(
                security,
                right + "b",
                hash_of(right),
                False,
                why="cutting makes another password open the account",
                hint="do not cut: a password that cannot be hashed was never stored, so it is wrong",
            )

    def test_72_bytes_are_good(self, security):
        """A password of exactly 72 bytes still opens its account, and no other one"""
        for right in ("a" * 72, "É" * 36):
            for typed, valid in ((right, True), (right[:-1] + "b", False)):
                expect_answer(
                    security,
                    typed,
                    hash_of(right),
                    valid,
                    why="people with a long password could not sign in" if valid else NO_BYPASS,
                    hint="is_too_long is False up to 72 bytes; then compare as before",
                )


# ---------------------------------------------------------------------------------------------------------------- 7.4


UNKNOWN = "an unknown user"


def cases():
    """Return who knocks: a word for it, the password, and the stored text."""
    hashed = hash_of(HORSE)
    return [
        ("Ada, a wrong password", "Wrong horse", hashed),
        (UNKNOWN, HORSE, None),
        ("Ada, an empty password", "", hashed),
        ("Ada, 73 letters", "a" * 73, hashed),
        ("Ada, 37 letters É", "É" * 37, hashed),
        ("an unknown user, an empty password", "", None),
        ("an unknown user, 73 letters", "a" * 73, None),
    ]


def expect_one_run(security, work, who, password, stored):
    """Expect the answer (False, None), for one run of bcrypt at the cost of today."""
    expect_answer(security, password, stored, False, why=NOBODY, hint="return pwd_context.dummy_verify(), None")
    costs = work.of(check, security, password, stored)[1]
    expect.that(
        costs == [CHEAP],
        did=f"{who}: {call(password, stored)}, at cost {CHEAP}",
        got=", ".join(f"a run of bcrypt at cost {cost}" for cost in costs) or "bcrypt never ran",
        expected=f"one run of bcrypt at cost {CHEAP}",
        why=LISTS_USERS,
        hint="where nothing can be compared, return pwd_context.dummy_verify(), None",
        at=security.check_hash,
    )


async def expect_one_run_of_a_sign_in(security, work, who, stored):
    """Expect that verify_password, too, costs one run where there is nothing to compare."""
    work.costs.clear()
    await verified(security, HORSE, stored)
    expect.that(
        work.costs == [CHEAP],
        did=f"{who}: await verify_password({expect.shown(HORSE)}, {stored!r}), at cost {CHEAP}",
        got=", ".join(f"a run of bcrypt at cost {cost}" for cost in work.costs) or "bcrypt never ran",
        expected=f"one run of bcrypt at cost {CHEAP}",
        why=LISTS_USERS,
        hint="verify_password decides nothing by itself: it runs check_hash in a thread, for every stored text",
        at=security.verify_password,
    )


@exercise("7.4")
class TestEqualWork:
    def test_an_unknown_user(self, security):
        """Without a stored hash the answer is (False, None), whatever the password"""
        for password in (HORSE, "", "a" * 73, "É" * 37):
            expect_answer(
                security,
                password,
                None,
                False,
                why="somebody could sign in as a user who does not exist, or get a 500",
                hint="put `hashed_password is None` into the guard clause",
            )

    async def test_every_answer_costs_the_same(self, load, work):
        """Unknown user, wrong password, too long a password: each costs one run of bcrypt"""
        security = await warmed(load)
        for who, password, stored in cases():
            expect_one_run(security, work, who, password, stored)
        await expect_one_run_of_a_sign_in(security, work, UNKNOWN, None)

    async def test_the_cost_of_the_moment(self, load, work):
        """An unknown user costs what pwd_context costs now, also when that was changed after the start"""
        security = await warmed(load)
        cost = CHEAP + 1
        security.pwd_context.update(bcrypt__rounds=cost)
        check(security, HORSE, None)  # the first one after the change may have to make up a hash
        for who, password, stored in ((UNKNOWN, HORSE, None), ("Ada, 73 letters", "a" * 73, hash_of(HORSE))):
            costs = work.of(check, security, password, stored)[1]
            expect.that(
                costs == [cost],
                did=f"pwd_context.update(bcrypt__rounds={cost}), then twice, for {who}: {call(password, stored)}",
                got=", ".join(f"a run of bcrypt at cost {one}" for one in costs) or "bcrypt never ran",
                expected=f"one run of bcrypt at cost {cost}",
                why=LISTS_USERS,
                hint="do not keep a hash of your own: dummy_verify makes up another one when the cost changes",
                at=security.check_hash,
            )

    async def test_the_right_password_costs_the_same(self, security, work):
        """The right password is still right, for one run of bcrypt"""
        hashed = hash_of(HORSE)
        (valid, _), costs = work.of(check, security, HORSE, hashed)
        expect.equal(
            (valid, costs),
            (True, [CHEAP]),
            did=f"{call(HORSE, hashed)}: the first place, and the costs of bcrypt's runs",
            why="Ada could not sign in, or would wait twice as long",
            hint="compare once, and only where there is something to compare",
            at=security.check_hash,
        )

    async def test_the_first_unknown_user(self, load, work):
        """After warm_up_hashing the first unknown user costs one run, not two"""
        security = await warmed(load)
        costs = work.of(check, security, HORSE, None)[1]
        expect.equal(
            costs,
            [CHEAP],
            did=f"await warm_up_hashing(), then {call(HORSE, None)}: the costs of bcrypt's runs",
            why="after each start the first unknown user would wait twice as long as others",
            hint="warm_up_hashing must call dummy_verify once: its first call makes the hash",
            at=security.warm_up_hashing,
        )

    async def test_nobody_gets_in_by_the_dummy(self, load, work):
        """No password opens the account of nobody, not even the one inside the made-up hash"""
        work.texts.clear()
        security = await warmed(load)
        check(security, HORSE, None)
        for text in {one.decode(errors="replace") for one in work.texts}:
            expect_answer(
                security,
                text,
                None,
                False,
                why="who knows your code could sign in as a user who does not exist",
                hint="return False where there is no user, whatever the comparison says",
            )

    async def test_warming_up_leaves_the_loop_free(self, load, patient):
        """While warm_up_hashing works, the event loop goes on"""
        hearts = []

        def ready():  # what ran while the module was imported is no work of warm_up_hashing
            patient.waited.clear(), patient.begun.clear(), patient.free.clear()
            hearts.append(asyncio.create_task(patient.beat()))

        security = await warmed(load, ready)
        if patient.waited:
            expect_free(patient, "await warm_up_hashing()", security.warm_up_hashing)
        hearts[0].cancel()


# ---------------------------------------------------------------------------------------------------------------- 7.5


@exercise("7.5")
class TestBetterHash:
    def test_better_hash(self, dearer):
        """better_hash gives a new hash of the password for a cheaper one, and None for one of today's cost"""
        for rounds in (CHEAP, CHEAP + 1):
            stored, cheap = hash_of(HORSE, rounds), rounds == CHEAP
            new = dearer.better_hash(HORSE, stored)
            if inspect.iscoroutine(new):
                new.close()
                new = "a coroutine"
            expect.that(
                isinstance(new, str) and new != stored and fits(HORSE, new) if cheap else new is None,
                did=f"better_hash({expect.shown(HORSE)}, a hash of cost {rounds}), when today's cost is {CHEAP + 1}",
                got=new if new == "a coroutine" else second(new, stored),
                expected="a new hash of the same password" if cheap else "None",
                why="the hashes of old users would stay cheap for ever"
                if cheap
                else "each sign-in would write to the database, and take twice as long",
                hint="better_hash is an ordinary function, and hash_password is async: ask pwd_context itself"
                if new == "a coroutine"
                else "needs_update says whether the stored text is too cheap, hash makes a new one",
                at=dearer.better_hash,
            )

    def test_check_hash_uses_it(self, dearer, monkeypatch):
        """check_hash hands on what better_hash says, and asks it only about a right password"""
        asked, hashed = [], hash_of(HORSE)

        def better_hash(password, hashed_password):
            asked.append((password, hashed_password))
            return "what better_hash says"

        monkeypatch.setattr(inspect.getmodule(dearer.check_hash), "better_hash", better_hash)
        for password in ("Wrong horse", "a" * 73, HORSE):
            answer = check(dearer, password, hashed)
            right = password == HORSE
            wanted = ([(HORSE, hashed)], (True, "what better_hash says")) if right else ([], (False, None))
            expect.that(
                (asked, answer) == wanted,
                did=f"{call(password, hashed)}: the calls of better_hash, and the answer",
                got=f"{len(asked)} calls, ({answer[0]}, {second(answer[1], hashed)})",
                expected="one call, and its result in the second place" if right else "no call, (False, None)",
                why="two copies of one rule: one of them will be changed, and the other one forgotten"
                if right
                else "the caller stores the new hash, and the wrong password becomes the right one",
                hint="when the password is right, the second place is what better_hash returns; else it is None",
                at=dearer.check_hash,
            )

    def test_a_hash_of_today(self, security):
        """The right password for a hash of today's cost gives (True, None)"""
        stored = hash_of(HORSE)
        got = check(security, HORSE, stored)
        expect.that(
            got == (True, None),
            did=f"check_hash({expect.shown(HORSE)}, a hash of today's cost)",
            got=f"({got[0]}, {second(got[1], stored)})",
            expected="(True, None)",
            why="each sign-in would write to the database, and take twice as long",
            hint="make a new hash only where one is needed: pwd_context.needs_update(hashed_password)",
            at=security.check_hash,
        )

    def test_a_cheap_hash_is_replaced(self, dearer):
        """The right password for a cheaper hash gives (True, a new hash) of today's cost"""
        for password in (HORSE, "Größe 🙂", "a" * 72):
            stored = hash_of(password)
            valid, new = check(dearer, password, stored)
            did = f"check_hash({expect.shown(password)}, a hash of cost {CHEAP}), when today's cost is {CHEAP + 1}"
            why = "the hashes of old users would stay cheap for ever"
            expect.that(
                valid and isinstance(new, str) and new != stored,
                did=did,
                got=f"({valid}, {second(new, stored)})",
                expected="(True, a new hash)",
                why=why,
                hint="when the password is right, the second place is better_hash(password, hashed_password)",
                at=dearer.check_hash,
            )
            expect.that(
                fits(password, new) and new.split("$")[2] == f"{CHEAP + 1:02}",
                did=did,
                got=f"a text that begins with {new[:7]} and {'fits' if fits(password, new) else 'does not fit'}",
                expected=f"a hash of the same password that begins with $2b${CHEAP + 1:02}$",
                why="the user could never sign in again" if not fits(password, new) else why,
                hint="the new hash is pwd_context.hash(password)",
                at=dearer.check_hash,
            )

    def test_a_wrong_password_changes_nothing(self, dearer):
        """A wrong password never gives a new hash"""
        for password in ("Wrong horse", "", "a" * 73, "É" * 37):
            expect_answer(
                dearer,
                password,
                hash_of(HORSE),
                False,
                why="the caller stores the new hash, and the wrong password becomes the right one",
                hint="check the password first; only when it is right, make a new hash",
            )

    def test_nobody_has_no_new_hash(self, dearer):
        """Without a stored hash the answer stays (False, None)"""
        expect_answer(
            dearer,
            HORSE,
            None,
            False,
            why="the caller would store a hash for a user who does not exist",
            hint="keep the guard clause of exercise 7.4 above the new line",
        )

    async def test_verify_password_hands_it_on(self, dearer):
        """verify_password hands the new hash on"""
        _, new = await verified(dearer, HORSE, hash_of(HORSE))
        expect_new_hash(
            new,
            did="await verify_password(the right password, a cheaper hash), the second place",
            why="the sign-in would have nothing to store",
            hint="verify_password returns the whole pair of check_hash",
            at=dearer.verify_password,
        )


def expect_new_hash(new, **reason):
    """Expect the second place of the pair to be a new hash of the right password."""
    expect.that(
        isinstance(new, str) and fits(HORSE, new),
        got=expect.shown(new),
        expected="a new hash of the same password",
        **reason,
    )


# ---------------------------------------------------------------------------------------------------------------- 7.6


HOSTILE = {
    "with a NUL": ("Correct\x00horse", "\x00", HORSE + "\x00", "a" * 71 + "\x00"),
    "with half of a character": ("\ud800", HORSE + "\udfff", "\ud83d" + HORSE),
    "of more than 72 bytes": ("É" * 37, "a" * 73, HORSE + " " * 60),
}
NO_HASHES = ("!", "", "*", "$1$salt$unknown", HORSE)
GOOD = hash_of(HORSE)
CUT_SHORT = {
    "a hash that was cut short": (GOOD[:-1], GOOD[:40], GOOD[:29], GOOD[:7], "$2b$"),
    "a hash with something behind it": (GOOD + "x", GOOD + "\n"),
    "a hash with a cost that there is not": (GOOD.replace("$04$", "$99$"), GOOD.replace("$04$", "$xx$")),
}


@exercise("7.6")
class TestHostileInput:
    def test_can_be_hashed(self, security):
        """can_be_hashed refuses a NUL, half of a character and more than 72 bytes, and takes everything else"""
        for password in (HORSE, "🙂 Correct horse", "Größe", "\ud7ff\ue000", "tab\tand\nline", "a" * 72, "É" * 36, ""):
            known = not password.isprintable() and "a tab, a line break and every whole character can be hashed"
            self.expect_can(
                security,
                password,
                True,
                lambda got, known=known: known or self.hint_for_a_good_one(got, security.can_be_hashed),
            )
        for kind, hint in {
            "with a NUL": "return False for a NUL too: refuse_unstorable knows it",
            "with half of a character": "return False for half of a character too: refuse_unstorable knows it",
            "of more than 72 bytes": "ask is_too_long as well: it counts bytes, and not characters",
        }.items():
            for password in HOSTILE[kind]:
                self.expect_can(security, password, False, lambda _got, hint=hint: hint)

    def test_half_a_hash_is_no_hash(self, security):
        """A row whose text only begins like a hash, or was cut short, opens to nobody, and is no 500"""
        for what, texts in CUT_SHORT.items():
            for stored in texts:
                expect_answer(
                    security,
                    HORSE,
                    stored,
                    False,
                    why=f"{what} is no reason for a 500, and opens to nobody",
                    hint="the beginning says too little: verify raises ValueError when it cannot read the whole text",
                )

    @staticmethod
    def hint_for_a_good_one(got, function):
        if got is None:
            return why_none(function, "the answer of is_too_long, once refuse_unstorable has raised nothing")
        if isinstance(got, str):
            return "refuse_unstorable returns the text, no bool: call it, and return what is_too_long says"
        last = "refuse_unstorable returns the text, no bool"
        return f"return True for all that can be hashed, also for 🙂: mind a `not`; {last}"

    @staticmethod
    def expect_can(security, password, expected, hint_of):
        try:
            got = security.can_be_hashed(password)
            shown, hint = repr(got), "" if got is expected else hint_of(got)
        except ValueError as error:
            got, shown = error, f"it raised {type(error).__name__}"
            hint = "call refuse_unstorable inside try, and return False for its ValueError; count bytes after that"
        expect.that(
            got is expected,
            did=f"can_be_hashed({expect.shown(password)})",
            got=shown,
            expected=str(expected),
            why="people could not sign in" if expected else "bcrypt cannot hash it, so nobody can have it",
            hint=hint,
            at=security.can_be_hashed,
        )

    def test_hostile_passwords_are_wrong(self, security):
        """A password with a NUL, half of a character or too many bytes is wrong, also when the rest is right"""
        for password in [one for many in HOSTILE.values() for one in many]:
            expect_answer(
                security,
                password,
                hash_of(HORSE),
                False,
                why=NO_BYPASS,
                hint="do not repair the password: what cannot be hashed is wrong",
            )
        expect_answer(
            security,
            "Correct\x00 and more",
            hash_of("Correct"),
            False,
            why=NO_BYPASS,
            hint="do not cut at the NUL: what cannot be hashed is wrong",
        )

    def test_a_stored_text_that_is_no_hash(self, security):
        """A row whose text is no hash, such as "!", opens to nobody"""
        for stored in NO_HASHES:
            for password in (HORSE, stored, ""):
                expect_answer(
                    security,
                    password,
                    stored,
                    False,
                    why="a row of chapter 05 would give a 500, or open to everybody",
                    hint="what verify cannot read is no hash: do the dummy's work, and say False",
                )

    async def test_hostile_input_costs_the_same(self, load, work):
        """Each of these answers costs one run of bcrypt"""
        security = await warmed(load)
        hashed = hash_of(HORSE)
        for who, passwords in HOSTILE.items():
            expect_one_run(security, work, f"a password {who}", passwords[0], hashed)
            expect_one_run(security, work, f"{UNKNOWN}, a password {who}", passwords[0], None)
        for stored in NO_HASHES:
            expect_one_run(security, work, "a stored text that is no hash", HORSE, stored)
        for what, texts in CUT_SHORT.items():
            expect_one_run(security, work, what, HORSE, texts[0])
        for who, stored in ((UNKNOWN, None), ("a stored text that is empty", ""), ('a row of chapter 05, "!"', "!")):
            await expect_one_run_of_a_sign_in(security, work, who, stored)

    async def test_people_still_sign_in(self, security):
        """The right password still opens the account"""
        for password in (HORSE, "🙂 Correct horse", "a" * 72):
            valid, _ = await verified(security, password, hash_of(password))
            expect.equal(
                valid,
                True,
                did=f"await verify_password({expect.shown(password)}, its own hash), the first place",
                why="nobody could sign in any more",
                hint="only what cannot be compared ends in the guard clause: does it ask about the right text?",
                at=security.check_hash,
            )
        for beginning in OLDER:
            expect_answer(
                security,
                HORSE,
                hash_of(HORSE).replace("$2b$", beginning, 1),
                True,
                why=f"people whose hash was made by an older program, and begins with {beginning}, could not sign in",
                hint="let pwd_context.verify read the stored text: it knows every beginning of a bcrypt hash",
            )

    def test_cheap_hashes_still_rise(self, dearer):
        """A cheap hash is still replaced when the password is right, and only then"""
        _, new = check(dearer, HORSE, hash_of(HORSE))
        expect_new_hash(
            new,
            did="check_hash(the right password, a cheaper hash), the second place",
            why="the hashes of old users would stay cheap for ever",
            hint="keep the last lines of exercise 7.5: better_hash(password, hashed_password)",
            at=dearer.check_hash,
        )
        expect_answer(
            dearer,
            "Wrong horse",
            hash_of(HORSE),
            False,
            why="the caller stores the new hash, and the wrong password becomes the right one",
            hint="keep the last lines of exercise 7.5: a new hash only `if valid`",
        )
