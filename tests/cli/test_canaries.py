"""No secret that was ever used is in the log or the data folder, whatever was done with it (GEN-06, T49).

The whole main job, and everything that can go wrong in it, on a real server that logs all it can.
"""

import base64
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from doorward.oauth.pkce import build_challenge
from tests.person import Page, Person, answer_parameters
from tests.running import RunningDoorward, start_doorward

LOOPBACK = "http://127.0.0.1:4711/callback"
WEB = "https://client.example.com/callback"
OPAQUE = "https://opaque.example.com/mcp"
EMAIL = "canary@example.com"
PASSWORD = "a canary in a harbour mine"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningDoorward]:
    environment = {"DOORWARD_LOG__LEVEL": "debug", "DOORWARD_LOG__FORMAT": "json"}
    running = start_doorward(
        tmp_path / "data", "--demo", admin=False, environment=environment, log=tmp_path / "server.log"
    )
    yield running
    running.stop()


class Canaries:
    """Every secret that was used, by what it was."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def keep(self, what: str, value: str, *, least: int = 20) -> str:
        assert len(value) >= least, what
        self.seen[f"{what} {len(self.seen)}"] = value
        return value

    def keep_page(self, page: Page) -> Page:
        for form in page.forms:
            for name in ("csrf", "flow"):
                if name in form:
                    self.keep(name, form[name])
        return page

    def keep_cookies(self, http: httpx2.AsyncClient) -> None:
        for cookie in http.cookies.jar:
            self.keep(f"cookie {cookie.name}", str(cookie.value))

    def found_in(self, content: bytes) -> list[str]:
        """What of it is in there."""
        return [what for what, value in self.seen.items() if value.encode() in content]


def admin(server: RunningDoorward, *words: str) -> str:
    """What an admin command prints."""
    command = [sys.executable, "-m", "doorward.cli", "admin", *words, "--data", str(server.data), "--json"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def printed_secret(output: str, prefix: str) -> str:
    match = re.search(rf'"({prefix}_[A-Za-z0-9_-]+)"', output)
    assert match is not None
    return match[1]


async def set_up(server: RunningDoorward, person: Person, canaries: Canaries) -> None:
    link = server.announced["setup_link"]
    canaries.keep("set-up token", link.partition("token=")[2])
    page = canaries.keep_page(await person.open(link))
    await person.submit(page, email=EMAIL, password="short")
    await person.submit(page, email=EMAIL, password=canaries.keep("password", PASSWORD))
    canaries.keep_cookies(person.http)


async def let_in(
    server: RunningDoorward, person: Person, canaries: Canaries, client: dict[str, Any], resource: str = ""
) -> dict[str, Any]:
    """Tokens of a client, all of its secrets kept."""
    verifier = canaries.keep("verifier", secrets.token_urlsafe(48))
    params = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": client["redirect_uris"][0],
        "code_challenge": build_challenge(verifier),
        "code_challenge_method": "S256",
        "resource": resource or server.demo,
    }
    page = canaries.keep_page(await person.open(str(httpx2.URL("/oauth/authorize", params=params))))
    page = await person.submit(page, decision="allow")
    code = canaries.keep("code", answer_parameters(page.links["continue"])["code"])
    form = {"grant_type": "authorization_code", "client_id": client["client_id"], "code": code}
    if "client_secret" in client:
        form["client_secret"] = client["client_secret"]
    await person.http.post("/api/oauth/token", data={**form, "code_verifier": canaries.keep("wrong", "w" * 43)})
    answer = await person.http.post("/api/oauth/token", data={**form, "code_verifier": verifier})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    for name in ("access_token", "refresh_token"):
        canaries.keep(name, tokens[name])
    return tokens


async def register(http: httpx2.AsyncClient, canaries: Canaries, **members: Any) -> dict[str, Any]:
    answer = await http.post("/api/oauth/register", json=members)
    assert answer.status_code == 201
    client: dict[str, Any] = answer.json()
    for name in client.keys() & {"client_secret", "registration_access_token"}:
        canaries.keep(name, client[name])
    return client


async def let_device_in(person: Person, canaries: Canaries) -> None:
    """A program that shows a code, its person, and its tokens."""
    grants = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
    client = await register(person.http, canaries, grant_types=grants, token_endpoint_auth_method="none")
    form = {"client_id": client["client_id"]}
    device = (await person.http.post("/api/oauth/device", data=form)).json()
    canaries.keep("user code", device["user_code"], least=9)
    question = {"grant_type": grants[0], "device_code": canaries.keep("device code", device["device_code"]), **form}
    await person.http.post("/api/oauth/token", data=question)
    await person.let_in_device(f"/device?user_code={device['user_code']}")
    answer = await person.http.post("/api/oauth/token", data=question)
    assert answer.status_code == 200, answer.text
    for name in ("access_token", "refresh_token"):
        canaries.keep(name, answer.json()[name])


async def misuse(server: RunningDoorward, http: httpx2.AsyncClient, tokens: dict[str, Any], secret: str) -> None:
    """Put secrets where they do not belong, and send what is wrong in every other way."""
    token = tokens["refresh_token"]
    await http.get("/api/oauth/token", params={"refresh_token": token})
    await http.get(f"/nothing/{token}", params={"access_token": tokens["access_token"]})
    await http.get(f"/login?next=/account?token={token}")
    await http.get(server.demo, headers={"authorization": f"Bearer {tokens['access_token']}"})
    await http.get(server.demo, params={"access_token": tokens["access_token"]})
    await http.post("/api/oauth/token", content=f"refresh_token={token}".encode())
    await http.post("/api/oauth/register", content=b'{"x":', headers={"authorization": f"Bearer {secret}x"})
    await http.post("/api/oauth/introspect", data={"token": token}, headers={"authorization": f"Bearer {secret}"})
    basic = base64.b64encode(f"mcl_nobody:{secret}".encode()).decode()
    await http.post("/api/oauth/token", data={"grant_type": "x"}, headers={"authorization": f"Basic {basic}"})
    await http.post("/api/oauth/token", data={"grant_type": token, "client_id": token, "x": "y" * 70_000})


async def use_admin_api(http: httpx2.AsyncClient, canaries: Canaries, token: str) -> None:
    """Make a key whose answer is kept to be repeated, set a password, and send what is refused."""
    bearer = {"authorization": f"Bearer {token}", "idempotency-key": "one"}
    made = await http.post("/api/admin/v1/keys", json={"capabilities": ["mint"]}, headers=bearer)
    canaries.keep("key of the admin API", made.json()["secret"])
    password = canaries.keep("password of the admin API", "canaries are sung to at dawn")
    person = {"email": "canary@example.com", "password": password}
    for members in (person, {**person, "role": password}, {**person, password: password}):
        await http.post("/api/admin/v1/users", json=members, headers={"authorization": f"Bearer {token}"})
    await http.get("/api/admin/v1/users", headers={"authorization": f"Bearer {token}x"})


async def test_no_secret_is_in_the_log_or_in_any_file_gen_06_t49(server: RunningDoorward, tmp_path: Path) -> None:
    canaries = Canaries()
    key = canaries.keep(
        "project key", printed_secret(admin(server, "key", "create", "--capability", "introspect"), "mrs")
    )
    admin(server, "resource", "add", OPAQUE, "--token-format", "opaque", "--scope", "read")
    admin(server, "project", "set", "device_flow=true")
    canaries.keep("initial token", printed_secret(admin(server, "initial-token", "create"), "mit"))
    made = admin(server, "token", "create", "ci", "--role", "owner")
    token = canaries.keep("admin token", printed_secret(made, "mad"))
    async with httpx2.AsyncClient(base_url=server.issuer, timeout=20) as http:
        person = Person(http, EMAIL, PASSWORD)
        await set_up(server, person, canaries)
        page = canaries.keep_page(await person.open("/login"))
        await person.submit(page, email=EMAIL, password=canaries.keep("wrong password", "a wrong canary in a mine"))
        await person.sign_in(page)
        canaries.keep_cookies(http)
        public = await register(http, canaries, redirect_uris=[LOOPBACK])
        confidential = await register(
            http, canaries, redirect_uris=[WEB], token_endpoint_auth_method="client_secret_post"
        )
        for client, resource in ((public, ""), (public, OPAQUE), (confidential, "")):
            tokens = await let_in(server, person, canaries, client, resource)
            form = {"grant_type": "refresh_token", "client_id": client["client_id"]}
            if "client_secret" in client:
                form["client_secret"] = client["client_secret"]
            for _ in range(2):
                answer = await http.post("/api/oauth/token", data={**form, "refresh_token": tokens["refresh_token"]})
                for name in answer.json().keys() & {"access_token", "refresh_token"}:
                    canaries.keep(name, answer.json()[name])
            await misuse(server, http, tokens, key)
            await http.post("/api/oauth/revoke", data={**form, "token": tokens["refresh_token"]})
        await let_device_in(person, canaries)
        await use_admin_api(http, canaries, token)
    assert len(canaries.seen) > 30
    assert_nothing_leaked(server, tmp_path, canaries)
    server.kill()
    assert_nothing_leaked(server, tmp_path, canaries)


def assert_nothing_leaked(server: RunningDoorward, tmp_path: Path, canaries: Canaries) -> None:
    files = [tmp_path / "server.log", *server.data.iterdir()]
    assert {path.suffix for path in files} >= {".log", ".db", ".db-wal", ".key"}
    assert [(path.name, what) for path in files for what in canaries.found_in(path.read_bytes())] == []
