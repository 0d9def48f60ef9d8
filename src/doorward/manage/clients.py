"""Clients that an operator adds, and the ones that registered themselves."""

from dataclasses import replace
from typing import Any

from doorward.core import audit
from doorward.core.known_clients import known_clients
from doorward.core.models import AUTHORIZATION_CODE, CONFIDENTIAL_GRANTS, GRANT_TYPES, AuditEvent, Client, Project
from doorward.core.secrets import CLIENT_SECRET, hash_secret, new_id, new_secret
from doorward.oauth.client_documents import parse_client_keys
from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import ClientId, TokenHash
from doorward.oauth.jwt import parse_jwks
from doorward.oauth.metadata import ClientMetadata, parse_client_metadata
from doorward.oauth.scopes import parse_scope
from doorward.storage.audit import record
from doorward.storage.clients import (
    add_client,
    find_client,
    list_clients,
    remove_client,
    rotate_client_secret,
    update_client_metadata,
)
from doorward.storage.database import Transaction
from doorward.storage.registrations import bury_client

from .operator import ActionRefused, Conflict, NotFound, Operator


async def add(
    operator: Operator,
    project: Project,
    redirect_uris: tuple[str, ...],
    *,
    name: str = "",
    confidential: bool = False,
    scope: str = "",
    grants: tuple[str, ...] = (),
    keys: dict[str, Any] | None = None,
) -> tuple[Client, str | None]:
    """Add a client and, for one that proves itself by a secret, the secret that is shown this once.

    `keys` are its `jwks` or `jwks_uri`, and prove it instead. One that speaks for itself or exchanges tokens is
    confidential without being called so. The same rules hold as for clients that register themselves.

    Raises `ActionRefused`. Spec: PRE-01 … PRE-03; CC-01, CC-03; CIMD-18
    """
    grant_types = [parse_grant(grant) for grant in grants]
    if redirect_uris and grant_types and AUTHORIZATION_CODE not in grant_types:
        raise ActionRefused(f"Only {AUTHORIZATION_CODE} sends anything to a redirect URI: name that grant, too.")
    has_secret = not keys and (confidential or bool(CONFIDENTIAL_GRANTS & set(grant_types)))
    members: dict[str, Any] = {
        "redirect_uris": list(redirect_uris),
        "client_name": name,
        "scope": scope,
        "grant_types": grant_types,
        "token_endpoint_auth_method": "client_secret_basic" if has_secret else "none",
    }
    try:
        metadata = parse_client_metadata(members, supported_grants=GRANT_TYPES)
        metadata = _with_keys(metadata, keys) if keys else metadata
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    secret = new_secret(CLIENT_SECRET) if has_secret else None
    now = operator.clock()
    client = Client(
        project_id=project.project_id,
        client_id=ClientId(new_id("mcl")),
        kind="manual",
        metadata=metadata,
        secret_hash=hash_secret(secret) if secret else None,
        created_at=now,
        activated_at=None,
        last_used_at=None,
        expires_at=None,
    )
    await operator.database.write(_add, client, operator.actor, now)
    return client, secret


def parse_grant(name: str) -> str:
    """A grant type by its name, or by the last word of it. Raises `ActionRefused`."""
    known = {grant.rpartition(":")[2]: grant for grant in GRANT_TYPES}
    if name not in GRANT_TYPES and name not in known:
        raise ActionRefused(f"There is no grant {name}. Known: {', '.join(known)}.")
    return known.get(name, name)


async def list_all(operator: Operator, project: Project) -> list[Client]:
    """The newest clients of a project."""
    return await operator.database.read(list_clients, project.project_id)


async def list_page(
    operator: Operator, project: Project, *, at_most: int, after: tuple[int, str] | None = None
) -> list[Client]:
    """The clients of a project, newest first, so many at once; `after` the creation and id of the last one seen."""
    return await operator.database.read(list_clients, project.project_id, at_most=at_most, after=after)


async def get(operator: Operator, project: Project, client_id: str) -> Client:
    """A client by id. Raises `ActionRefused`."""
    client = await operator.database.read(find_client, project.project_id, client_id)
    if client is None:
        raise NotFound(f"There is no client {client_id}.")
    return client


