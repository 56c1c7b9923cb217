"""Traces for OpenTelemetry: off by default, and without the addresses that were asked for."""

from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig

from app.core.config import Settings
from app.core.redaction import HIDDEN

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

ADDRESSES = ("url.path", "url.query", "url.full")


def make_provider(exporter: "SpanExporter | None" = None) -> "TracerProvider":
    """Make what sends the spans, by default to the address in OTEL_EXPORTER_OTLP_ENDPOINT."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class WithoutAddresses(SpanProcessor):
        """Hides what came in; the route's template stays."""

        def on_start(self, span: "Span", parent_context: "Context | None" = None) -> None:
            """Hide the addresses of a span that begins."""
            for name in ADDRESSES:
                if name in (span.attributes or {}):
                    span.set_attribute(name, HIDDEN)

    provider = TracerProvider()
    provider.add_span_processor(WithoutAddresses())
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return provider


def tracing(settings: Settings) -> TelemetryConfig:
    """Say what FastAPI tells: spans, where they are wanted; metrics and logs are ours already."""
    on = settings.tracing_enabled
    return {
        "tracing": on,
        "tracer_provider": make_provider() if on else None,
        "auto_configure": False,
        "metrics": False,
        "logs": False,  # they would have the messages of errors, with values in them
    }
