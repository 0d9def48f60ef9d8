"""A client manages its own registration: read, replace, delete.

A sealed id carries its metadata, so it can be read and deleted, and a change means registering again: the answer
says so. A stored registration is replaced as a whole, and its token changes with each change.

Spec: RFC 7592 (DCM-01 … DCM-08)
"""

import hmac
from collections.abc import Callable
from typing import Any

from doorward.asgi import Request, Response, json_response
from doorward.core import audit
from doorward.core.limits import REGISTER_PROJECT, REGISTER_SOURCE
from doorward.core.models import AuditEvent, Client
from doorward.core.policy import changed_members
from doorward.core.secrets import CLIENT_SECRET, REGISTRATION_TOKEN, hash_secret, new_secret
from doorward.oauth.bearer import parse_bearer
from doorward.oauth.errors import (
    ACCESS_DENIED,
    INVALID_CLIENT_METADATA,
    UNAPPROVED_SOFTWARE_STATEMENT,
    OAuthError,
    invalid_request,
)
from doorward.oauth.forms import parse_json_object
from doorward.oauth.metadata import ClientMetadata
from doorward.storage.audit import record
from doorward.storage.clients import (
    remove_client,
    rotate_client_secret,
    rotate_registration_token,
    update_client_metadata,
)
from doorward.storage.database import Transaction
from doorward.storage.registrations import bury_client

from .clients import resolve_client
from .context import Context
from .limiter import source_of, spend_limit
from .redirect_rules import check_redirects
from .registration import build_registration, parse_registration, registration_token, unauthorized
from .software import apply_software_statement
from .tenancy import ProjectView

PATH = "/api/oauth/register/"
SECRET_OVERLAP_MS = 86_400_000
RENEW_BEFORE_MS = 30 * 86_400_000
_NOT_IN_UPDATE = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


async def answer_read(context: Context, view: ProjectView, request: Request) -> Response:
    """The registration as it is. Spec: DCM-02"""
    client, token = await _authenticate(context, view, request)
    return json_response(_describe(view, client, token))


async def answer_update(context: Context, view: ProjectView, request: Request) -> Response:
    """Replace the registration, as a whole or not at all: one bad redirect URI and the working one stays.

    A secret near its end is renewed, the old one working a day longer. Spec: DCM-03
    """
    client, _ = await _authenticate(context, view, request)
    members = parse_json_object(await request.body(), request.header("content-type"))
    _check_update(client, members)
    members, verified_by = await apply_software_statement(context, view, members, now=request.now)
    if verified_by != client.verified_by:
        raise OAuthError(UNAPPROVED_SOFTWARE_STATEMENT, "A change needs a statement of the issuer that vouched before.")
    metadata = parse_registration(view, members)
    if client.kind == "sealed":
        raise OAuthError(
            INVALID_CLIENT_METADATA,
            "This client_id carries its own metadata and cannot change; register again instead.",
            status=403,
        )
    if metadata.token_endpoint_auth_method != client.metadata.token_endpoint_auth_method:
        raise OAuthError(INVALID_CLIENT_METADATA, "token_endpoint_auth_method cannot change; register again instead.")
    if not client.is_verified:
        check_redirects(view, metadata, held=client.metadata.redirect_uris)
    waits = view.project.settings.registration_mode == "approval" and not client.is_verified
    kept = client.metadata if waits and changed_members(client.metadata, metadata) else metadata
    proposed = metadata if kept is not metadata else None
    token = new_secret(REGISTRATION_TOKEN)
    secret = new_secret(CLIENT_SECRET) if _needs_renewal(client, request.now) else None
    life_ms = view.project.settings.client_secret_seconds * 1000
    expires_at = (request.now + life_ms if life_ms else None) if secret else client.secret_expires_at
    if not await context.database.write(_update, client, (kept, proposed), token, (secret, expires_at), request.now):
        raise unauthorized("The registration was changed meanwhile.", presented=True)
    answer = build_registration(
        view,
        client.client_id,
        kept,
        issued_at=client.created_at,
        registration_token=token,
        secret=secret,
        secret_expires_at=expires_at,
    )
    return json_response(answer)


