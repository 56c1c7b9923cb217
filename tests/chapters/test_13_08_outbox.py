"""Checks of chapter 13, work in the background: mails by an outbox, and a forgotten password."""

import asyncio
import logging
import re
import sqlite3
import sys
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import IntegrityError

from course_checks import logs
from course_checks.caching import FILE
from course_checks.mails import Handed
from course_checks.modules import module_of
from course_checks.paths import API, REFRESH
from course_checks.people import People
from course_checks.signing_in import login
from course_checks.statements import sent_by
from workbook import expect
from workbook.checks import exercise

# fixtures
log = logs.log

# ---------------------------------------------------------------------------------------------------------------- 13.8


class Pile:
    """A mailer that keeps the mail, or fails.

    Args:
        fails: how often it fails before it works.
    """

    def __init__(self, *, fails=0):
        self.mails, self.tries, self.fails, self.look = [], 0, fails, None

    async def send(self, mail):
        """Keep a mail."""
        self.tries += 1
        if self.look is not None:
            await self.look()
        if self.tries <= self.fails:
            raise OSError(f"the mail server refused <{mail.recipient}>")  # they do say so
        self.mails.append(mail)


class Office:
    """A postman of the learner's on a database of its own, with what lies in its outbox."""

    def __init__(self, load, client, *, fails=0):
        self.load, self.client, self.pile = load, client, Pile(fails=fails)
        self.model, self.crud = load("outbox.models").OutboxMessage, load("outbox.crud").outbox_crud
        self.composed, self.compose = 0, None
        module = load("outbox.postman")
        self.postman = module.Postman(client.sessions, self.pile, {"probe": self._compose})
        self.at = module.Postman.deliver_next

    async def _compose(self, session, recipient):
        self.composed += 1
        if self.compose is not None:
            return await self.compose(session, recipient)
        return self.load("core.mail").Mail(recipient, "Hello", "a text")

    async def put(self, *recipients):
        """Put messages into the outbox."""
        async with self.client.sessions.begin() as session:
            for recipient in recipients:
                await self.crud.add(session, "probe", recipient)

    async def rows(self):
        """Return what lies in the outbox, as another connection sees it."""
        async with self.client.sessions() as session:
            return list(await session.scalars(select(self.model).order_by(self.model.id)))

    async def wait(self):
        """Let the time pass until everything is due."""
        async with self.client.sessions.begin() as session:
            await session.execute(update(self.model).values(due_at=self.load("db.base").utc_now()))

    async def deliver(self):
        """Deliver what is due next; an exception is a wrong answer."""
        try:
            return await self.postman.deliver_next()
        except expect.Wrong:
            raise
        except Exception as error:
            if not isinstance(error, OSError):
                raise
            raise expect.Wrong(
                did="deliver_next(), while the mail server is away",
                got=f"it raised {type(error).__name__}: {error}",
                expected="a line in the log, and True",
                why="one message that cannot be sent would stop all that wait behind it",
                hint="a `try` around `self._send(message)`",
                at=self.at,
                sure=True,
            ) from None

    def returned(self, found, wanted, when):
        """Expect what deliver_next returned."""
        expect.equal(
            found,
            wanted,
            did=f"deliver_next(), {when}",
            why="`work` calls it until it is False: nobody would look further, or he would never come to an end",
            hint="False says that nothing was due; in every other case True",
            at=self.at,
        )


@pytest.fixture
async def office(load, open_visit, monkeypatch):
    """An office on a file, so that other connections see what is committed."""
    monkeypatch.setattr(module_of(load, "outbox.postman"), "POLL_SECONDS", 3600.0)  # the app's own one stays away
    async with open_visit(FILE) as client:
        event.listen(client.sessions.kw["bind"].sync_engine, "checkout", impatient)
        yield Office(load, client)


def impatient(connection, _record, _proxy):
    """Let a connection wait two seconds for a lock of another one: who holds a transaction open waits for himself."""
    connection.cursor().execute("PRAGMA busy_timeout = 2000")


