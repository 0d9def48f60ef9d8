"""`python -m bench`: requests a second, latencies, processor time and memory of a server on one core."""

import argparse
import json
import os
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop

from bench import machine, proxy, revocation, verification
from bench.load import Sample, Script, run_load
from bench.operations import OPERATIONS, Supplies, get
from doorward.core.limits import REGISTER_KEY
from doorward.manage import clients, keys, projects
from doorward.manage.operator import get_project
from tests.fault.ground import Ground, add_connections, find_steady_port, lay_ground, opened, start_again
from tests.running import RunningDoorward, start_doorward

LEVELS = (1, 8, 32, 64)
PROJECTS, KEYS = 4, 16
REVOCATION, REVOCATIONS = "revocation", 300
VERIFICATION = "verification"
Row = dict[str, Any]


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough look, in under a minute")
    parser.add_argument("--seconds", type=float, help="how long each measurement takes")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*OPERATIONS, REVOCATION, VERIFICATION, proxy.PROXY],
        help="measure these operations alone",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    return parser.parse_args()


async def supply(ground: Ground, amount: int) -> Supplies:
    """Fill the database; what is used up was bounded by then."""
    registrations = []
    async with opened(ground.folder) as (_, operator):
        for number in range(PROJECTS):
            project = await projects.create_project(operator, f"bench-{number}", "Benchmark")
            made = [await keys.create(operator, project, ("register",)) for _ in range(KEYS)]
            registrations += [(project.path, secret) for _, secret in made]
        client, secret = await clients.add(operator, await get_project(operator), (), grants=("client_credentials",))
    codes, spare = await add_connections(ground, codes=amount, tokens=amount)
    _, own = await add_connections(ground, codes=0, tokens=4 * sum(LEVELS))
    return Supplies(
        codes=iter(codes),
        spare_tokens=iter(spare),
        own_tokens=iter(own),
        registrations=iter(registrations * REGISTER_KEY.burst),
        introspection_key=ground.key,
        service=(client.client_id, str(secret)),
    )


async def measure(name: str, port: int, process_id: int, scripts: list[Script], seconds: float) -> Row:
    """One row of results."""
    server, generator = machine.used_seconds(process_id), time.process_time()
    sample = await run_load(port, scripts, seconds)
    server, generator = machine.used_seconds(process_id) - server, time.process_time() - generator
    return describe(name, sample, server, generator) | {"resident_mb": round(machine.resident_mb(process_id))}


def describe(name: str, sample: Sample, server: float, generator: float) -> Row:
    requests = len(sample.latencies) or 1
    return {
        "operation": name,
        "connections": sample.connections,
        "per_second": round(sample.per_second),
        "p50_ms": round(sample.quantile_ms(0.50), 2),
        "p95_ms": round(sample.quantile_ms(0.95), 2),
        "p99_ms": round(sample.quantile_ms(0.99), 2),
        "server_us": round(server / requests * 1e6),
        "server_busy": round(server / sample.seconds, 2),
        "generator_busy": round(generator / sample.seconds, 2),
        "requests": len(sample.latencies),
        "errors": sample.errors,
    }


def show(row: Row) -> Row:
    errors = f"  errors: {row['errors']}" if row["errors"] else ""
    print(
        f"{row['operation']:<12}{row['connections']:>5}{row['per_second']:>9}{row['p50_ms']:>9.2f}{row['p95_ms']:>9.2f}"
        f"{row['p99_ms']:>9.2f}{row['server_us']:>9}{row['server_busy']:>7.0%}{row['generator_busy']:>7.0%}"
        f"{row['resident_mb']:>6}{errors}",
        flush=True,
    )
    return row


async def measure_bare(seconds: float) -> list[Row]:
    """The ceiling: the same generator against the same HTTP server with nothing behind it."""
    with machine.bare_server() as (port, process_id):
        return [
            show(await measure("bare", port, process_id, [_repeat(get("/")) for _ in range(level)], seconds))
            for level in LEVELS
        ]


def _repeat(request: bytes) -> Script:
    while True:
        yield request


def _once(request: bytes) -> Script:
    yield request


