"""A data folder that is filled before its server starts, by the verbs the server itself writes with."""

import random
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from doorward.core.models import Code, Grant, Project, RefreshFamily, Resource, Scope, User
from doorward.core.secrets import CODE, RefreshTokens, hash_secret, new_family_id, new_id, new_salt, new_secret
from doorward.manage import clients, keys, projects, resources, users
from doorward.manage.operator import Operator
from doorward.oauth.ids import ClientId, GrantId
from doorward.oauth.pkce import build_challenge
from doorward.storage.codes import add_code
from doorward.storage.database import Transaction
from doorward.storage.grants import add_grant
from doorward.storage.opening import Store, open_store
from doorward.storage.tokens import start_family
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, RunningDoorward, start_doorward

RESOURCE = "https://api.example.com/mcp"
LOOPBACK = "http://127.0.0.1:4711/callback"
SCOPES = (Scope("tools:read", "Look things up"), Scope("tools:write", "Book flights", kind="write"))
DAY_MS = 86_400_000
STARTED: list[RunningDoorward] = []


@dataclass(frozen=True)
class FreshCode:
    """A code that nobody redeemed yet."""

    client_id: str
    code: str
    verifier: str


@dataclass(frozen=True)
class FreshToken:
    """A refresh token of generation 0."""

    client_id: str
    token: str


@dataclass(frozen=True)
class Ground:
    """A folder with a project, one resource, one owner, and a key that may register clients and introspect."""

    folder: Path
    project: Project
    resource: Resource
    user: User
    key: str


def now_ms() -> int:
    return int(time.time() * 1000)


def find_steady_port() -> int:
    """A free port that no outgoing connection is given, so that a server finds it free again after a restart."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a hundred ports are taken")


def start(folder: Path, *options: str, port: int | None = None, admin: bool = True) -> RunningDoorward:
    """A server that ends with its test at the latest; what it wrote to its log is told when it does not start."""
    try:
        server = start_doorward(folder, *options, port=port, admin=admin)
    except AssertionError as error:
        error.add_note(folder.with_suffix(".log").read_text(encoding="utf-8")[-2000:])
        raise
    STARTED.append(server)
    return server


def start_again(folder: Path, port: int, *options: str) -> RunningDoorward:
    """A server over a folder that was made before."""
    return start(folder, *options, port=port, admin=False)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Store, Operator]]:
    """The folder's store, for as long as no server runs on it."""
    store = await open_store(folder, now=now_ms())
    try:
        yield store, Operator(store.database, store.vault, now_ms, "operator:test")
    finally:
        await store.database.close()


async def lay_ground(folder: Path) -> Ground:
    """Make the folder."""
    async with opened(folder) as (_, operator):
        project = await projects.create_project(operator, "default", "Example")
        resource = await resources.add(operator, project, RESOURCE, name="Example server", scopes=SCOPES)
        user = await users.add(operator, project, ADMIN_EMAIL, ADMIN_PASSWORD, role="owner", name="Ada")
        _, key = await keys.create(operator, project, ("register", "introspect"), name="test")
    return Ground(folder, project, resource, user, key)


async def add_connections(ground: Ground, *, codes: int, tokens: int) -> tuple[list[FreshCode], list[FreshToken]]:
    """Codes and refresh tokens, spread over a few public clients."""
    async with opened(ground.folder) as (store, operator):
        made = [(await clients.add(operator, ground.project, (LOOPBACK,), name=f"Client {n}"))[0] for n in range(8)]
        ids = [client.client_id for client in made]
        return await store.database.write(_fill, ground, ids, store.refresh_tokens, codes, tokens)


async def _fill(
    tx: Transaction, ground: Ground, client_ids: list[ClientId], derive: RefreshTokens, codes: int, tokens: int
) -> tuple[list[FreshCode], list[FreshToken]]:
    fresh_codes = [await _add_code(tx, ground, client_ids[n % len(client_ids)]) for n in range(codes)]
    fresh_tokens = [await _add_family(tx, ground, client_ids[n % len(client_ids)], derive) for n in range(tokens)]
    return fresh_codes, fresh_tokens


async def _add_grant(tx: Transaction, ground: Ground, client_id: ClientId) -> Grant:
    grant = Grant(
        project_id=ground.project.project_id,
        grant_id=GrantId(new_id("grt")),
        user_id=ground.user.user_id,
        client_id=client_id,
        resource_id=ground.resource.resource_id,
        scope=("tools:read",),
        redirect_uri=LOOPBACK,
        created_at=now_ms(),
    )
    await add_grant(tx, grant)
    return grant


async def _add_code(tx: Transaction, ground: Ground, client_id: ClientId) -> FreshCode:
    grant = await _add_grant(tx, ground, client_id)
    fresh = FreshCode(client_id, new_secret(CODE), secrets.token_urlsafe(48))
    code = Code(
        project_id=grant.project_id,
        code_hash=hash_secret(fresh.code),
        grant_id=grant.grant_id,
        client_id=client_id,
        redirect_uri=LOOPBACK,
        redirect_uri_sent=True,
        code_challenge=build_challenge(fresh.verifier),
        expires_at=now_ms() + DAY_MS,
    )
    await add_code(tx, code)
    return fresh


async def _add_family(tx: Transaction, ground: Ground, client_id: ClientId, derive: RefreshTokens) -> FreshToken:
    grant = await _add_grant(tx, ground, client_id)
    now = now_ms()
    family = RefreshFamily(
        project_id=grant.project_id,
        family_id=new_family_id(),
        grant_id=grant.grant_id,
        client_id=client_id,
        salt=new_salt(),
        policy="until_used",
        generation=0,
        rotated_at=now,
        previous_rotated_at=now,
        idle_expires_at=now + 30 * DAY_MS,
        absolute_expires_at=now + 90 * DAY_MS,
    )
    await start_family(tx, family)
    return FreshToken(client_id, derive.derive(family.family_id, family.salt, 0))