def template(key: str) -> tuple[str, tuple[str, ...]]:
    """(name, redirect URIs) of a known client, to add it by hand. Raises `ActionRefused`."""
    for known in known_clients():
        if known.key == key:
            return known.name, known.redirect_uris
    raise ActionRefused(f"Known: {', '.join(known.key for known in known_clients())}.")


async def change_scope(operator: Operator, client: Client, scope: str) -> Client:
    """Set the most a client may ask for; existing grants keep what they have. Raises `ActionRefused`."""
    if client.kind != "manual":
        raise ActionRefused(
            "What registered itself is bounded by what people allow it; add the client by hand instead."
        )
    try:
        metadata = client.metadata.with_scope(parse_scope(scope))
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    await operator.database.write(_change_scope, client, metadata, operator.actor, operator.clock())
    return replace(client, metadata=metadata)


async def rotate_secret(
    operator: Operator, project: Project, client: Client, *, overlap_ms: int
) -> tuple[str, int | None]:
    """(a new secret, shown this once; when it expires, or None); the old one works a while longer.

    The secret of a client that registered itself lives as long as the project gives such secrets, that of an
    operator's own client for ever. Raises `ActionRefused`.
    """
    if client.secret_hash is None:
        raise ActionRefused("This client has no secret.")
    secret, now = new_secret(CLIENT_SECRET), operator.clock()
    life_ms = project.settings.client_secret_seconds * 1000 if client.kind == "registered" else 0
    expires_at = now + life_ms if life_ms else None
    done = await operator.database.write(
        _rotate_secret, client, hash_secret(secret), (expires_at, now + overlap_ms), operator.actor, now
    )
    if not done:
        raise Conflict("The secret was rotated by somebody else at the same moment.")
    return secret, expires_at


async def remove(operator: Operator, client: Client) -> None:
    """Remove a client; every grant it holds ends."""
    await operator.database.write(_remove, client, operator)


def describe(client: Client) -> dict[str, Any]:
    """A client as operators see it; never its secret."""
    return {
        "client_id": client.client_id,
        "kind": client.kind,
        "status": client.status,
        "confidential": not client.is_public,
        "created_at": client.created_at,
        "last_used_at": client.last_used_at,
        **client.metadata.document(),
    }


def _with_keys(metadata: ClientMetadata, keys: dict[str, Any]) -> ClientMetadata:
    """The client, proven by its own keys and nothing else."""
    jwks, jwks_uri = parse_client_keys(keys)
    if jwks is not None and not parse_jwks(jwks):
        raise ActionRefused("The key set holds no public key that can verify a signature.")
    return replace(metadata, token_endpoint_auth_method="private_key_jwt", jwks=jwks, jwks_uri=jwks_uri)


async def _add(tx: Transaction, client: Client, actor: str, now: int) -> None:
    await add_client(tx, client)
    event = AuditEvent(audit.CLIENT_ADDED, actor, client.client_id, {"name": client.metadata.client_name})
    await record(tx, client.project_id, event, now)


async def _change_scope(tx: Transaction, client: Client, metadata: ClientMetadata, actor: str, now: int) -> None:
    await update_client_metadata(tx, client, metadata)
    event = AuditEvent(
        audit.CLIENT_CHANGED, actor, audit.client_actor(client.client_id), {"scope": " ".join(metadata.scope)}
    )
    await record(tx, client.project_id, event, now)


async def _rotate_secret(
    tx: Transaction, client: Client, secret_hash: TokenHash, until: tuple[int | None, int], actor: str, now: int
) -> bool:
    expires_at, overlap_until = until
    if not await rotate_client_secret(tx, client, secret_hash, expires_at=expires_at, overlap_until=overlap_until):
        return False
    event = AuditEvent(audit.CLIENT_SECRET_ROTATED, actor, audit.client_actor(client.client_id))
    await record(tx, client.project_id, event, now)
    return True


async def _remove(tx: Transaction, client: Client, operator: Operator) -> None:
    now = operator.clock()  # inside: no token that was issued before is dated later than what ends it
    if await remove_client(tx, client.project_id, client.client_id, now):
        await bury_client(tx, client.project_id, client.client_id, "removed", now)
        event = AuditEvent(
            audit.CLIENT_REMOVED, operator.actor, client.client_id, {"name": client.metadata.client_name}
        )
        await record(tx, client.project_id, event, now)
