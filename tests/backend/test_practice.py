"""Small tools beside the app: the mail server's settings, a copy of the database, tokens for partners."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from app.auth import partner_tokens
from app.core.mail_settings import MailSettings, get_mail_settings
from app.db.backup import backup
from pydantic import ValidationError

from tests.backend.support import SECRET_KEY


def test_the_mail_server_is_described_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """SMTP_ variables are read, addresses are split at commas, and an impossible port is refused."""
    assert (MailSettings().host, MailSettings().port, MailSettings().report_to) == ("localhost", 25, [])
    monkeypatch.setenv("SMTP_HOST", "mail.example.com")
    monkeypatch.setenv("SMTP_REPORT_TO", "ada@example.com, , bob@example.com")
    monkeypatch.setenv("SMTP_PASSWORD", "")
    found = MailSettings(report_to=["grace@example.com"])
    assert (found.host, found.password, found.report_to) == ("mail.example.com", None, ["grace@example.com"])
    assert MailSettings().report_to == ["ada@example.com", "bob@example.com"]
    monkeypatch.setenv("SMTP_PORT", "65536")
    with pytest.raises(ValidationError):
        MailSettings()


def test_the_mail_settings_are_read_once() -> None:
    """Every caller gets the same object."""
    get_mail_settings.cache_clear()
    assert get_mail_settings() is get_mail_settings()


def test_a_copy_is_made_while_somebody_writes(tmp_path: Path) -> None:
    """The copy has what was committed, and nothing of a transaction that is under way."""
    source = tmp_path / "app.db"
    with closing(sqlite3.connect(source)) as database:
        database.execute("CREATE TABLE pens (name TEXT)")
        database.execute("INSERT INTO pens VALUES ('blue')")
        database.commit()
        database.execute("INSERT INTO pens VALUES ('red')")
        made = asyncio.run(backup(source, tmp_path / "copy.db"))
    with closing(sqlite3.connect(made)) as copy:
        assert copy.execute("SELECT name FROM pens").fetchall() == [("blue",)]


def test_no_copy_of_nothing(tmp_path: Path) -> None:
    """A database that is not there is named, and no empty one is made in its place."""
    with pytest.raises(FileNotFoundError, match=r"there is no database .*app\.db"):
        asyncio.run(backup(tmp_path / "app.db", tmp_path / "copy.db"))
    assert not list(tmp_path.iterdir())


def test_a_partner_signs_in_and_refreshes() -> None:
    """An access token names the user, a refresh token gives a new pair, and neither does the other's work."""
    pair = partner_tokens.sign_in(7, SECRET_KEY)
    assert partner_tokens.current_user_id(pair["access_token"], SECRET_KEY) == 7
    assert partner_tokens.current_user_id(pair["refresh_token"], SECRET_KEY) is None
    assert partner_tokens.refresh(pair["access_token"], SECRET_KEY) is None
    again = partner_tokens.refresh(pair["refresh_token"], SECRET_KEY)
    assert again is not None
    assert partner_tokens.current_user_id(again["access_token"], SECRET_KEY) == 7
    assert again["access_token"] != pair["access_token"]


@pytest.mark.parametrize("token", ["", "a.b.c", "nothing"])
def test_other_texts_are_no_partner_tokens(token: str) -> None:
    """What is no token opens nothing, and crashes nothing."""
    assert partner_tokens.current_user_id(token, SECRET_KEY) is None
    assert partner_tokens.refresh(token, SECRET_KEY) is None
