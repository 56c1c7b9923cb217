"""Settings that are right on your machine, and wrong where your users are."""

from app.core.config import Settings, Stage, weak_secret_reason


class UnsafeSettings(Exception):
    """The app must not serve with these settings."""


def unsafe_settings(settings: Settings) -> list[str]:
    """Return why these settings are unsafe in production, a reason for each variable; no values."""
    if settings.stage is not Stage.PRODUCTION:
        return []
    mail_password, metrics, admin = (
        secret.get_secret_value() if secret else ""
        for secret in (
            settings.mail_password,
            settings.metrics_token,
            settings.first_admin_password,
        )
    )
    insecure = [origin for origin in settings.cors_origins if not origin.startswith("https://")]
    everybody = [network for network in settings.trusted_proxies if network.prefixlen == 0]
    weak_metrics = bool(metrics) and weak_secret_reason(metrics) is not None
    no_tls = bool(mail_password) and not settings.mail_start_tls
    open_link = not settings.mail_reset_url.startswith("https://")
    found: list[tuple[object, str]] = [
        (settings.database_url.startswith("sqlite"), "DATABASE_URL: SQLite ends with its machine"),
        (not settings.https_only, "HTTPS_ONLY: passwords could be read on the way"),
        (not settings.rate_limit_enabled, "RATE_LIMIT_ENABLED: passwords could be guessed"),
        (everybody, "TRUSTED_PROXIES: everybody could choose an address"),
        (insecure, "CORS_ORIGINS: a page over http can be changed on the way"),
        (not settings.mail_host, "MAIL_HOST: nobody would get a new password"),
        (no_tls, "MAIL_START_TLS: the mail password could be read on the way"),
        (open_link, "MAIL_RESET_URL: the token in the link could be read on the way"),
        (weak_metrics, "METRICS_TOKEN: it could be guessed"),
        (admin and len(admin) < 12, "FIRST_ADMIN_PASSWORD: it is too short for an admin"),
    ]
    return [reason for unsafe, reason in found if unsafe]


def refuse_unsafe(settings: Settings) -> None:
    """Raise UnsafeSettings with all reasons, if there are any."""
    if settings.stage is Stage.PRODUCTION and (reasons := unsafe_settings(settings)):
        raise UnsafeSettings("unsafe in production:\n  " + "\n  ".join(reasons))