@exercise("13.8")
class TestPostman:
    async def test_sent(self, office):
        """A message that is due is sent once, and its row is removed"""
        await office.put("ada@example.com", "bob@example.com")
        office.returned(await office.deliver(), True, "with two messages in the outbox")
        expect.equal(
            [mail.recipient for mail in office.pile.mails],
            ["ada@example.com"],
            did="to whom mail was sent, by the first deliver_next()",
            why="each call sends one message, the oldest",
            hint="claim, send, remove: once",
            at=office.at,
        )
        expect.equal(
            [row.recipient for row in await office.rows()],
            ["bob@example.com"],
            did="what is left in the outbox",
            why="the same mail would be sent again and again",
            hint="remove the row, in a transaction that commits",
            at=office.at,
        )
        office.returned(await office.deliver(), True, "with one message left")
        office.returned(await office.deliver(), False, "with an empty outbox")
        expect.equal(
            len(office.pile.mails), 2, did="how many mails were sent, of two messages", why="", hint="", at=office.at
        )

    async def test_not_due(self, office):
        """A message that is not due yet is left alone"""
        await office.put("ada@example.com")
        async with office.client.sessions.begin() as session:
            soon = office.load("db.base").utc_now() + timedelta(minutes=1)
            await session.execute(update(office.model).values(due_at=soon))
        office.returned(await office.deliver(), False, "with a message that is due in a minute")
        expect.equal(
            (len(office.pile.mails), len(await office.rows())),
            (0, 1),
            did="mails that were sent, and rows that are left",
            why="the waits between the tries would be none",
            hint="`claim` finds what is due; ask nobody else",
            at=office.at,
        )

    async def test_claim_first(self, office):
        """While a mail is being sent, the claim is committed, and the row is still there"""
        seen = []

        async def look():
            seen.extend(await office.rows())

        office.pile.look = look
        await office.put("ada@example.com")
        await office.deliver()
        expect.that(
            len(seen) == 1,
            did="what another connection finds in the outbox, while the mail is being sent",
            got=f"{len(seen)} rows",
            expected="the row of this mail",
            why="if the process dies now, the mail is lost",
            hint="remove the row after the mail was sent, not before",
            at=office.at,
        )
        now = office.load("db.base").utc_now()
        expect.that(
            seen[0].tries == 1 and seen[0].due_at > now,
            did="the row that another connection finds, while the mail is being sent",
            got=f"tries: {seen[0].tries}, due {'later' if seen[0].due_at > now else 'now'}",
            expected="tries: 1, due later",
            why="another process would send the same mail at the same time",
            hint="end the transaction with the claim before `_send`: `async with … begin()` commits at its end",
            at=office.at,
        )

    async def test_no_open_transaction(self, office):
        """While a mail is being sent, others can write: no transaction is open"""
        found = []

        async def look():
            with closing(sqlite3.connect("shop.db", timeout=0.2)) as other:
                try:
                    other.execute("BEGIN EXCLUSIVE")
                    found.append("free")
                except sqlite3.OperationalError:
                    found.append("locked")

        office.pile.look = look
        await office.put("ada@example.com")
        await office.deliver()
        expect.equal(
            found,
            ["free"],
            did="whether the database is free for others, while the mail is being sent",
            why="a mail server that takes ten seconds would stop everybody for ten seconds",
            hint="`_send` stands outside of every `async with self.sessions.begin()`",
            at=office.at,
        )

    async def test_failure(self, office, log):
        """A mail that cannot be sent stays, is due later, and is logged by its id only"""
        office.pile.fails = 1
        await office.put("ada@example.com")
        office.returned(await office.deliver(), True, "when the mail server is away")
        rows = await office.rows()
        expect.that(
            len(rows) == 1 and rows[0].tries == 1,
            did="what lies in the outbox, after a try that failed",
            got=f"{len(rows)} rows" + (f", tries: {rows[0].tries}" if rows else ""),
            expected="the row, with one try",
            why="a mail server that is away for a minute would cost a mail",
            hint="in the `except`: log it, and return True before the row is removed",
            at=office.at,
        )
        office.returned(await office.deliver(), False, "right after a try that failed")
        told = [record for record in log if record.name.startswith("app.outbox") and record.levelno >= logging.WARNING]
        text = " ".join(logging.Formatter("%(message)s").format(record) for record in told)
        line = text.split("Traceback")[0]
        expect.that(
            len(told) == 1 and str(rows[0].id) in line and "OSError" in text,
            did="the log of a try that failed with an OSError",
            got=expect.shown(line) if told else "nothing, from level WARNING up",
            expected="one line, with the message's id and the kind of the exception",
            why="nobody would know why mail is late",
            hint='logger.warning("mail %s: %s", message.id, type(error).__name__) in the `except`',
            at=office.at,
        )
        self.no_address(office, told, "a try that failed")
        await office.wait()
        await office.deliver()
        expect.equal(
            (len(office.pile.mails), len(await office.rows())),
            (1, 0),
            did="mails that were sent, and rows that are left, after the second try",
            why="the mail server is back, and the mail should be out",
            hint="every try is the same: claim, send, remove",
            at=office.at,
        )

    def no_address(self, office, records, what):
        """Expect that no record shows an address, in its text or in its traceback."""
        text = " ".join(logging.Formatter("%(message)s").format(record) for record in records)
        shown = next((line for line in text.splitlines() if "ada@" in line), "")
        traced = "ada@" in text and not any("ada@" in record.getMessage() for record in records)
        hint = (
            "log the id of the message" if "refused <" not in text else "log `type(error).__name__`, not the exception"
        )
        expect.that(
            "ada@" not in text,
            did=f"the log of {what}" + (", with the traceback" if traced else ""),
            got=expect.shown(shown),
            expected="no address in it",
            why="logs are read by many, and kept for long; a mail server's exception often names the address",
            hint="no `exc_info`, and no `logger.exception`: a traceback ends with the exception's text"
            if traced
            else hint,
            at=office.at,
        )

    async def test_waits(self, office):
        """The waits between the tries grow, as `claim` has set them"""
        office.pile.fails = 100
        await office.put("ada@example.com")
        waits = []
        for _ in range(3):
            before = office.load("db.base").utc_now()
            await office.deliver()
            rows = await office.rows()
            waits.append(round((rows[0].due_at - before).total_seconds(), -1) if rows else None)
            await office.wait()
        expect.equal(
            waits,
            [10.0, 60.0, 600.0],
            did="seconds until the next try, after the first three that failed",
            why="a mail server that is down would be called without a pause",
            hint="`claim` has set due_at: leave it",
            at=office.at,
        )

    async def test_given_up(self, office, log):
        """After MAX_TRIES tries a message is removed, with an error in the log"""
        office.pile.fails, tries = 100, office.load("outbox.crud").MAX_TRIES
        await office.put("ada@example.com")
        for number in range(1, tries + 1):
            office.returned(await office.deliver(), True, f"at try {number}, when the mail server is away")
            rows = await office.rows()
            expect.equal(
                len(rows),
                int(number < tries),
                did=f"rows in the outbox, after {number} tries of {tries} that failed",
                why="a message is given up too early, or tried for ever",
                hint="compare message.tries with MAX_TRIES: `claim` has counted this try already",
                at=office.at,
            )
            await office.wait()
        errors = [record for record in log if record.levelno == logging.ERROR and record.name.startswith("app.outbox")]
        expect.equal(
            len(errors),
            1,
            did="the lines of level ERROR in the log",
            why="somebody must hear that a mail will never come",
            hint="logger.error(…) when the last try has failed, and only then",
            at=office.at,
        )
        self.no_address(office, errors, "a message that is given up")

    async def test_text_fails(self, office):
        """A text that cannot be written is a failure as any other, and the next message is sent"""

        async def compose(_session, recipient):
            if recipient.startswith("broken"):
                raise ValueError("a fault")
            return office.load("core.mail").Mail(recipient, "Hello", "a text")

        office.compose = compose
        await office.put("broken@example.com", "bob@example.com")
        for _ in range(2):
            try:
                await office.postman.deliver_next()
            except ValueError:
                raise expect.Wrong(
                    did="deliver_next(), with a message whose text cannot be written",
                    got="it raised ValueError",
                    expected="a line in the log, and True",
                    why="one message with a fault would stop all that wait behind it, for ever",
                    hint="`except Exception` around `self._send(message)`",
                    at=office.at,
                    sure=True,
                ) from None
        expect.equal(
            ([mail.recipient for mail in office.pile.mails], [row.recipient for row in await office.rows()]),
            (["bob@example.com"], ["broken@example.com"]),
            did="who got mail, and what is left, after two calls",
            why="one message with a fault would stop all that wait behind it",
            hint="the claim is committed before the text is written, so the next call takes the next message",
            at=office.at,
        )

    async def test_nothing_to_send(self, office):
        """A message for which there is nothing to send is removed without mail"""

        async def compose(_session, _recipient):
            return None

        office.compose = compose
        await office.put("nobody@example.com")
        office.returned(await office.deliver(), True, "with a message for which there is nothing to send")
        expect.equal(
            (len(office.pile.mails), len(await office.rows())),
            (0, 0),
            did="mails that were sent, and rows that are left",
            why="it would be looked at again and again",
            hint="when `_send` comes back, the work is done: remove the row",
            at=office.at,
        )

    async def test_crash(self, office):
        """When the process dies while a mail is being sent, it is sent later"""

        async def die():
            raise asyncio.CancelledError

        office.pile.look = die
        await office.put("ada@example.com")
        died = False
        try:
            await office.postman.deliver_next()
        except asyncio.CancelledError:
            died = True
        office.pile.look = None
        rows = await office.rows()
        expect.that(
            died and len(rows) == 1,
            did="deliver_next(), cancelled in the middle",
            got="it went on" if not died else f"{len(rows)} rows are left",
            expected="it ends, and the row is still there",
            why="at every start of a new version of the app some mail would be lost",
            hint="catch Exception, which CancelledError is not, and remove the row only after `_send`",
            at=office.at,
        )
        await office.wait()
        await office.deliver()
        expect.equal(
            len(office.pile.mails), 1, did="mails, after the next try", why="the mail is lost", hint="", at=office.at
        )

    async def test_two_postmen(self, office):
        """Two postmen at once send each mail once"""
        names = [f"user{number}@example.com" for number in range(10)]
        await office.put(*names)

        async def work():
            for _ in range(12):
                await office.deliver()

        await asyncio.gather(work(), work())
        expect.equal(
            sorted(mail.recipient for mail in office.pile.mails),
            sorted(names),
            did="to whom two postmen sent mail, of ten messages",
            why="people would get each mail as often as you have processes",
            hint="only `claim` says whose a message is",
            at=office.at,
        )


