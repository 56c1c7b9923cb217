"""Settings: sensible by default, refused when unsafe."""

from pathlib import Path
from typing import Any

import pytest
from app.core.config import Settings, get_settings, weak_secret_reason
from pydantic import ValidationError

STRONG = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"


def test_development_needs_no_configuration() -> None:
    """In development nothing must be set; a secret key is made up."""
    settings = Settings()
    assert settings.stage == "development"
    assert len(settings.secret_key.get_secret_value()) >= 32
    assert settings.log_level == "DEBUG"


def test_a_made_up_secret_key_is_different_each_time() -> None:
    """Two processes never share a made-up key."""
    assert Settings().secret_key != Settings().secret_key


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """SECRET_KEY="" does not sign tokens with an empty key."""
    monkeypatch.setenv("SECRET_KEY", "")
    assert Settings().secret_key.get_secret_value()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field is read from the variable of the same name."""
    monkeypatch.setenv("STAGE", "staging")
    monkeypatch.setenv("SECRET_KEY", STRONG)
    monkeypatch.setenv("LOG_LEVEL", "warning")
    settings = Settings()
    assert (settings.stage, settings.log_level) == ("staging", "WARNING")
    assert settings.secret_key.get_secret_value() == STRONG


def test_settings_come_from_a_file(tmp_path: Path) -> None:
    """A .env file in the working directory is read."""
    (tmp_path / ".env").write_text("PROJECT_NAME=From a file\nUNKNOWN=1\n")
    assert Settings().project_name == "From a file"


def test_origins_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    """CORS_ORIGINS is a plain list, not JSON."""
    monkeypatch.setenv("CORS_ORIGINS", "https://a.com, http://localhost:3000 ,")
    assert Settings().cors_origins == ["https://a.com", "http://localhost:3000"]
    assert Settings(cors_origins=["https://b.com"]).cors_origins == ["https://b.com"]


@pytest.mark.parametrize("origin", ["https://a.com/", "a.com", "ftp://a.com", "https://a.com/x"])
def test_what_no_browser_sends_as_origin_is_refused(origin: str) -> None:
    """An origin with a path or without a scheme would never match."""
    with pytest.raises(ValidationError, match="not an origin"):
        Settings(cors_origins=origin)


@pytest.mark.parametrize("stage", ["staging", "production"])
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "SECRET_KEY: it is missing"),
        ({"secret_key": "short"}, "fewer than 32 bytes"),
        ({"secret_key": "a" * 64}, "different characters"),
        ({"secret_key": "please-CHANGE-this-secret-key-0123456789"}, "placeholder"),
        ({"secret_key": STRONG, "cors_origins": "*"}, "CORS_ORIGINS"),
        ({"secret_key": STRONG, "debug": True}, "DEBUG"),
    ],
)
def test_unsafe_settings_refuse_to_start(stage: str, values: dict[str, Any], reason: str) -> None:
    """Outside development an unsafe setting stops the start, and the reason is named."""
    with pytest.raises(ValidationError, match=reason) as caught:
        Settings(stage=stage, **values)
    assert STRONG not in str(caught.value)


def test_safe_production_settings_start() -> None:
    """A strong key and listed origins are all that production needs."""
    settings = Settings(stage="production", secret_key=STRONG, cors_origins="https://a.com")
    assert settings.log_level == "INFO"


def test_development_accepts_a_weak_key_and_any_origin() -> None:
    """On your own machine a short key is no risk."""
    assert Settings(secret_key="dev", cors_origins="*").cors_origins == ["*"]


def test_a_strong_secret_has_no_reason_against_it() -> None:
    """The rule accepts what `secrets.token_urlsafe` makes."""
    assert weak_secret_reason(STRONG) is None


def test_printing_settings_shows_no_secret() -> None:
    """Neither the key nor the database's password is in the text form."""
    text = repr(Settings(secret_key=STRONG, database_url="postgresql://me:hunter2@host/db"))
    assert STRONG not in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://h/db", "postgresql+asyncpg://h/db"),
        ("postgresql://h/db", "postgresql+asyncpg://h/db"),
        ("sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
        ("postgresql+asyncpg://h/db", "postgresql+asyncpg://h/db"),
    ],
)
def test_database_addresses_get_an_async_driver(given: str, used: str) -> None:
    """The usual forms of an address work."""
    assert Settings(database_url=given).database_url == used


def test_get_settings_reads_once() -> None:
    """The settings of a process are one object."""
    get_settings.cache_clear()
    assert get_settings() is get_settings()
    get_settings.cache_clear()
