"""Checks of chapter 07, hashes: made, made off the event loop, and of long passwords. Work is counted, never timed."""

import asyncio
import inspect

from course_checks import hashing
from course_checks.hashing import (
    CHEAP,
    NO_BYPASS,
    NO_CRASH,
    OLDER,
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
from workbook.checks import exercise

# fixtures
patient, security, work = hashing.patient, hashing.security, hashing.work


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


# ---------------------------------------------------------------------------------------------------------------- 7.1


async def expect_cost_of_the_context(security):
    """Expect that hash_password works at the cost that the context has at this moment."""
    for cost in (CHEAP, CHEAP + 1):
        security.pwd_context.update(bcrypt__rounds=cost)
        try:
            hashed = await hashed_by(security, PASSWORD)
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
        for password in (PASSWORD, "  Spaces Around  ", "Größe 🙂", "Two² ½ pints"):
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
            await hashed_by(security, PASSWORD) != await hashed_by(security, PASSWORD),
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
        hashed = await hashed_by(security, PASSWORD)
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
        for password in (PASSWORD, "  Spaces Around  ", "Größe 🙂", "Two² ½ pints"):
            expect_answer(
                security,
                password,
                hash_of(password),
                True,
                why="nobody could sign in",
                hint="a new hash has a new salt, so never compare hashes: use pwd_context.verify"
                if password == PASSWORD
                else "compare the password as it is: do not trim it, do not change its case",
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

    def test_a_wrong_password(self, security):
        """check_hash answers (False, None) for any other password"""
        for stored, typed in [
            (PASSWORD, "Wrong horse"),
            (PASSWORD, "correct horse"),
            (PASSWORD, PASSWORD + " "),
            ("  Spaces Around  ", "Spaces Around"),
            (PASSWORD, ""),
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
        data = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
        user = await service.create(schemas.UserCreate(**data))
        expect.that(
            fits(PASSWORD, user.hashed_password),
            did="UserService(session).create(...), the new row's hashed_password",
            got=expect.shown(user.hashed_password),
            expected="a bcrypt text that fits the password",
            why="the user could never sign in",
            hint="hash_password must return the text that pwd_context.hash gives",
            at=security.hash_password,
        )


# ---------------------------------------------------------------------------------------------------------------- 7.2


@exercise("7.2")
class TestOffTheLoop:
    async def test_hashing_leaves_the_loop_free(self, security, patient):
        """While hash_password works, the event loop goes on"""
        await hashed_by(security, PASSWORD)
        expect_free(patient, "await hash_password(...)", security.hash_password)

    async def test_checking_leaves_the_loop_free(self, security, patient):
        """While verify_password works, the event loop goes on"""
        patient.free.set()
        hashed = await hashed_by(security, PASSWORD)
        patient.waited.clear(), patient.begun.clear(), patient.free.clear()
        beat = asyncio.create_task(patient.beat())
        await verified(security, PASSWORD, hashed)
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
        for password, valid in ((PASSWORD, True), ("Wrong horse", False)):
            answer = await verified(security, password, hash_of(PASSWORD))
            expect.equal(
                answer[0],
                valid,
                did=f"await verify_password({expect.shown(password)}, the hash of {expect.shown(PASSWORD)})",
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
            (PASSWORD, hash_of("Another horse"), "the stored hash"),
            (PASSWORD, None, "None"),
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
            (PASSWORD, False),
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
                hash_of(PASSWORD),
                False,
                why=NO_CRASH,
                hint="ask is_too_long first, and return False, None",
            )

    def test_is_too_long_decides(self, security, work, monkeypatch):
        """check_hash asks is_too_long before it compares"""
        hashed, asked = hash_of(PASSWORD), []

        def too_long(password):
            asked.append(password)
            return True

        def cannot(password):
            return not too_long(password)

        module = inspect.getmodule(security.check_hash)
        monkeypatch.setattr(module, "is_too_long", too_long)
        if hasattr(module, "can_be_hashed"):  # exercise 7.6 asks in there
            monkeypatch.setattr(module, "can_be_hashed", cannot)
        answer = check(security, PASSWORD, hashed)
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