# ---------------------------------------------------------------------------------------------------------------- 13.9

RESET, CONFIRM = f"{API}/auth/password-reset", f"{API}/auth/password-reset/confirm"
NEW = "Battery staple"


@pytest.fixture
async def desk(load, open_visit, monkeypatch):
    """An app whose postman does not work by himself, and what is needed to ask for a new password."""
    monkeypatch.setattr(module_of(load, "outbox.postman"), "POLL_SECONDS", 3600.0)
    async with open_visit(FILE, mail_reset_url="https://shop.example/reset", password_reset_minutes=20) as client:
        client.app.state.wake = asyncio.Event()
        yield Desk(load, client)


class Desk:
    """Asks for new passwords, and writes the mails."""

    def __init__(self, load, client):
        self.load, self.client, self.people = load, client, People(load, client)
        self.module = load("auth.password_reset")
        self.outbox, self.resets = load("outbox.models").OutboxMessage, load("auth.models").PasswordReset
        self.compose_at = self.module.ResetMail.compose
        self.request_at = self.module.PasswordResetService.request
        self.confirm_at = self.module.PasswordResetService.confirm
        self.no_mail = "return self.text(user.email, token)"

    async def all(self, model):
        """Return the rows of a table."""
        async with self.client.sessions() as session:
            return list(await session.scalars(select(model)))

    async def compose(self, recipient):
        """Write the mail for an address, as the postman does."""
        try:
            async with self.client.sessions.begin() as session:
                return await self.module.ResetMail(self.client.app.state.settings).compose(session, recipient)
        except IntegrityError as error:
            expect.known(
                error,
                [("password_resets", "`password_reset_crud.replace` takes the older one out, then stores the new one")],
                did=f'compose(session, "{recipient}"), for somebody who has a token already',
                expected="a mail, and the new token in the place of the older one",
                why="who asks for a second mail would never get one",
            )

    async def token(self, recipient):
        """Write the mail for an address; return the token in it."""
        mail = await self.compose(recipient)
        found = re.search(r"token=([\w-]+)", getattr(mail, "body", "") or "")
        expect.that(
            found is not None,
            did=f'compose(session, "{recipient}"), for an active user',
            got=expect.shown(mail),
            expected="a mail with a link and a token",
            why="people who forgot their password would wait in vain",
            hint=self.no_mail,
            at=self.compose_at,
        )
        return found[1]

    async def confirm(self, token, password=NEW):
        """Choose a new password."""
        return await self.client.post(CONFIRM, json={"token": token, "new_password": password})


