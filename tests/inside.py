"""The server in this process, without sockets: its real database on disk, a clock that tests move."""

import atexit
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2

from doorward.app import Doorward, build_context
from doorward.core.models import Project, Resource, Scope, Tool
from doorward.manage import projects, resources, users
from doorward.manage.operator import Operator, get_project
from doorward.oauth.pkce import build_challenge
from doorward.server.context import Context
from doorward.settings import Settings
from doorward.storage.opening import open_store
from tests.person import Person, answer_parameters
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

ISSUER = "https://auth.example.com"
RESOURCE = "https://api.example.com/mcp"
LOOPBACK = "http://127.0.0.1:4711/callback"
START = 1_800_000_000_000
SCOPES = (
    Scope("tools:read", "Look things up", kind="read", tools=(Tool("weather_forecast", "Weather forecast"),)),
    Scope("tools:write", "Book flights", kind="write", tools=(Tool("book_flight", "Book a flight", kind="write"),)),
)


@dataclass
class Clock:
    """Epoch milliseconds that only move when a test moves them."""

    now: int = START

    def __call__(self) -> int:
        return self.now

    def advance(self, *, seconds: float) -> None:
        self.now += int(seconds * 1000)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name, [""])[0]

    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


@dataclass
class Door:
    """A server to call, its operator, and the usual requests of a client."""

    app: Doorward
    context: Context
    clock: Clock
    operator: Operator
    project: Project
    resource: Resource

    @property
    def http(self) -> httpx2.AsyncClient:
        """A browser without cookies yet."""
        transport = httpx2.ASGITransport(app=self.app, client=("203.0.113.9", 50000))
        return httpx2.AsyncClient(transport=transport, base_url=self.context.settings.public_url)

    def person(self, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> Person:
        """A browser that can sign in."""
        return Person(self.http, email, password)

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        *,
        source: str = "203.0.113.9",
    ) -> Answer:
        """One request straight into the app: no client library between the test and the bytes.

        Headers given as a list may repeat.
        """
        target, _, query = path.partition("?")
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        given = headers if isinstance(headers, list) else list((headers or {}).items())
        named = any(name.lower() == "host" for name, _ in given)
        public = urlsplit(self.context.settings.public_url)
        raw = given if named else [("host", public.netloc), *given]
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": target,
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in raw],
            "client": (source, 50000),
            "scheme": public.scheme,
        }
        await self.app(scope, receive, send)
        found: dict[str, list[str]] = {}
        for name, value in sent[0]["headers"]:
            found.setdefault(name.decode(), []).append(value.decode("latin-1"))
        return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))

    async def post_form(
        self, path: str, fields: Mapping[str, str] | list[tuple[str, str]], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST a form."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        return await self.call("POST", path, urlencode(fields).encode(), {**form, **(headers or {})})

    async def post_json(self, path: str, members: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """POST JSON."""
        media = {"content-type": "application/json"}
        return await self.call("POST", path, json.dumps(members).encode(), {**media, **(headers or {})})

    async def register(self, **members: Any) -> dict[str, Any]:
        """A client of the given metadata, public and on loopback unless said otherwise."""
        given = {
            "redirect_uris": [LOOPBACK],
            "client_name": "Test client",
            "token_endpoint_auth_method": "none",
            **members,
        }
        answer = await self.post_json("/api/oauth/register", given)
        assert answer.status == 201, answer.body
        return answer.json()

    async def obtain_code(self, client_id: str, person: Person, **parameters: str) -> tuple[str, str]:
        """(code, verifier) after the person allowed what the client asks for."""
        verifier = secrets.token_urlsafe(48)
        url = self.authorization_url(client_id, verifier, **parameters)
        answered = answer_parameters(await person.consent(url))
        assert "code" in answered, answered
        return answered["code"], verifier

    def authorization_url(self, client_id: str, verifier: str, **parameters: str) -> str:
        """The usual authorization request; an empty value leaves a parameter out."""
        request = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": LOOPBACK,
            "code_challenge": build_challenge(verifier),
            "code_challenge_method": "S256",
            "state": "state-1",
            "resource": RESOURCE,
            **parameters,
        }
        return f"/oauth/authorize?{urlencode({name: value for name, value in request.items() if value})}"

    async def redeem(self, client_id: str, code: str, verifier: str, **fields: str) -> Answer:
        """The usual token request for a code."""
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": LOOPBACK,
            **fields,
        }
        return await self.post_form("/api/oauth/token", {name: value for name, value in form.items() if value})

    async def refresh(self, client_id: str, refresh_token: str, **fields: str) -> Answer:
        """The usual refresh."""
        form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token, **fields}
        return await self.post_form("/api/oauth/token", form)

    async def tokens(self, person: Person | None = None, **parameters: str) -> tuple[str, dict[str, Any]]:
        """(client_id, token answer) of a fresh public client that was let in."""
        client_id = (await self.register())["client_id"]
        code, verifier = await self.obtain_code(client_id, person or self.person(), **parameters)
        answer = await self.redeem(client_id, code, verifier)
        assert answer.status == 200, answer.body
        return client_id, answer.json()


@asynccontextmanager
async def open_door(folder: Path, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Door]:
    """A server over `folder`, with one resource and one owner when the folder is new.

    New folders are copies of one that each test process fills once: same keys, same ids. A test that needs another
    server's keys fills a folder of its own with `fill_folder` first.
    """
    clock = clock or Clock()
    if not folder.exists():
        shutil.copytree(await _filled_once(), folder)
    configured = Settings(**{"data": folder, "issuer": ISSUER, **settings})
    store = await open_store(folder, now=clock())
    operator = Operator(store.database, store.vault, clock, "operator:test")
    try:
        project = await get_project(operator)
        resource = (await resources.list_all(operator, project))[0]
        context = build_context(configured, store, clock)
        yield Door(Doorward(context), context, clock, operator, project, resource)
    finally:
        await store.database.close()


async def fill_folder(folder: Path) -> None:
    """A new data folder with keys of its own, one project, one resource and one owner."""
    clock = Clock()
    store = await open_store(folder, now=clock())
    operator = Operator(store.database, store.vault, clock, "operator:test")
    project = await projects.create_project(operator, "default", "Example")
    await resources.add(operator, project, RESOURCE, name="Example server", scopes=SCOPES)
    await users.add(operator, project, ADMIN_EMAIL, ADMIN_PASSWORD, role="owner", name="Ada")
    await store.database.close()


_filled: list[Path] = []


async def _filled_once() -> Path:
    if not _filled:
        parent = Path(tempfile.mkdtemp(prefix="doorward-test-"))
        atexit.register(shutil.rmtree, parent, ignore_errors=True)
        await fill_folder(parent / "data")
        _filled.append(parent / "data")
    return _filled[0]
