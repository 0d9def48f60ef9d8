"""A closed-loop load generator: each connection sends its next request when it has the answer to the last.

A connection follows a script, a generator that yields requests and is sent the bodies of their answers.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import cast

Script = Generator[bytes, bytes, None]
_LENGTH = b"content-length: "


@dataclass
class Sample:
    """What a number of connections saw in one measurement."""

    connections: int
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: dict[int, int] = field(default_factory=dict)
    """Answers other than 2xx, by status."""

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile_ms(self, share: float) -> float:
        """The latency that this share of the requests kept below."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


class _Connection(asyncio.Protocol):
    def __init__(self, script: Script, sample: Sample, stop_at: float, done: asyncio.Future[None]) -> None:
        self._script = script
        self._sample = sample
        self._stop_at = stop_at
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send(next(self._script, None))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = buffer.find(_LENGTH, 0, head + 2)
        length = int(buffer[at + len(_LENGTH) : buffer.index(b"\r\n", at)]) if at >= 0 else 0
        if len(buffer) < head + 4 + length:
            return
        self._buffer = b""
        now = time.perf_counter()
        self._sample.latencies.append(now - self._sent_at)
        status = int(buffer[9:12])
        if not 200 <= status < 300:
            self._sample.errors[status] = self._sample.errors.get(status, 0) + 1
        try:
            request = self._script.send(buffer[head + 4 :])
        except StopIteration:
            request = None
        self._send(request if now < self._stop_at else None)

    def connection_lost(self, _: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _send(self, request: bytes | None) -> None:
        assert self._transport is not None
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def run_load(port: int, scripts: list[Script], seconds: float) -> Sample:
    """Follow every script on a connection of its own, for so long or until each has ended."""
    loop = asyncio.get_running_loop()
    sample = Sample(len(scripts))
    started = time.perf_counter()
    finished = []
    for script in scripts:
        done = loop.create_future()
        finished.append(done)
        await loop.create_connection(_build(script, sample, started + seconds, done), "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*finished), seconds + 30)
    sample.seconds = time.perf_counter() - started
    return sample


def _build(
    script: Script, sample: Sample, stop_at: float, done: asyncio.Future[None]
) -> Callable[[], asyncio.Protocol]:
    return lambda: _Connection(script, sample, stop_at, done)