async def sql_of(client, request):
    """Return the kinds and tables of the statements that a request needs."""
    words = r"\b(?:insert into|update|delete from|select|from|where) \w+"
    with sent_by(client) as sent:
        answer = await request
    return answer, [" ".join(re.findall(words, statement.lower())) for statement in sent]


@exercise("13.9")
class TestResetMail:
    async def test_same_answer(self, desk):
        """The answer and the work are the same for a user, a stranger, and one who is switched off"""
        await desk.people.add("ada")
        await desk.people.add("eve", is_active=False)
        answers, work = [], []
        for name in ("ada", "nobody", "eve"):
            answer, sql = await sql_of(desk.client, desk.client.post(RESET, json={"email": f"{name}@example.com"}))
            expect.status(
                answer, 202, why="the answer tells who has an account", hint="raise nothing", at=desk.request_at
            )
            answers.append(expect.body(answer))
            work.append(sql)
        hint = "`request` asks the database nothing: it adds a message, whoever is named"
        expect.that(
            answers[0] == answers[1] == answers[2] and work[0] == work[1] == work[2],
            did="POST /auth/password-reset for a user, for a stranger, and for one who is switched off",
            got=f"the statements {expect.shown(work)}",
            expected="three times the same answer and the same statements",
            why="a script would find out, by the time it takes, who has an account here",
            hint=hint,
            at=desk.request_at,
        )
        expect.that(
            not any("users" in statement for statement in work[0]),
            did="the statements of POST /auth/password-reset",
            got=expect.shown(work[0]),
            expected="none that reads users",
            why="what is not looked for cannot be told",
            hint=hint,
            at=desk.request_at,
        )

    async def test_outbox(self, desk):
        """The request puts one message of the right kind into the outbox, with the address that was named"""
        await desk.client.post(RESET, json={"email": "Ada@Example.com"})
        rows = [(row.kind, row.recipient) for row in await desk.all(desk.outbox)]
        expect.equal(
            rows,
            [(desk.module.KIND, "ada@example.com")],
            did="what lies in the outbox, after one request for Ada@Example.com",
            why="the postman would not know what to send, or to whom",
            hint="outbox_crud.add(self.session, KIND, email)",
            at=desk.request_at,
        )

    async def test_wake(self, desk, monkeypatch):
        """The postman is called after the commit, and not when the request fails"""
        called, handed = [], Handed(desk.load("db.session").after_commit)
        monkeypatch.setattr(module_of(desk.load, "auth.password_reset"), "after_commit", handed, raising=False)

        async def wake():
            called.append(len(await desk.all(desk.outbox)))

        async with desk.client.sessions() as session:
            await desk.module.PasswordResetService(session, wake).request("ada@example.com")
            expect.equal(
                called,
                [],
                did="how often the postman was called, before the commit",
                why="he would look, and find nothing",
                hint="after_commit(self.session, self.wake): it is called later",
                at=desk.request_at,
            )
            handed.none(desk.request_at, "nobody calls the postman", "hand over `self.wake` itself, without brackets")
            await desk.load("db.session").commit(session)
        expect.equal(
            called,
            [1],
            did="what the postman finds in the outbox when he is called, after the commit",
            why="the mail would wait for his next round",
            hint="after_commit(self.session, self.wake)",
            at=desk.request_at,
        )
        async with desk.client.sessions() as session:
            await desk.module.PasswordResetService(session, wake).request("ada@example.com")
            await session.rollback()
        expect.equal(
            (called, len(await desk.all(desk.outbox))),
            ([1], 1),
            did="calls of the postman, and messages, after a request that was rolled back",
            why="mail would be sent for what never happened",
            hint="`request` does not commit: get_session does",
            at=desk.request_at,
        )

    async def test_mail(self, desk):
        """For an active user the mail has a link with a token that nobody can guess"""
        await desk.people.add("ada")
        for address in ("ada@example.com", "ADA@example.com"):
            mail = await desk.compose(address)
            token = await desk.token(address)
            expect.equal(
                mail.recipient.lower(),
                "ada@example.com",
                did=f'to whom the mail of compose(session, "{address}") goes',
                why="who gets the mail can choose the password of the account",
                hint="self.text takes the user's e-mail first, then the token",
                at=desk.compose_at,
            )
            expect.that(
                "https://shop.example/reset?token=" in mail.body,
                did=f'compose(session, "{address}")',
                got=expect.shown(mail.body),
                expected="a mail with the link of the settings",
                why="the link leads nowhere",
                hint="self.text writes the mail, with the link in it",
                at=desk.compose_at,
            )
            expect.that(
                len(token) >= 43,
                did="the token in the mail",
                got=f"{len(token)} characters",
                expected="43 or more: 32 random bytes",
                why="a short token can be guessed, by everybody",
                hint="token_urlsafe(32)",
                at=desk.compose_at,
            )
        tokens = {await desk.token("ada@example.com") for _ in range(5)}
        expect.equal(
            len(tokens),
            5,
            did="different tokens in five mails",
            why="a token could be foreseen",
            hint="",
            at=desk.compose_at,
        )

    async def test_hash(self, desk):
        """Only the hash of the token is stored, with the user and the time of its end"""
        ada = await desk.people.add("ada")
        before = desk.load("db.base").utc_now()
        token = await desk.token("ada@example.com")
        rows = await desk.all(desk.resets)
        expect.that(
            len(rows) == 1 and rows[0].user_id == ada.id,
            did="the rows of password_resets, after a mail to Ada",
            got=expect.shown([row.user_id for row in rows]),
            expected="one, of Ada",
            why="the link of the mail could not be used",
            hint="password_reset_crud.replace(session, PasswordReset(…))",
            at=desk.compose_at,
        )
        stored = " ".join(str(value) for value in vars(rows[0]).values())
        expect.that(
            token not in stored and rows[0].token_hash == desk.module.hash_token(token),
            did="what is stored of the token",
            got="the token itself" if token in stored else "something that is not its hash_token",
            expected="hash_token(token), and nothing else of it",
            why="who reads the table, or a backup of it, could take every account",
            hint="token_hash=hash_token(token)",
            at=desk.compose_at,
        )
        minutes = (rows[0].expires_at - before).total_seconds() / 60
        expect.that(
            19.9 <= minutes <= 21,
            did="expires_at, with PASSWORD_RESET_MINUTES=20",
            got=f"{minutes:.0f} minutes from now",
            expected="20 minutes from now",
            why="old mail lies in many places",
            hint="utc_now() + timedelta(minutes=self.settings.password_reset_minutes)",
            at=desk.compose_at,
        )

    async def test_nobody(self, desk):
        """For a stranger, and for a user who is deleted or switched off, there is no mail, and nothing is stored"""
        now = desk.load("db.base").utc_now()
        await desk.people.add("eve", is_active=False)
        await desk.people.add("bob", deleted_at=now, is_active=False)
        for name, who in (("nobody", "nobody has"), ("eve", "is switched off"), ("bob", "was deleted")):
            found = await desk.compose(f"{name}@example.com")
            expect.that(
                found is None and not await desk.all(desk.resets),
                did=f"compose for an address that {who}",
                got=f"{expect.shown(found)}, and {len(await desk.all(desk.resets))} stored tokens",
                expected="None, and no stored token",
                why="mail would go to people who have no account, or must not use it",
                hint="a guard clause: no user, or one who is not active",
                at=desk.compose_at,
            )

    async def test_newest(self, desk):
        """A second mail takes the place of the first one; other users keep theirs"""
        await desk.people.add("ada")
        await desk.people.add("bob")
        await desk.token("bob@example.com")
        await desk.token("ada@example.com")
        second = await desk.token("ada@example.com")
        rows = await desk.all(desk.resets)
        expect.that(
            len(rows) == 2 and desk.module.hash_token(second) in {row.token_hash for row in rows},
            did="the stored tokens, after two mails to Ada and one to Bob",
            got=f"{len(rows)} rows",
            expected="two: Bob's, and Ada's newest",
            why="each mail that was ever sent would open the account",
            hint="`replace` removes the older ones of this user",
            at=desk.compose_at,
        )

    async def test_no_commit(self, load, desk, endings):
        """Neither method commits: the caller does"""
        await desk.people.add("ada")
        endings.clear()
        async with desk.client.sessions() as session:
            settings = desk.client.app.state.settings
            await desk.module.ResetMail(settings).compose(session, "ada@example.com")
            endings.none(did="compose(session, …)", at=desk.compose_at)

            async def wake():
                pass

            await desk.module.PasswordResetService(session, wake).request("ada@example.com")
            endings.none(did="request(…)", at=desk.request_at)

    async def test_log(self, desk, log):
        """The token does not stand in the log"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        told = [record.getMessage() for record in log if token in record.getMessage()]
        expect.equal(
            told,
            [],
            did="the lines of the log with the token in them",
            why="whoever reads the log could take the account",
            hint="log nothing here",
            at=desk.compose_at,
        )


# --------------------------------------------------------------------------------------------------------------- 13.10


@exercise("13.10")
class TestConfirm:
    @pytest.fixture
    def desk(self, desk):
        """A desk whose mails are the work of the exercise before."""
        desk.no_mail = "write exercise 13.9 first"
        return desk

    def dead(self, desk, answer, what, **reason):
        """Expect the answer to a dead token."""
        reason = {
            "why": "an old mail, or a guess, would open the account",
            "hint": "raise InvalidResetToken when `spend` gives None",
        } | reason
        expect.status(answer, 422, at=desk.confirm_at, **reason)
        body = expect.body(answer)
        expect.that(
            isinstance(body, dict) and body.get("code") == "invalid_reset_token",
            response=answer,
            got=f"the code {expect.shown(body.get('code') if isinstance(body, dict) else body)}",
            expected=f'the code "invalid_reset_token", for {what}',
            at=desk.confirm_at,
            **reason,
        )

    async def signs_in(self, desk, password, name="ada"):
        """Say whether somebody signs in with a password."""
        return (await login(desk.client, name, password)).status_code == 200

    async def test_works(self, desk):
        """With the token of the mail the new password is stored as a hash, and the old one is refused"""
        ada = await desk.people.add("ada")
        answer = await desk.confirm(await desk.token(ada.email))
        expect.status(
            answer,
            204,
            why="the link of the mail does not work",
            hint="`spend` gives the user's id",
            at=desk.confirm_at,
        )
        stored = (await desk.people.stored(ada)).hashed_password
        expect.that(
            NEW not in stored,
            did="what is stored of the new password",
            got="the password itself",
            expected="its hash",
            why="who reads the table could sign in as everybody",
            hint="await hash_password(new_password)",
            at=desk.confirm_at,
        )
        expect.equal(
            [await self.signs_in(desk, NEW), await self.signs_in(desk, desk.people.password)],
            [True, False],
            did="whether Ada signs in with the new password, and with the old one",
            why="the new password was chosen because nobody knows the old one, or somebody does",
            hint="user.hashed_password = await hash_password(new_password)",
            at=desk.confirm_at,
        )

    async def test_once(self, desk):
        """The token works once"""
        ada = await desk.people.add("ada")
        token = await desk.token(ada.email)
        await desk.confirm(token)
        first = (await desk.people.stored(ada)).hashed_password
        self.dead(desk, await desk.confirm(token, "Another staple"), "a token that was used")
        expect.that(
            (await desk.people.stored(ada)).hashed_password == first,
            did="the stored password, after a second try with the same token",
            got="another one than after the first try",
            expected="the same: the second try has changed nothing",
            why="the link is also in the history of the browser",
            hint="`spend` deletes the token, and gives None for one that is not there",
            at=desk.confirm_at,
        )

    async def test_dead(self, desk):
        """A token that was never sent, is too old, or was replaced is a 422, and changes nothing"""
        ada = await desk.people.add("ada")
        first = await desk.token(ada.email)
        second = await desk.token(ada.email)
        for token, what in (
            ("x" * 43, "a token that was never sent"),
            ("", "an empty one"),
            (first, "the older of two"),
        ):
            self.dead(desk, await desk.confirm(token), what)
        for row in await desk.all(desk.resets):
            self.dead(
                desk,
                await desk.confirm(row.token_hash),
                "the stored hash itself",
                why="who reads the table could use what stands there",
                hint="hash what came in, and look for that",
            )
        async with desk.client.sessions.begin() as session:
            await session.execute(update(desk.resets).values(expires_at=desk.load("db.base").utc_now()))
        self.dead(desk, await desk.confirm(second), "a token that is too old")
        expect.that(
            await self.signs_in(desk, desk.people.password),
            did="log-in with the old password, after dead tokens",
            got="it is refused",
            expected="200: nothing has changed",
            why="anybody could lock Ada out",
            hint="raise before you change anything",
            at=desk.confirm_at,
        )

    async def test_sessions(self, desk):
        """Every session of the user ends, and nobody else's"""
        pairs = {}
        for name in ("ada", "bob"):
            await desk.people.add(name)
            pairs[name] = [expect.body(await login(desk.client, name, desk.people.password)) for _ in range(2)]
        await desk.confirm(await desk.token("ada@example.com"))
        statuses = {}
        for name, found in pairs.items():
            tokens = [pair["refresh_token"] for pair in found]
            statuses[name] = [
                (await desk.client.post(REFRESH, json={"refresh_token": one})).status_code for one in tokens
            ]
        expect.equal(
            statuses,
            {"ada": [401, 401], "bob": [200, 200]},
            did="POST /auth/refresh with the sessions of Ada, who has a new password, and of Bob",
            why="somebody who has the old password is signed in right now, and stays",
            hint="login_session_crud.end_all(self.session, user.id)",
            at=desk.confirm_at,
        )

    async def test_inactive(self, desk):
        """A user who was deleted or switched off in the meantime gets a 422"""
        now = desk.load("db.base").utc_now()
        for name, change in (("ada", {"is_active": False}), ("bob", {"deleted_at": now, "is_active": False})):
            person = await desk.people.add(name)
            before = (await desk.people.stored(person)).hashed_password
            token = await desk.token(person.email)
            await desk.people.change(person, **change)
            self.dead(
                desk,
                await desk.confirm(token),
                "a user who may not sign in",
                why="whoever may not sign in any more would change the account all the same",
                hint="find the user, and refuse one who is gone or not active",
            )
            expect.equal(
                (await desk.people.stored(person)).hashed_password == before,
                True,
                did="whether the stored hash is still the old one",
                why="a 422 changes nothing",
                hint="raise before you change anything",
                at=desk.confirm_at,
            )

    async def test_refused_password(self, desk):
        """A weak password is a 422, and the token stays alive"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        expect.status(await desk.confirm(token, "short"), 422, why="", hint="", at=desk.confirm_at)
        expect.status(
            await desk.confirm(token),
            204,
            why="a typing mistake would cost the link",
            hint="the schema refuses the password before your method is called",
            at=desk.confirm_at,
        )

    async def test_race(self, desk):
        """Of two who come with one token at the same moment, one gets a 204 and the other a 422"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        answers = await asyncio.gather(*(desk.confirm(token, f"Battery staple {number}") for number in range(5)))
        expect.equal(
            sorted(answer.status_code for answer in answers),
            [204, 422, 422, 422, 422],
            did="the statuses of five requests with one token at the same moment",
            why="who has copied the link would have the last word",
            hint="`spend` deletes and tells in one statement: do not look for the token before",
            at=desk.confirm_at,
        )

    async def test_cheap(self, desk, monkeypatch):
        """A dead token costs no hashing"""
        hashed, module = [], sys.modules["app.auth.password_reset"]
        real = module.hash_password

        async def count(password):
            hashed.append(password)
            return await real(password)

        monkeypatch.setattr(module, "hash_password", count)
        await desk.confirm("x" * 43)
        expect.equal(
            len(hashed),
            0,
            did="how often a password was hashed, for a dead token",
            why="a script with dead tokens would keep your processor busy: a third of a second for each",
            hint="hash when you know that the token is alive",
            at=desk.confirm_at,
        )

    async def test_rolled_back(self, desk, endings):
        """`confirm` does not commit: when the request fails, the token is still alive"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        endings.clear()

        async def wake():
            pass

        async with desk.client.sessions() as session:
            await desk.module.PasswordResetService(session, wake).confirm(token, NEW)
            endings.none(did="confirm(…)", at=desk.confirm_at)
            await session.rollback()
        expect.status(
            await desk.confirm(token),
            204,
            why="a failed commit would cost the link",
            hint="let get_session commit",
            at=desk.confirm_at,
        )
