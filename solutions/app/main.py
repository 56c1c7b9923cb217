"""The app: `create_app` puts it together, `app` is what the server runs."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app.api import api_router
from app.core.body_limit import BodyLimitMiddleware
from app.core.config import Settings, get_settings
from app.core.error_reports import ErrorReports, ErrorReportsMiddleware
from app.core.handlers import add_handlers
from app.core.health import add_health
from app.core.logging import configure_logging
from app.core.metrics import Metrics, MetricsMiddleware
from app.core.middleware import REQUEST_ID_HEADER, CompressionMiddleware, RequestIdMiddleware
from app.core.pagination import TOTAL_COUNT_HEADER
from app.core.resources import open_resources
from app.core.safety import refuse_unsafe
from app.core.security import warm_up_hashing
from app.core.security_headers import HttpsOnlyMiddleware, SecurityHeadersMiddleware
from app.core.tracing import tracing
from app.db.session import open_database
from app.users.first_admin import ensure_first_admin

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the app needs before the first request, close it after the last one."""
    settings: Settings = app.state.settings
    logger.info("%s starts in stage %s", settings.project_name, settings.stage)
    async with open_database(settings) as session_factory, open_resources(app):
        app.state.session_factory = session_factory
        await warm_up_hashing()
        await ensure_first_admin(session_factory, settings)
        app.state.ready = True
        try:
            yield
        finally:
            app.state.ready = False
    logger.info("%s has stopped", settings.project_name)


def add_cors(app: FastAPI, settings: Settings) -> None:
    """Let the web pages of the listed origins, and no others, call this API."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials="*" not in settings.cors_origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=[TOTAL_COUNT_HEADER, REQUEST_ID_HEADER],
    )


def add_layers(app: FastAPI, settings: Settings) -> None:
    """Put the layers around the routes, from the inside to the outside."""
    app.state.metrics = Metrics()
    app.state.error_reports = ErrorReports()
    app.add_middleware(ErrorReportsMiddleware, reports=app.state.error_reports)
    app.add_middleware(CompressionMiddleware, secret_paths=f"{settings.api_prefix}/auth")
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes)
    app.add_middleware(HttpsOnlyMiddleware, settings=settings)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    app.add_middleware(RequestIdMiddleware)
    add_cors(app, settings)
    app.add_middleware(SecurityHeadersMiddleware, settings=settings)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build an app of its own for the given settings; by default those of the environment."""
    settings = settings or get_settings()
    refuse_unsafe(settings)
    configure_logging(settings)
    app = FastAPI(
        title=settings.project_name,
        description="Users, their sessions and their items.",
        version="1.0.0",
        openapi_url=f"{settings.api_prefix}/openapi.json" if settings.docs_enabled else None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=tracing(settings),
    )
    app.state.settings = settings
    app.state.ready = False
    add_handlers(app)
    add_layers(app, settings)
    app.include_router(api_router, prefix=settings.api_prefix)
    add_health(app, settings)
    return app


app = create_app()
