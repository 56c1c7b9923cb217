"""How mail leaves the app."""

from functools import lru_cache
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class MailSettings(BaseSettings):
    """The mail server's settings; the environment variables begin with SMTP_."""

    model_config = SettingsConfigDict(
        env_prefix="SMTP_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
    )

    host: str = "localhost"
    port: int = Field(25, ge=1, le=65535)
    password: SecretStr | None = None
    report_to: Annotated[list[str], NoDecode] = []

    @field_validator("report_to", mode="before")
    @classmethod
    def split_addresses(cls, value: object) -> object:
        """Read `a@example.com, b@example.com` as a list of two addresses."""
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]


@lru_cache
def get_mail_settings() -> MailSettings:
    """Return the one MailSettings object of this process, made at the first call."""
    return MailSettings()
