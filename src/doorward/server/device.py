"""The device authorization endpoint: a program without a browser gets a code for a person to enter elsewhere.

It is where a client may come first, as the authorization endpoint is: its metadata document is fetched, and what the
project says of clients holds. Nobody is asked here; what waits is bounded by source, client and project.

Spec: RFC 8628 §3.1, §3.2 (DEV-01, DEV-02, DEV-04); CAU-01; RFC 9449 §10; T39, T42
"""

from typing import Any

from doorward.asgi import Request, Response, json_response
from doorward.core.limits import DEVICE_CLIENT, DEVICE_PROJECT, DEVICE_SOURCE
from doorward.core.models import DEVICE_CODE as DEVICE_GRANT
from doorward.core.models import Client, DeviceCode, Refused
from doorward.core.policy import asked_alias, select_resource, select_scopes
from doorward.core.secrets import DEVICE_CODE, hash_secret, new_secret
from doorward.core.user_codes import format_user_code, hash_user_code, new_user_code
from doorward.oauth.dpop import DpopProof
from doorward.oauth.errors import (
    ACCESS_DENIED,
    TEMPORARILY_UNAVAILABLE,
    UNAUTHORIZED_CLIENT,
    OAuthError,
)
from doorward.oauth.forms import parse_form
from doorward.storage.database import Transaction
from doorward.storage.device_codes import add_device_code
from doorward.storage.throttles import spend

from .admission import check_device_client
from .client_auth import authenticate_client, discover_from
from .context import Context
from .limiter import source_of
from .page_error import PageError
from .proof import give_nonce, read_proof, spend_proof
from .tenancy import ProjectView
from .too_many import TooManyRequests

CODE_LIFE_MS = 600_000
INTERVAL_MS = 5_000
MAX_AGENT_LENGTH = 200


async def answer_device_authorization(context: Context, view: ProjectView, request: Request) -> Response:
    """Store a device that waits, and answer with what it asks and what it shows."""
    form = parse_form(await request.body(), request.header("content-type"))
    if DEVICE_GRANT not in view.grant_types:
        raise OAuthError(ACCESS_DENIED, "Signing in by a code on another device is not offered here.", status=403)
    source = source_of(context, request)
    client = await authenticate_client(context, view, request, form, resolve=discover_from(source))
    _check_client(view, client)
    proof = read_proof(context, view, request)
    resource = select_resource(form.resources, view.resources)
    if resource.stopped_at is not None or view.project.stopped_at is not None:
        raise _unavailable("An administrator has stopped this server for now.")
    scope, _ = select_scopes(form.get("scope"), resource, client)
    device_code, user_code = new_secret(DEVICE_CODE), new_user_code()
    waiting = DeviceCode(
        project_id=view.project.project_id,
        device_hash=hash_secret(device_code),
        user_code_hash=hash_user_code(context.form_key, view.project.project_id, user_code),
        client_id=client.client_id,
        resource_id=resource.resource_id,
        scope=scope,
        source=source,
        agent=request.header("user-agent")[:MAX_AGENT_LENGTH],
        created_at=request.now,
        expires_at=request.now + CODE_LIFE_MS,
        interval_ms=INTERVAL_MS,
        alias=asked_alias(form.resources, resource),
        dpop_jkt=proof.jkt if proof is not None else None,
    )
    request.learn(flow=waiting.flow)
    refused = await context.database.write(_store, waiting, proof)
    if refused is not None:
        raise refused.error
    response = json_response(_describe(view, device_code, format_user_code(user_code)))
    if proof is not None:
        give_nonce(context, view, response, now=request.now)
    return response


def _describe(view: ProjectView, device_code: str, user_code: str) -> dict[str, Any]:
    """The answer to a device. Spec: RFC 8628 §3.2 (DEV-02)"""
    page = f"{view.issuer}/device"
    return {
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={user_code}",
        "expires_in": CODE_LIFE_MS // 1000,
        "interval": INTERVAL_MS // 1000,
    }


def _check_client(view: ProjectView, client: Client) -> None:
    """Refuse a client that cannot be let in, before a person types a code for nothing."""
    try:
        check_device_client(view, client)
    except PageError as error:
        raise OAuthError(UNAUTHORIZED_CLIENT, f"{error.heading}. {error.message}") from None
    if DEVICE_GRANT not in client.metadata.grant_types:
        raise OAuthError(UNAUTHORIZED_CLIENT, "The client is not registered for the device grant.")


async def _store(tx: Transaction, waiting: DeviceCode, proof: DpopProof | None) -> Refused | None:
    """Store the device within the limits, and spend the proof that it is bound to the key of."""
    for limit, subject in (
        (DEVICE_SOURCE, waiting.source),
        (DEVICE_CLIENT, waiting.client_id[:128]),
        (DEVICE_PROJECT, ""),
    ):
        if wait := await spend(tx, waiting.project_id, limit, subject, waiting.created_at):
            return Refused(TooManyRequests(wait))
    if proof is not None and (spent := await spend_proof(tx, waiting.project_id, proof)):
        return spent
    if not await add_device_code(tx, waiting):
        return Refused(_unavailable("No code could be given out."))  # the one drawn is in use: once in ten million
    return None


def _unavailable(reason: str) -> OAuthError:
    return OAuthError(TEMPORARILY_UNAVAILABLE, reason, status=503, headers={"retry-after": "10"})
