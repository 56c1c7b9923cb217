"""Settings: everything that differs between one machine and another.

Every value comes from the environment or a `.env` file, and is checked once, at start-up:
an app with unsafe settings must not start at all.
"""

import secrets
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from limits import parse
from pydantic import EmailStr, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

ASYNC_DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}

MIN_SECRET_BYTES = 32
MIN_SECRET_VARIETY = 10
PLACEHOLDERS = ("change", "example", "password", "your-secret", "your_secret")


class Stage(StrEnum):
    """Where the app runs."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


def weak_secret_reason(secret: str) -> str | None:
    """Say why a secret key is weak, or return None when it is strong enough."""
    if not secret:
        return "it is missing"
    if len(secret.encode()) < MIN_SECRET_BYTES:
        return f"it has fewer than {MIN_SECRET_BYTES} bytes"
    if len(set(secret)) < MIN_SECRET_VARIETY:
        return f"it has fewer than {MIN_SECRET_VARIETY} different characters"
    if any(word in secret.lower() for word in PLACEHOLDERS):
        return "it looks like a placeholder"
    return None


class Settings(BaseSettings):
    """The app's settings; the environment variable has the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    project_name: str = "Workbook"
    stage: Stage = Stage.DEVELOPMENT
    debug: bool = False
    log_level: LogLevel | None = None
    api_prefix: str = "/api/v1"
    cors_origins: Annotated[list[str], NoDecode] = []
    secret_key: SecretStr = SecretStr("")
    database_url: str = Field("sqlite+aiosqlite:///app.db", repr=False)
    access_token_expire_minutes: int = Field(30, ge=1, le=60)
    refresh_token_expire_days: int = Field(14, ge=1, le=90)
    first_admin_email: EmailStr | None = None
    first_admin_password: SecretStr | None = None
    database_pool_size: int = Field(5, ge=1, le=100)
    database_max_overflow: int = Field(5, ge=0, le=100)
    database_pool_timeout: float = Field(10, gt=0, le=60, description="seconds to wait")
    slow_query_seconds: float = Field(0.5, gt=0, description="slower ones are logged")
    redis_url: str | None = Field(None, repr=False, pattern="^(redis|rediss|unix)://")
    rate_limit_enabled: bool = True
    rate_limit_identity: str = "10/minute"
    rate_limit_address: str = "60/minute"
    trusted_proxies: Annotated[list[IPv4Network | IPv6Network], NoDecode] = []
    mail_host: str | None = None
    mail_port: int = Field(587, ge=1, le=65535)
    mail_username: str | None = None
    mail_password: SecretStr | None = None
    mail_start_tls: bool = True
    mail_from: EmailStr = "noreply@example.com"
    mail_reset_url: str = "http://localhost:3000/password-reset"
    password_reset_minutes: int = Field(30, ge=5, le=1440)
    metrics_token: SecretStr | None = None
    ready_seconds: float = Field(1, gt=0, le=10, description="how long /health/ready may take")
    https_only: bool | None = None
    docs_enabled: bool | None = None
    max_body_bytes: int = Field(1_000_000, ge=1_000)
    drain_seconds: float = Field(5, ge=0, le=60, description="serve on, after being told to stop")
    stop_seconds: int = Field(20, ge=1, le=300, description="then requests are cut off")
    tracing_enabled: bool = False

    @model_validator(mode="after")
    def fill_in_defaults(self) -> Self:
        """Choose what depends on the stage: the log level and, in development, a secret key."""
        development = self.stage is Stage.DEVELOPMENT
        if self.log_level is None:
            self.log_level = "DEBUG" if development else "INFO"
        if development and not self.secret_key.get_secret_value():
            self.secret_key = SecretStr(secrets.token_urlsafe(48))
        return self

    @model_validator(mode="after")
    def refuse_unsafe(self) -> Self:
        """Refuse to start outside development with settings that put users at risk."""
        if self.stage is Stage.DEVELOPMENT:
            return self
        problems = []
        if reason := weak_secret_reason(self.secret_key.get_secret_value()):
            problems.append(f"SECRET_KEY: {reason}")
        if "*" in self.cors_origins:
            problems.append("CORS_ORIGINS: '*' lets every web site call this API")
        if self.debug:
            problems.append("DEBUG: shows internals to everyone")
        if problems:
            raise ValueError(f"unsafe in {self.stage.value}: " + "; ".join(problems))
        return self

    @field_validator("log_level", mode="before")
    @classmethod
    def accept_lower_case(cls, value: object) -> object:
        """Read `info` as `INFO`."""
        return value.upper() if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def split_origins(cls, value: object) -> object:
        """Read `https://a.com, https://b.com` as a list of two origins."""
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("cors_origins")
    @classmethod
    def check_origins(cls, origins: list[str]) -> list[str]:
        """Refuse what a browser would never send: it would match nothing, silently."""
        for origin in origins:
            if origin == "*":
                continue
            parts = urlsplit(origin)
            rebuilt = f"{parts.scheme}://{parts.netloc}"
            if parts.scheme not in {"http", "https"} or not parts.netloc or origin != rebuilt:
                raise ValueError(f"{origin!r} is not an origin such as https://example.com")
        return origins

    @field_validator("database_url")
    @classmethod
    def choose_async_driver(cls, value: str) -> str:
        """Read `postgresql://…` and `sqlite://…` as addresses for the async drivers."""
        scheme, separator, rest = value.partition("://")
        return ASYNC_DRIVERS.get(scheme, scheme) + separator + rest

    @field_validator("rate_limit_identity", "rate_limit_address")
    @classmethod
    def check_limit(cls, value: str) -> str:
        """Refuse what is no limit, such as "10 per fortnight"."""
        parse(value)
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def split_proxies(cls, value: object) -> object:
        """Read `10.0.0.1, 10.1.0.0/16` as a list of two networks."""
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @model_validator(mode="after")
    def fill_in_by_stage(self) -> Self:
        """In production: HTTPS only, and no documents; both can be said otherwise."""
        production = self.stage is Stage.PRODUCTION
        if self.https_only is None:
            self.https_only = production
        if self.docs_enabled is None:
            self.docs_enabled = not production
        return self


@lru_cache
def get_settings() -> Settings:
    """Return the one Settings object of this process, made at the first call."""
    return Settings()
