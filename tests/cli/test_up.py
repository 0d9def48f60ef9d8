"""`doorward up`, as a process: what it refuses, what it announces, what a restart keeps (I2, T51)."""

import asyncio
import os
import secrets
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from doorward.oauth.pkce import build_challenge
from tests.needs import find_free_port
from tests.person import Person, answer_parameters
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, RunningDoorward, start_doorward
from tests.web.people import EMAIL, PASSWORD

LOOPBACK = "http://127.0.0.1:4711/callback"
Start = Callable[..., RunningDoorward]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers over one folder; whatever still runs at the end is stopped."""
    running: list[RunningDoorward] = []

    def start_one(*options: str, **given: Any) -> RunningDoorward:
        running.append(start_doorward(tmp_path / "data", *options, **given))
        return running[-1]

    yield start_one
    for server in running:
        server.stop()


def run_up(data: Path, *options: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A start that is expected to be refused."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
    command = [sys.executable, "-m", "doorward.cli", "up", "--data", str(data), "--port", str(find_free_port())]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=60, check=False, env={**kept, **(environ or {})}
    )


def browser(server: RunningDoorward) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=server.issuer, timeout=20)


async def let_in(server: RunningDoorward, http: httpx2.AsyncClient) -> dict[str, Any]:
    """A client's id and tokens, after registration, sign-in, consent and redemption."""
    registered = await http.post("/api/oauth/register", json={"redirect_uris": [LOOPBACK]})
    assert registered.status_code == 201
    client_id, verifier = registered.json()["client_id"], secrets.token_urlsafe(48)
    url = httpx2.URL(
        "/oauth/authorize",
        params={
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": LOOPBACK,
            "code_challenge": build_challenge(verifier),
            "code_challenge_method": "S256",
            "resource": server.demo,
        },
    )
    code = answer_parameters(await Person(http).consent(str(url)))["code"]
    form = {"grant_type": "authorization_code", "client_id": client_id, "code": code, "code_verifier": verifier}
    answer = await http.post("/api/oauth/token", data=form)
    assert answer.status_code == 200
    return {"client_id": client_id, "code": code, "code_verifier": verifier, **answer.json()}


@pytest.mark.parametrize(
    ("options", "environ", "setting"),
    [
        (["--issuer", "http://auth.example.com"], {}, "--issuer"),
        (["--host", "0.0.0.0"], {}, "--issuer"),
        (
            ["--host", "0.0.0.0", "--issuer", "http://localhost:8400"],
            {},
            "--host: a public address needs an https --issuer",
        ),
        ([], {"DOORWARD_MASTER_KEY": "changeme"}, "DOORWARD_MASTER_KEY"),
        ([], {"DOORWARD_ADMIN_EMAIL": "a@b.cd", "DOORWARD_ADMIN_PASSWORD": "changeme"}, "DOORWARD_ADMIN_PASSWORD"),
        (
            [],
            {"DOORWARD_ADMIN_EMAIL": "a@b.cd", "DOORWARD_ADMIN_PASSWORD": "passwordpassword"},
            "DOORWARD_ADMIN_EMAIL",
        ),
        ([], {"DOORWARD_COLOUR": "red"}, "DOORWARD_COLOUR"),
    ],
    ids=str,
)
def test_an_unsafe_start_ends_with_78_and_names_the_setting_t51(
    tmp_path: Path, options: list[str], environ: dict[str, str], setting: str
) -> None:
    result = run_up(tmp_path / "data", *options, environ=environ)
    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr.startswith(f"doorward: {setting}")
    assert len(result.stderr.splitlines()) == 1
    assert "changeme" not in result.stderr


def test_a_folder_that_others_can_read_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o750)
    result = run_up(data)
    assert result.returncode == 78
    assert result.stderr.startswith("doorward: --data: others can read")
    assert list(data.iterdir()) == []


def test_a_port_that_is_taken_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_up(tmp_path / "data", "--port", str(port))
    assert result.returncode == 78
    assert result.stderr.startswith(f"doorward: --port: cannot listen on 127.0.0.1:{port}: ")
    assert not (tmp_path / "data").exists()


async def test_what_was_started_is_announced_for_people_and_for_machines(start: Start) -> None:
    server = start("--demo")
    assert server.announced == {
        "ready": server.issuer,
        "issuer": server.issuer,
        "setup_link": None,
        "demo": server.demo,
        "data": str(server.data),
    }
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    async with browser(server) as http:
        assert (await http.get("/readyz")).json() == {"status": "ok"}
        metadata = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert metadata["issuer"] == server.issuer
        document = (await http.get("/.well-known/oauth-protected-resource/demo/mcp")).json()
        assert (document["resource"], document["authorization_servers"]) == (server.demo, [server.issuer])
    assert server.stop() == 0


async def test_the_set_up_link_works_once_and_is_not_printed_again(start: Start) -> None:
    server = start(admin=False)
    link = server.announced["setup_link"]
    assert link.startswith(f"{server.issuer}/setup?token=mst_")
    async with browser(server) as http:
        person = Person(http)
        page = await person.submit(await person.open(link), email=EMAIL, password=PASSWORD)
        assert page.url == f"{server.issuer}/dashboard"
    async with browser(server) as http:
        page = await Person(http).open(link)
        assert (page.status, "This set-up link is not valid" in page.text) == (400, True)
    server.stop()
    again = start(admin=False)
    assert again.announced["setup_link"] is None


def test_a_start_without_an_administrator_prints_a_new_link_each_time(start: Start) -> None:
    links = []
    for _ in range(2):
        server = start(admin=False)
        links.append(server.announced["setup_link"].partition("token=")[2])
        server.stop()
    assert len(set(links)) == 2


async def test_a_restart_keeps_everything_i2(start: Start) -> None:
    server = start("--demo")
    async with browser(server) as http:
        client = await let_in(server, http)
        keys = (await http.get("/.well-known/jwks.json")).json()
        cookies = dict(http.cookies)
    assert server.stop() == 0
    again = start("--demo", port=server.port)
    async with browser(again) as http:
        assert (await http.get("/.well-known/jwks.json")).json() == keys
        http.cookies.update(cookies)
        assert (await http.get("/account")).status_code == 200
        replay = {name: client[name] for name in ("client_id", "code", "code_verifier")}
        refresh = {"grant_type": "refresh_token", **{name: client[name] for name in ("client_id", "refresh_token")}}
        refreshed = await http.post("/api/oauth/token", data=refresh)
        assert refreshed.status_code == 200
        replayed = await http.post("/api/oauth/token", data={"grant_type": "authorization_code", **replay})
        assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")


async def test_the_named_administrator_is_made_at_the_first_start_alone(start: Start) -> None:
    server = start()
    server.stop()
    again = start(environment={"DOORWARD_ADMIN_PASSWORD": "another password altogether"})
    async with browser(again) as http:
        page = await Person(http, ADMIN_EMAIL, ADMIN_PASSWORD).sign_in(await Person(http).open("/login"))
        assert page.url == f"{again.issuer}/dashboard"


async def test_the_admin_command_works_beside_a_running_server_which_soon_sees_it(start: Start) -> None:
    server = start()
    command = [sys.executable, "-m", "doorward.cli", "admin", "project", "set", "registration_mode=closed"]
    async with browser(server) as http, asyncio.timeout(20):
        body = {"redirect_uris": [LOOPBACK]}
        assert (await http.post("/api/oauth/register", json=body)).status_code == 201
        subprocess.run([*command, "--data", str(server.data)], check=True, capture_output=True, timeout=60)
        while (await http.post("/api/oauth/register", json=body)).status_code != 403:
            pass
