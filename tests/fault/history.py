"""Clients that use a server, and a history of what it acknowledged to each of them.

An answer that never came is kept as `lost`: then what was asked for happened once or not at all, and only a checker
that looks afterwards can tell.
"""

import asyncio
import json
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

import httpx2

from doorward.core.secrets import RefreshTokens
from doorward.oauth.pkce import build_challenge
from tests.fault.ground import LOOPBACK, RESOURCE, Ground
from tests.fault.wire import Lost, Reply, Wire
from tests.person import Person, answer_parameters

Fate = Literal["no", "lost", "yes"]


@dataclass(frozen=True)
class Registered:
    """A client that was told it is registered; one without a secret is stored when somebody first consents to it."""

    client_id: str
    secret: str


@dataclass
class Connection:
    """One consent with everything that hangs off it, used by one client alone, one request after the other."""

    client_id: str
    code: str
    verifier: str
    redeemed: Fate = "no"
    redeemed_times: int = 0
    refresh_token: str = ""
    access_token: str = ""
    generation: int = 0
    refreshes_lost: int = 0
    revoked: Fate = "no"
    replayed: bool = False
    """Whether the code was presented again after it was spent, which ends the grant."""

    @property
    def is_live(self) -> bool:
        return self.redeemed == "yes" and self.revoked == "no" and not self.replayed


@dataclass
class History:
    """Everything that was acknowledged to anybody, and how many answers were lost."""

    registered: list[Registered] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    acknowledged: int = 0
    lost: int = 0
    when_acknowledged: Callable[[int], None] = lambda _: None

    def acknowledge(self) -> None:
        self.acknowledged += 1
        self.when_acknowledged(self.acknowledged)


class Actor:
    """One client program and the person at its browser, with an address and a session of their own."""

    def __init__(self, number: int, port: int, ground: Ground, history: History, chance: random.Random) -> None:
        address = f"127.0.1.{number + 1}"
        self.wire = Wire(port, address)
        self.http = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(local_address=address), base_url=f"http://127.0.0.1:{port}"
        )
        self.person = Person(self.http)
        self.history = history
        self.chance = chance
        self.key = ground.key
        self.clients: list[str] = []
        self.connections: list[Connection] = []

    async def close(self) -> None:
        await self.wire.close()
        await self.http.aclose()

    async def work(self) -> None:
        """Do one thing after the other until an answer is lost."""
        while True:
            try:
                await self._step()
            except Lost:
                self.history.lost += 1
                await self.wire.close()
                return

    async def _step(self) -> None:
        live = [connection for connection in self.connections if connection.is_live]
        unspent = [connection for connection in self.connections if connection.redeemed == "no"]
        if not self.clients or self.chance.random() < 0.04:
            await self.register()
        elif unspent and self.chance.random() < 0.7:
            await self.redeem(self.chance.choice(unspent))
        elif len(live) < 3 or self.chance.random() < 0.15:
            await self.connect(self.chance.choice(self.clients))
        elif self.chance.random() < 0.12:
            await self.revoke(self.chance.choice(live))
        else:
            await self.refresh(self.chance.choice(live))

    async def register(self) -> None:
        is_public = not self.clients or self.chance.random() < 0.4
        method = "none" if is_public else "client_secret_post"
        metadata = {"redirect_uris": [LOOPBACK], "client_name": "Load", "token_endpoint_auth_method": method}
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        reply = await self.wire.request("POST", "/api/oauth/register", json.dumps(metadata).encode(), headers)
        assert reply.status == 201, reply
        answer = read_json(reply)
        if is_public:
            self.clients.append(answer["client_id"])
        self.history.registered.append(Registered(answer["client_id"], answer.get("client_secret", "")))
        self.history.acknowledge()

    async def connect(self, client_id: str) -> None:
        verifier = secrets.token_urlsafe(48)
        request = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": LOOPBACK,
            "code_challenge": build_challenge(verifier),
            "code_challenge_method": "S256",
            "resource": RESOURCE,
        }
        try:
            answered = answer_parameters(await self.person.consent(f"/oauth/authorize?{urlencode(request)}"))
        except httpx2.TransportError as error:
            raise Lost from error
        connection = Connection(client_id, answered["code"], verifier)
        self.connections.append(connection)
        self.history.connections.append(connection)
        self.history.acknowledge()

    async def redeem(self, connection: Connection) -> None:
        connection.redeemed = "lost"
        reply = await present_code(self.wire, connection)
        assert reply.status == 200, reply
        accept_tokens(connection, reply)
        self.history.acknowledge()

    async def refresh(self, connection: Connection) -> None:
        connection.refreshes_lost += 1
        reply = await present_token(self.wire, connection)
        assert reply.status == 200, reply
        connection.refreshes_lost -= 1
        before = connection.generation
        accept_tokens(connection, reply)
        assert connection.generation == before + 1
        self.history.acknowledge()

    async def revoke(self, connection: Connection) -> None:
        connection.revoked = "lost"
        fields = {"token": connection.refresh_token, "client_id": connection.client_id}
        reply = await self.wire.post_form("/api/oauth/revoke", fields)
        assert reply.status == 200, reply
        connection.revoked = "yes"
        self.history.acknowledge()


async def present_code(wire: Wire, connection: Connection) -> Reply:
    """Redeem, or try to."""
    fields = {
        "grant_type": "authorization_code",
        "client_id": connection.client_id,
        "code": connection.code,
        "code_verifier": connection.verifier,
    }
    return await wire.post_form("/api/oauth/token", fields)


async def present_token(wire: Wire, connection: Connection) -> Reply:
    """Refresh, or try to."""
    fields = {
        "grant_type": "refresh_token",
        "client_id": connection.client_id,
        "refresh_token": connection.refresh_token,
    }
    return await wire.post_form("/api/oauth/token", fields)


def accept_tokens(connection: Connection, reply: Reply) -> None:
    """Keep what a token answer gave."""
    answer = read_json(reply)
    claimed = RefreshTokens.parse(answer["refresh_token"])
    assert claimed is not None
    if connection.redeemed != "yes":
        connection.redeemed = "yes"
        connection.redeemed_times += 1
    connection.generation = claimed[1]
    connection.refresh_token, connection.access_token = answer["refresh_token"], answer["access_token"]


def read_json(reply: Reply) -> dict[str, Any]:
    """The members of a JSON answer."""
    return httpx2.Response(reply.status, content=reply.body).json()


async def work_until(actors: list[Actor], acknowledged: int, history: History, stop: Callable[[], None]) -> None:
    """Let everybody work; call `stop` once so many more answers came, and go on until each lost one."""
    reached = asyncio.Event()
    goal = history.acknowledged + acknowledged
    history.when_acknowledged = lambda count: reached.set() if count >= goal else None

    async def stop_then() -> None:
        await reached.wait()
        for _ in range(actors[0].chance.randrange(60)):
            await asyncio.sleep(0)
        stop()

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        group.create_task(stop_then())
        for actor in actors:
            group.create_task(actor.work())
