"""What the reverse proxy adds: to a call at a steady rate, to an event, in memory, until a lost client is noticed."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from bench import machine
from bench.load import Sample
from bench.operations import post
from tests.fault.ground import find_steady_port
from tests.resource.behind import Proxy, run_proxy

PROXY = "proxy"
RATE = 300
CONNECTIONS = 32
EVENTS = 200
EVERY_SECONDS = 0.01
IDLE_STREAMS = 1000
KILLS = 10
LIMITS = {"added_p50_ms": 3.0, "added_p99_ms": 15.0, "idle_mb": 200.0, "noticed_ms": 1000.0}
"""What issue 5 allows."""
_CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}}'
_CLIENT = "import socket,sys;s=socket.create_connection(('127.0.0.1',int(sys.argv[1])));s.sendall(sys.argv[2].encode())"
_READ = f"{_CLIENT};[print(s.recv(4096),flush=True) for _ in iter(int,1)]"
Row = dict[str, Any]


class _Paced(asyncio.Protocol):
    """A connection that carries one request at a time, when it is told to."""

    def __init__(self, finished: Callable[["_Paced"], None]) -> None:
        self.due = 0.0
        self.status = 0
        self._finished = finished
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self.status, self._buffer = int(head[9:12]), b""
            self._finished(self)


async def run_paced(port: int, request: bytes, seconds: float) -> Sample:
    """So many requests a second whatever the answers do; a request's latency counts its wait for a connection, too."""
    loop = asyncio.get_running_loop()
    sample = Sample(CONNECTIONS, seconds=seconds)
    free: asyncio.Queue[_Paced] = asyncio.Queue()

    def finished(connection: _Paced) -> None:
        sample.latencies.append(time.perf_counter() - connection.due)
        if connection.status != 200:
            sample.errors[connection.status] = sample.errors.get(connection.status, 0) + 1
        free.put_nowait(connection)

    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(lambda: _Paced(finished), "127.0.0.1", port)
        free.put_nowait(connection)
    started = time.perf_counter()
    for number in range(int(RATE * seconds)):
        await asyncio.sleep(max(0.0, started + number / RATE - time.perf_counter()))
        due = time.perf_counter()  # a timer is up to a millisecond late, and that is nobody's latency
        (await free.get()).send(request, due)
    async with asyncio.timeout(30):
        everybody = [await free.get() for _ in range(CONNECTIONS)]
    for connection in everybody:
        connection.transport.close()
    return sample


async def measure_events(port: int, request: bytes) -> Sample:
    """How long events are on their way."""
    sample = Sample(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(30):
        while len(sample.latencies) < EVENTS:
            line = await reader.readline()
            if line.startswith(b"data: "):
                sample.latencies.append((time.monotonic_ns() - int(line[6:])) / 1e9)
    writer.close()
    return sample


async def measure_idle(proxy: Proxy, request: bytes) -> float:
    """Megabytes that the streams cost the proxy while nothing happens on them."""
    before = machine.resident_mb(proxy.process.pid)
    writers = []
    async with asyncio.timeout(60):
        for _ in range(IDLE_STREAMS):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(request)
            await reader.readuntil(b": open\n\n")
            writers.append(writer)
    cost = machine.resident_mb(proxy.process.pid) - before
    for writer in writers:
        writer.close()
    return cost


async def measure_kills(port: int, request: bytes, behind: int) -> list[float]:
    """Milliseconds from a client's sudden death until the server behind knows."""
    noticed = []
    for _ in range(KILLS):
        seen = await _last_gone(behind)
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _READ, str(port), request.decode(), stdout=subprocess.PIPE
        )
        assert client.stdout is not None
        async with asyncio.timeout(30):
            await client.stdout.readuntil(b": open")
            killed = time.monotonic_ns()
            client.kill()
            while (gone := await _last_gone(behind)) == seen:
                pass  # asking takes a while itself, and the answer holds the time
        await client.wait()
        noticed.append((gone - killed) / 1e6)
    return sorted(noticed)