async def measure_server(server: RunningDoorward, supplies: Supplies, names: list[str], seconds: float) -> list[Row]:
    rows = []
    await run_load(server.port, [_once(get("/demo/mcp"))], 30)  # answered when the demo is loaded, too
    for name in names:
        for level in LEVELS:
            scripts = [OPERATIONS[name](supplies) for _ in range(level)]
            rows.append(show(await measure(name, server.port, server.process.pid, scripts, seconds)))
    return rows


def measure_steps(folder: Path) -> Row:
    alone, grouped = machine.measure_commits(folder)
    steps = {
        "es256_us": round(machine.measure_signature() * 1e6, 1),
        "commit_us": round(alone * 1e6, 1),
        "grouped_commit_us": round(grouped * 1e6, 1),
        "python_ms": round(machine.measure_command("-c", "pass") * 1e3),
        "help_ms": round(machine.measure_command("-m", "doorward.cli", "--help") * 1e3),
    }
    print(f"ES256 access token {steps['es256_us']} µs · durable commit {steps['commit_us']} µs alone,", end=" ")
    print(f"{steps['grouped_commit_us']} µs in a group of {machine.GROUP}")
    print(f"doorward --help {steps['help_ms']} ms (python -c pass {steps['python_ms']} ms)")
    return steps


def measure_start(folder: Path) -> Row:
    """Seconds until `ready`, with the demo: the first time, and the median of later ones."""
    took = []
    resident = 0.0
    for _ in range(4):
        started = time.perf_counter()
        server = start_doorward(folder, "--demo")
        took.append(time.perf_counter() - started)
        resident = machine.resident_mb(server.process.pid)
        server.stop()
    first, *later = took
    row = {"first_start_s": round(first, 2), "start_s": round(sorted(later)[1], 2), "start_mb": round(resident)}
    print(f"up --demo until ready {row['first_start_s']} s the first time, then {row['start_s']} s", end=" · ")
    print(f"{row['start_mb']} MB resident")
    return row


async def run(arguments: argparse.Namespace, folder: Path) -> Row:
    seconds = arguments.seconds or (1.0 if arguments.quick else 4.0)
    chosen = arguments.only or [*OPERATIONS, REVOCATION, VERIFICATION, proxy.PROXY]
    if chosen == [proxy.PROXY]:
        return {proxy.PROXY: proxy.show(await proxy.measure_proxy(seconds))}
    names = [name for name in chosen if name in OPERATIONS]
    print(f"{os.cpu_count()} cores · server and generator", "have one each" if machine.is_pinned() else "share one")
    results: Row = {}
    if VERIFICATION in chosen:
        print("a token at a protected server, medians")
        results[VERIFICATION] = [verification.show(row) for row in await verification.measure_verifications()]
        if chosen == [VERIFICATION]:
            return results
    results |= {"steps": measure_steps(folder), "start": measure_start(folder / "start")}
    ground = await lay_ground(folder / "data")
    supplies = await supply(ground, int(8000 * seconds))
    print("\noperation    conn    req/s   p50 ms   p95 ms   p99 ms  CPU µs  server  load    MB")
    results["bare"] = await measure_bare(seconds)
    with machine.on_server_core():
        server = start_again(ground.folder, find_steady_port(), "--demo")
    try:
        results["server"] = await measure_server(server, supplies, names, seconds)
        if REVOCATION in chosen:
            tokens = list(islice(supplies.spare_tokens, REVOCATIONS))
            print("\nfrom the answer to a revocation until it is felt")
            felt = await revocation.measure_revocations(server.issuer, server.port, ground.key, tokens)
            results[REVOCATION] = [revocation.show(row) for row in felt]
    finally:
        server.stop()
    if proxy.PROXY in chosen:
        print("\nwhat the reverse proxy adds")
        results[proxy.PROXY] = proxy.show(await proxy.measure_proxy(seconds))
    return results


def main() -> None:
    arguments = read_arguments()
    with tempfile.TemporaryDirectory(prefix="doorward-bench-") as folder:
        results = uvloop.run(run(arguments, Path(folder)))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


main()