async def answer_delete(context: Context, view: ProjectView, request: Request) -> Response:
    """Remove the registration with its grants; its token is void afterwards. Spec: DCM-05"""
    client, _ = await _authenticate(context, view, request)
    if client.kind == "sealed":
        source = source_of(context, request)
        await spend_limit(context, view.project.project_id, REGISTER_SOURCE, source, request.now)
        await spend_limit(context, view.project.project_id, REGISTER_PROJECT, "all", request.now)
    await context.database.write(_delete, client, context.clock)
    return Response(204, b"", [("cache-control", "no-store"), ("pragma", "no-cache")])


async def _authenticate(context: Context, view: ProjectView, request: Request) -> tuple[Client, str]:
    """The client of the address, managed by the token of the request.

    An unknown client and a wrong token are the same 401, so that nobody learns which ids exist.

    Spec: DCM-01, DCM-06
    """
    token = parse_bearer(request.headers("authorization"))
    if token is None:
        raise unauthorized("Send the registration access token as a bearer token.", presented=False)
    client = await resolve_client(context, view, request.path.removeprefix(PATH))
    if client is not None:
        if client.registration_token_hash is not None:
            right = hmac.compare_digest(hash_secret(token), client.registration_token_hash)
        else:
            derived = registration_token(context, client.client_id)
            right = client.kind == "sealed" and hmac.compare_digest(derived, token)
        if right:
            if client.status != "active" and request.method != "GET":
                raise OAuthError(
                    ACCESS_DENIED, "An administrator has not let this client in, or suspended it.", status=403
                )
            return client, token
    raise unauthorized("The registration access token is not valid for this client.", presented=True)


def _describe(view: ProjectView, client: Client, token: str) -> dict[str, Any]:
    """The registration without its secret, which is told once."""
    return build_registration(
        view, client.client_id, client.metadata, issued_at=client.created_at, registration_token=token
    )


def _check_update(client: Client, members: dict[str, Any]) -> None:
    if members.get("client_id") != client.client_id:
        raise invalid_request("The body must hold the current client_id.")
    if found := [name for name in _NOT_IN_UPDATE if name in members]:
        raise invalid_request(f"The body must not hold {', '.join(found)}.")
    secret = members.get("client_secret")
    if secret is None:
        return
    if not isinstance(secret, str) or client.secret_hash is None:
        raise invalid_request("The client_secret is not the current one.")
    if not hmac.compare_digest(hash_secret(secret), client.secret_hash):
        raise invalid_request("The client_secret is not the current one.")


def _needs_renewal(client: Client, now: int) -> bool:
    return client.secret_expires_at is not None and client.secret_expires_at - now < RENEW_BEFORE_MS


async def _update(
    tx: Transaction,
    client: Client,
    change: tuple[ClientMetadata, ClientMetadata | None],
    token: str,
    renewal: tuple[str | None, int | None],
    now: int,
) -> bool:
    """Replace metadata and token, and the secret when it is renewed; False when another request was first."""
    if not await rotate_registration_token(tx, client, hash_secret(token)):
        return False
    (metadata, proposed), (secret, expires_at) = change, renewal
    await update_client_metadata(tx, client, metadata, proposed=proposed, fresh_until=client.fresh_until)
    if secret is not None:
        overlap = now + SECRET_OVERLAP_MS
        await rotate_client_secret(tx, client, hash_secret(secret), expires_at=expires_at, overlap_until=overlap)
    actor = audit.client_actor(client.client_id)
    event = AuditEvent(audit.CLIENT_CHANGED, actor, actor, {"renewed": bool(secret), "waits": bool(proposed)})
    await record(tx, client.project_id, event, now)
    return True


async def _delete(tx: Transaction, client: Client, clock: Callable[[], int]) -> None:
    now = clock()  # inside: no token that was issued before is dated later than what ends it
    await remove_client(tx, client.project_id, client.client_id, now)
    await bury_client(tx, client.project_id, client.client_id, "deleted", now)
    actor = audit.client_actor(client.client_id)
    await record(tx, client.project_id, AuditEvent(audit.CLIENT_REMOVED, actor, actor), now)
