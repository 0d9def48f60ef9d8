"""Structured logging that cannot leak: values of secret-looking keys are masked, query strings never arrive here."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from doorward.settings import LogSettings

_SECRET_WORDS = (
    "token",
    "secret",
    "password",
    "code",
    "verifier",
    "assertion",
    "cookie",
    "authorization",
    "master_key",
)
_NOT_SECRET = frozenset({"status_code", "error_code", "token_type"})


def configure_logs(settings: LogSettings) -> None:
    """Set up logging of this process, to standard error."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            mask_secrets,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the value of every key that names a secret. Spec: GEN-06, T49"""
    for name in event:
        if name not in _NOT_SECRET and any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "…"
    return event


log: structlog.stdlib.BoundLogger = structlog.get_logger("doorward")
