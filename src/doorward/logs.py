"""Structured logging that cannot leak: values of secret-looking keys are masked, query strings never arrive here."""

import logging
import re
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
_CREDENTIALS = re.compile(r"(?i)\b(?:bearer|basic|dpop)\s+[\w.~+/=-]{16,}|\beyJ[\w-]+\.[\w.-]+")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def configure_logs(settings: LogSettings) -> None:
    """Set up logging of this process, to standard error.

    What the SDK tells the standard library's logger `doorward` goes the same way, unless the root logger has handlers,
    which then are somebody's own choice.
    """
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
    standard = logging.getLogger("doorward")
    standard.setLevel(level)
    if not logging.getLogger().handlers and not any(isinstance(handler, _Handler) for handler in standard.handlers):
        standard.addHandler(_Handler())


class _Handler(logging.Handler):
    """Writes records of the standard library as events: each one line, with nothing that looks like a credential."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = _CREDENTIALS.sub("…", _BREAKS.sub(" ", record.getMessage()))
            log.log(record.levelno, text, exc_info=record.exc_info or None)
        except Exception:  # noqa: BLE001  # a record that cannot be written must not end what it tells of
            self.handleError(record)


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the value of every key that names a secret. Spec: GEN-06, T49"""
    for name in event:
        if name not in _NOT_SECRET and any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "…"
    return event


log: structlog.stdlib.BoundLogger = structlog.get_logger("doorward")
