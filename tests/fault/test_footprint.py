"""How quickly the command answers, how quickly the server is up, how much memory it keeps.

Processor time stands for time here, with bounds three times the targets, so that a busy machine does not break the
build; `./dev bench` prints the exact figures. The memory bound is the target itself.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from tests.fault.ground import FreshToken, add_connections, find_steady_port, lay_ground, start, start_again
from tests.fault.history import read_json
from tests.fault.wire import Wire
from tests.needs import require

HELP_SECONDS = 0.3
READY_SECONDS = 2.0
RESIDENT_MB = 150
LENIENCE = 3
TOKEN_REQUESTS = 10_000
CONNECTIONS = 16


def used_by_children() -> float:
    """Seconds of processor time of every child process that has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(*command: str) -> float:
    """Seconds of processor time a run of Python takes."""
    before = used_by_children()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return used_by_children() - before


def used_by(process_id: int) -> float:
    """Seconds of processor time of a process that runs."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_help_answers_at_once() -> None:
    helps = statistics.median(measure("-m", "doorward.cli", "--help") for _ in range(5))
    nothing = statistics.median(measure("-c", "pass") for _ in range(5))
    assert helps - nothing < HELP_SECONDS * LENIENCE


def test_help_imports_nothing_of_the_server() -> None:
    code = "import sys, doorward.cli.commands; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"sqlalchemy", "granian", "mcp", "jinja2", "structlog", "cryptography", "pydantic", "asyncio"} & set(
        told
    )


def test_the_server_with_its_demo_is_ready_soon(tmp_path: Path) -> None:
    require_proc()
    took = []
    for _ in range(4):
        server = start(tmp_path / "data", "--demo")
        took.append(used_by(server.process.pid))
        assert server.stop() == 0
    assert statistics.median(took[1:]) < READY_SECONDS * LENIENCE


def require_proc() -> None:
    require("/proc", available=Path("/proc/self/status").exists(), reason="what a process uses is read there")


def resident_mb(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


async def refresh_again_and_again(port: int, token: FreshToken, times: int) -> None:
    async with Wire(port) as wire:
        fields = {"grant_type": "refresh_token", "client_id": token.client_id, "refresh_token": token.token}
        for _ in range(times):
            reply = await wire.post_form("/api/oauth/token", fields)
            assert reply.status == 200, reply
            fields["refresh_token"] = read_json(reply)["refresh_token"]


async def test_ten_thousand_token_requests_fit_into_the_memory_promised(tmp_path: Path) -> None:
    require_proc()
    ground = await lay_ground(tmp_path / "data")
    _, tokens = await add_connections(ground, codes=0, tokens=CONNECTIONS)
    server = start_again(ground.folder, find_steady_port(), "--demo")
    each = TOKEN_REQUESTS // CONNECTIONS
    await asyncio.gather(*(refresh_again_and_again(server.port, token, each) for token in tokens))
    resident = resident_mb(server.process.pid)
    assert server.stop() == 0
    assert resident < RESIDENT_MB
