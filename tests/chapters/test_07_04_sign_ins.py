"""Checks of chapter 07, sign-ins: equal work, a better hash, and hostile input."""

import asyncio
import inspect

import pytest

from course_checks import hashing
from course_checks.hashing import (
    CHEAP,
    NO_BYPASS,
    OLDER,
    call,
    cheaply,
    check,
    expect_answer,
    expect_free,
    finished,
    fits,
    hash_of,
    second,
    verified,
)
from course_checks.samples import PASSWORD
from workbook import expect
from workbook.checks import exercise, why_none

# fixtures
patient, security, work = hashing.patient, hashing.security, hashing.work

LISTS_USERS = "a stranger could find out by a clock who has an account"
NOBODY = "only the right password for a stored hash may open an account"


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


# ---------------------------------------------------------------------------------------------------------------- 7.4


UNKNOWN = "an unknown user"


def cases():
    """Return who knocks: a word for it, the password, and the stored text."""
    hashed = hash_of(PASSWORD)
    return [
        ("Ada, a wrong password", "Wrong horse", hashed),
        (UNKNOWN, PASSWORD, None),
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
    await verified(security, PASSWORD, stored)
    expect.that(
        work.costs == [CHEAP],
        did=f"{who}: await verify_password({expect.shown(PASSWORD)}, {stored!r}), at cost {CHEAP}",
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
        for password in (PASSWORD, "", "a" * 73, "É" * 37):
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
        check(security, PASSWORD, None)  # the first one after the change may have to make up a hash
        for who, password, stored in ((UNKNOWN, PASSWORD, None), ("Ada, 73 letters", "a" * 73, hash_of(PASSWORD))):
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
        hashed = hash_of(PASSWORD)
        (valid, _), costs = work.of(check, security, PASSWORD, hashed)
        expect.equal(
            (valid, costs),
            (True, [CHEAP]),
            did=f"{call(PASSWORD, hashed)}: the first place, and the costs of bcrypt's runs",
            why="Ada could not sign in, or would wait twice as long",
            hint="compare once, and only where there is something to compare",
            at=security.check_hash,
        )

    async def test_the_first_unknown_user(self, load, work):
        """After warm_up_hashing the first unknown user costs one run, not two"""
        security = await warmed(load)
        costs = work.of(check, security, PASSWORD, None)[1]
        expect.equal(
            costs,
            [CHEAP],
            did=f"await warm_up_hashing(), then {call(PASSWORD, None)}: the costs of bcrypt's runs",
            why="after each start the first unknown user would wait twice as long as others",
            hint="warm_up_hashing must call dummy_verify once: its first call makes the hash",
            at=security.warm_up_hashing,
        )

    async def test_nobody_gets_in_by_the_dummy(self, load, work):
        """No password opens the account of nobody, not even the one inside the made-up hash"""
        work.texts.clear()
        security = await warmed(load)
        check(security, PASSWORD, None)
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
            stored, cheap = hash_of(PASSWORD, rounds), rounds == CHEAP
            new = dearer.better_hash(PASSWORD, stored)
            if inspect.iscoroutine(new):
                new.close()
                new = "a coroutine"
            expect.that(
                isinstance(new, str) and new != stored and fits(PASSWORD, new) if cheap else new is None,
                did=f"better_hash({expect.shown(PASSWORD)}, a hash of cost {rounds}), when today's cost is {CHEAP + 1}",
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
        asked, hashed = [], hash_of(PASSWORD)

        def better_hash(password, hashed_password):
            asked.append((password, hashed_password))
            return "what better_hash says"

        monkeypatch.setattr(inspect.getmodule(dearer.check_hash), "better_hash", better_hash)
        for password in ("Wrong horse", "a" * 73, PASSWORD):
            answer = check(dearer, password, hashed)
            right = password == PASSWORD
            wanted = ([(PASSWORD, hashed)], (True, "what better_hash says")) if right else ([], (False, None))
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
        stored = hash_of(PASSWORD)
        got = check(security, PASSWORD, stored)
        expect.that(
            got == (True, None),
            did=f"check_hash({expect.shown(PASSWORD)}, a hash of today's cost)",
            got=f"({got[0]}, {second(got[1], stored)})",
            expected="(True, None)",
            why="each sign-in would write to the database, and take twice as long",
            hint="make a new hash only where one is needed: pwd_context.needs_update(hashed_password)",
            at=security.check_hash,
        )

    def test_a_cheap_hash_is_replaced(self, dearer):
        """The right password for a cheaper hash gives (True, a new hash) of today's cost"""
        for password in (PASSWORD, "Größe 🙂", "a" * 72):
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
                hash_of(PASSWORD),
                False,
                why="the caller stores the new hash, and the wrong password becomes the right one",
                hint="check the password first; only when it is right, make a new hash",
            )

    def test_nobody_has_no_new_hash(self, dearer):
        """Without a stored hash the answer stays (False, None)"""
        expect_answer(
            dearer,
            PASSWORD,
            None,
            False,
            why="the caller would store a hash for a user who does not exist",
            hint="keep the guard clause of exercise 7.4 above the new line",
        )

    async def test_verify_password_hands_it_on(self, dearer):
        """verify_password hands the new hash on"""
        _, new = await verified(dearer, PASSWORD, hash_of(PASSWORD))
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
        isinstance(new, str) and fits(PASSWORD, new),
        got=expect.shown(new),
        expected="a new hash of the same password",
        **reason,
    )


# ---------------------------------------------------------------------------------------------------------------- 7.6


HOSTILE = {
    "with a NUL": ("Correct\x00horse", "\x00", PASSWORD + "\x00", "a" * 71 + "\x00"),
    "with half of a character": ("\ud800", PASSWORD + "\udfff", "\ud83d" + PASSWORD),
    "of more than 72 bytes": ("É" * 37, "a" * 73, PASSWORD + " " * 60),
}
NO_HASHES = ("!", "", "*", "$1$salt$unknown", PASSWORD)
GOOD = hash_of(PASSWORD)
CUT_SHORT = {
    "a hash that was cut short": (GOOD[:-1], GOOD[:40], GOOD[:29], GOOD[:7], "$2b$"),
    "a hash with something behind it": (GOOD + "x", GOOD + "\n"),
    "a hash with a cost that there is not": (GOOD.replace("$04$", "$99$"), GOOD.replace("$04$", "$xx$")),
}


@exercise("7.6")
class TestHostileInput:
    def test_can_be_hashed(self, security):
        """can_be_hashed refuses a NUL, half of a character and more than 72 bytes, and takes everything else"""
        for password in (
            PASSWORD,
            "🙂 Correct horse",
            "Größe",
            "\ud7ff\ue000",
            "tab\tand\nline",
            "a" * 72,
            "É" * 36,
            "",
        ):
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
                    PASSWORD,
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
                hash_of(PASSWORD),
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
            for password in (PASSWORD, stored, ""):
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
        hashed = hash_of(PASSWORD)
        for who, passwords in HOSTILE.items():
            expect_one_run(security, work, f"a password {who}", passwords[0], hashed)
            expect_one_run(security, work, f"{UNKNOWN}, a password {who}", passwords[0], None)
        for stored in NO_HASHES:
            expect_one_run(security, work, "a stored text that is no hash", PASSWORD, stored)
        for what, texts in CUT_SHORT.items():
            expect_one_run(security, work, what, PASSWORD, texts[0])
        for who, stored in ((UNKNOWN, None), ("a stored text that is empty", ""), ('a row of chapter 05, "!"', "!")):
            await expect_one_run_of_a_sign_in(security, work, who, stored)

    async def test_people_still_sign_in(self, security):
        """The right password still opens the account"""
        for password in (PASSWORD, "🙂 Correct horse", "a" * 72):
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
                PASSWORD,
                hash_of(PASSWORD).replace("$2b$", beginning, 1),
                True,
                why=f"people whose hash was made by an older program, and begins with {beginning}, could not sign in",
                hint="let pwd_context.verify read the stored text: it knows every beginning of a bcrypt hash",
            )

    def test_cheap_hashes_still_rise(self, dearer):
        """A cheap hash is still replaced when the password is right, and only then"""
        _, new = check(dearer, PASSWORD, hash_of(PASSWORD))
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
            hash_of(PASSWORD),
            False,
            why="the caller stores the new hash, and the wrong password becomes the right one",
            hint="keep the last lines of exercise 7.5: a new hash only `if valid`",
        )
