"""Client authentication, the same at every endpoint: nothing is looked up or spent before it.

Spec: OAuth 2.1 §2.4, §3.2.1 (CAU-01 … CAU-06, T25); clients.md no. 41
"""

import hmac
from base64 import b64decode
from dataclasses import dataclass
from urllib.parse import unquote_plus

from doorward.asgi import Request
from doorward.core.limits import CLIENT_AUTH, CLIENT_AUTH_SOURCE, CLIENT_UNKNOWN_SOURCE
from doorward.core.models import Client
from doorward.core.secrets import hash_secret
from doorward.oauth.bearer import parse_authorization
from doorward.oauth.errors import INVALID_CLIENT, TEMPORARILY_UNAVAILABLE, OAuthError, invalid_request
from doorward.oauth.forms import Form

from .assertion_auth import authenticate_by_assertion
from .clients import (
    MAX_CLIENT_ID_LENGTH,
    DocumentRefused,
    Resolve,
    UnknownClient,
    discover_client,
    resolve_client,
)
from .context import Context
from .limiter import check_limit, source_of, spend_limit
from .tenancy import ProjectView


@dataclass(frozen=True, slots=True)
class _Presented:
    """What a request says of the client.

    Each candidate is (client_id, secret or None): Basic credentials come form-encoded from some clients, raw from
    others.
    """

    method: str
    candidates: tuple[tuple[str, str | None], ...]


async def authenticate_client(
    context: Context, view: ProjectView, request: Request, form: Form, *, resolve: Resolve | None = None
) -> Client:
    """The client of a request, authenticated as it was registered. Raises `invalid_client` and `invalid_request`.

    `resolve` says which clients are known; without it nothing is fetched on behalf of one that is not.
    """
    resolve = resolve or resolve_client
    if "client_assertion" in form or "client_assertion_type" in form:
        return await authenticate_by_assertion(context, view, request, form, resolve=resolve)
    presented = _parse(request, form)
    request.learn(client_id=presented.candidates[0][0][:MAX_CLIENT_ID_LENGTH])
    subject = f"{presented.candidates[0][0][:128]}@{source_of(context, request)}"
    source = source_of(context, request)
    if presented.method != "none":  # without a secret there is nothing to guess
        await check_limit(context, view.project.project_id, CLIENT_AUTH, subject, request.now)
        await check_limit(context, view.project.project_id, CLIENT_AUTH_SOURCE, source, request.now)
    reason = "no client has this id"
    for client_id, secret in presented.candidates:
        client = await resolve(context, view, client_id)
        if client is not None:
            reason = _why_not(client, presented.method)
        if client is not None and _is_authentic(client, presented.method, secret, request.now):
            return client
    if presented.method == "none":
        await spend_limit(context, view.project.project_id, CLIENT_UNKNOWN_SOURCE, source, request.now)
    else:
        await spend_limit(context, view.project.project_id, CLIENT_AUTH_SOURCE, source, request.now)
        await spend_limit(context, view.project.project_id, CLIENT_AUTH, subject, request.now)
    raise _invalid_client(presented.method, reason)


def discover_from(source: str) -> Resolve:
    """Clients as the authorization endpoint knows them, for others that one known by a document may come to first."""

    async def discover(context: Context, view: ProjectView, client_id: str) -> Client | None:
        try:
            return await discover_client(context, view, client_id, source=source)
        except UnknownClient:
            return None
        except DocumentRefused as refused:
            if refused.is_final:
                raise OAuthError(INVALID_CLIENT, f"The client's document is refused. {refused}", status=401) from None
            raise OAuthError(
                TEMPORARILY_UNAVAILABLE,
                f"The client's document could not be fetched. {refused}",
                status=503,
                headers={"retry-after": "10"},
            ) from None

    return discover


def _parse(request: Request, form: Form) -> _Presented:
    body_id, body_secret = form.get("client_id"), form.get("client_secret")
    credentials = parse_authorization(request.headers("authorization"))
    if credentials is None or credentials[0] != "basic":
        if body_id is None:
            raise OAuthError(INVALID_CLIENT, "Identify the client with client_id or HTTP Basic.", status=401)
        return _Presented("client_secret_post" if body_secret else "none", ((body_id, body_secret),))
    candidates = _parse_basic(credentials[1])
    has_secret = any(secret for _, secret in candidates)
    if has_secret and body_secret:
        raise invalid_request("Authenticate the client by one method only.")
    if body_id is not None:
        candidates = tuple(candidate for candidate in candidates if candidate[0] == body_id)
        if not candidates:
            raise invalid_request("The client_id differs from the one in the Authorization header.")
    if not has_secret and body_secret:
        return _Presented("client_secret_post", tuple((client_id, body_secret) for client_id, _ in candidates))
    return _Presented("client_secret_basic" if has_secret else "none", candidates)


def _parse_basic(credentials: str) -> tuple[tuple[str, str | None], ...]:
    """The readings of Basic credentials: form-decoded as the RFC has it, then raw; a URL id ends at the last colon."""
    try:
        text = b64decode(credentials, validate=True).decode("utf-8")
    except ValueError:
        raise _invalid_client("client_secret_basic") from None
    client_id, separator, secret = text.rpartition(":") if text.startswith("https:") else text.partition(":")
    if not separator or "\x00" in text:
        raise _invalid_client("client_secret_basic")
    decoded = (unquote_plus(client_id), unquote_plus(secret) or None)
    raw = (client_id, secret or None)
    return (decoded,) if decoded == raw else (decoded, raw)


def _is_authentic(client: Client, method: str, secret: str | None, now: int) -> bool:
    """Whether the presented method is the registered one and the secret is right.

    For clients an operator added, the two ways to send a secret are one: nobody chose between them. Of a rotated
    secret the old one works as well, for a while.
    """
    if client.secret_hash is None:
        return method == "none" and client.is_public
    if secret is None or method == "none":
        return False
    if method not in client.metadata.accepted_methods and client.kind != "manual":
        return False
    presented = hash_secret(secret)
    if hmac.compare_digest(presented, client.secret_hash):
        return client.secret_expires_at is None or now < client.secret_expires_at
    previous, until = client.previous_secret_hash, client.previous_secret_expires_at
    return previous is not None and until is not None and now < until and hmac.compare_digest(presented, previous)


def _why_not(client: Client, method: str) -> str:
    """Why a known client is not authenticated, for the operator: the caller is told of all reasons alike."""
    registered = ", ".join(client.metadata.accepted_methods)
    if method == "none":
        return f"it sent no credentials, and is registered for {registered}"
    if client.secret_hash is None or (method not in client.metadata.accepted_methods and client.kind != "manual"):
        return f"it used {method}, and is registered for {registered}"
    return "the secret is wrong or has expired"


def _invalid_client(method: str, reason: str = "") -> OAuthError:
    """401; with the challenge of the scheme that was used. Spec: OAuth 2.1 §3.2.4 (TOK-06)"""
    headers = {"www-authenticate": 'Basic realm="Doorward"'} if method == "client_secret_basic" else {}
    return OAuthError(
        INVALID_CLIENT,
        "The client is not known here or did not authenticate as it was registered. Register again if it was removed.",
        status=401,
        headers=headers,
        reason=reason,
    )
