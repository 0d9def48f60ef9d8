"""What a server behind writes to its standard error, in our log: little of it, and nothing that looks secret."""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable

_MAX_LINES = 50
_WINDOW_SECONDS = 10.0
_MAX_LENGTH = 500
_LAST_LINES = 5
_LAST_LENGTH = 1_000
_SHORTEST_SECRET = 6
_CHUNK = 64 * 1024
_CREDENTIALS = re.compile(r"(?i)\b(?:bearer|basic|dpop)\s+[\w.~+/=-]+|\beyJ[\w-]+\.[\w.-]+")
_ASSIGNMENTS = re.compile(r"(?i)((?:token|secret|passw|api_?key|credential)\w*[\"']?\s*[=:]\s*)\S+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

_log = logging.getLogger("doorward.resource.stdio")


class StderrLog:
    """Follows one process. `secrets` are values to mask wherever they show up. Spec: GEN-06"""

    def __init__(self, pid: int, secrets: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pid = pid
        found = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted(found, key=len, reverse=True)  # one that begins with another is masked to its end
        self._clock = clock
        self._window_ends = 0.0
        self._told = 0
        self._left_out = 0
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    @property
    def last_words(self) -> str:
        """The last lines, masked as all of them are; for a process that ended, they often say why."""
        return " | ".join(self._last)[-_LAST_LENGTH:]

    async def follow(self, stream: asyncio.StreamReader | None) -> None:
        """Read until the stream ends, so that the process never waits for its log to be read."""
        line = b""
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            *whole, tail = chunk.split(b"\n")
            for piece in whole:
                self.note(line + piece)
                line = b""
            line = (line + tail)[: 4 * _MAX_LENGTH]
        self.note(line)

    def note(self, line: bytes) -> None:
        """Log a line, if there is room for it."""
        text = self._mask(_CONTROL.sub(" ", line[: 4 * _MAX_LENGTH].decode("utf-8", "replace")).strip())
        if not text:
            return
        self._last.append(text[:_MAX_LENGTH])
        now = self._clock()
        if now >= self._window_ends:
            if self._left_out:
                _log.info("Process %d wrote %d more lines.", self._pid, self._left_out)
            self._window_ends, self._told, self._left_out = now + _WINDOW_SECONDS, 0, 0
        if self._told >= _MAX_LINES:
            self._left_out += 1
            return
        self._told += 1
        _log.info("Process %d: %s", self._pid, text[:_MAX_LENGTH])

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return _ASSIGNMENTS.sub(r"\1…", _CREDENTIALS.sub("…", text))