async def _last_gone(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /gone HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return int(answer.rpartition(b"\r\n")[2])


@contextmanager
def _behind() -> Iterator[int]:
    """The server behind, on the generator's core: the other one is the proxy's."""
    port = find_steady_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.behind", str(port)], stderr=subprocess.DEVNULL)
    try:
        machine.wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def _in_front(behind: int) -> Iterator[Proxy]:
    with machine.on_server_core():
        running = run_proxy(f"http://127.0.0.1:{behind}/mcp", streams_of_a_person=2 * IDLE_STREAMS)
        proxy = running.__enter__()
    try:
        yield proxy
    finally:
        running.__exit__(None, None, None)


async def measure_proxy(seconds: float) -> Row:
    """Everything, beside the same without the proxy."""
    with _behind() as behind, _in_front(behind) as proxy:
        authorization = f"authorization: Bearer {proxy.mint.token('tools:read')}\r\n".encode()
        json = b"content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
        call = post("/mcp", _CALL, authorization, json)
        stream = b"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n" + authorization + b"\r\n"
        events = stream.replace(b"/mcp", b"/mcp?every=%g" % EVERY_SECONDS, 1)
        await run_paced(proxy.port, call, 1.0)  # what is only slow once
        direct, proxied = Sample(CONNECTIONS), Sample(CONNECTIONS)
        used = 0.0
        for _ in range(2):  # in turns, so that both get the same of what else the machine does
            direct.latencies += (await run_paced(behind, call, seconds)).latencies
            used -= machine.used_seconds(proxy.process.pid)
            part = await run_paced(proxy.port, call, seconds)
            used += machine.used_seconds(proxy.process.pid)
            proxied.latencies += part.latencies
            proxied.errors |= part.errors
        event = [await measure_events(behind, events), await measure_events(proxy.port, events)]
        idle = await measure_idle(proxy, stream)
        killed = [await measure_kills(behind, stream, behind), await measure_kills(proxy.port, stream, behind)]
    return {
        "calls": len(proxied.latencies),
        "errors": proxied.errors,
        **_compare("p50_ms", 0.50, direct, proxied),
        **_compare("p99_ms", 0.99, direct, proxied),
        "cpu_us": round(used / len(proxied.latencies) * 1e6),
        "event_direct_p50_ms": round(event[0].quantile_ms(0.50), 2),
        "event_p50_ms": round(event[1].quantile_ms(0.50), 2),
        "event_p99_ms": round(event[1].quantile_ms(0.99), 2),
        "idle_streams": IDLE_STREAMS,
        "idle_mb": round(idle, 1),
        "noticed_direct_ms": round(killed[0][-1], 1),
        "noticed_ms": round(killed[1][-1], 1),
    }


def _compare(name: str, share: float, direct: Sample, proxied: Sample) -> Row:
    without, through = direct.quantile_ms(share), proxied.quantile_ms(share)
    return {
        f"direct_{name}": round(without, 2),
        f"proxied_{name}": round(through, 2),
        f"added_{name}": round(through - without, 2),
        f"ratio_{name}": round(through / without, 1),
    }


def show(row: Row) -> Row:
    print(f"{row['calls']} calls at {RATE} a second, {row['errors'] or 'no'} errors, {row['cpu_us']} µs CPU each")
    for name in ("p50_ms", "p99_ms"):
        print(
            f"  {name[:3]}  direct {row[f'direct_{name}']} ms, through the proxy {row[f'proxied_{name}']} ms:"
            f" {row[f'added_{name}']} ms more, {row[f'ratio_{name}']} times"
        )
    print(
        f"an event is on its way for {row['event_p50_ms']} ms (p99 {row['event_p99_ms']} ms),"
        f" direct {row['event_direct_p50_ms']} ms"
    )
    print(f"{row['idle_streams']} idle streams cost {row['idle_mb']} MB")
    print(f"a killed client is noticed behind within {row['noticed_ms']} ms, direct {row['noticed_direct_ms']} ms")
    missed = [name for name, limit in LIMITS.items() if row[name] >= limit]
    print("within every limit of issue 5" if not missed else f"beyond the limit: {', '.join(missed)}", flush=True)
    return row
