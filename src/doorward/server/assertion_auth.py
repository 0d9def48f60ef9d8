"""private_key_jwt: a client proves itself with an assertion signed by a key that it published.

Keys come from the client's stored metadata or its jwks_uri, fetched by the same guard as documents. The assertion's
id is claimed durably, so that one assertion authenticates once, on any node and after any restart.

Spec: RFC 7523 §2.2, §3; rfc7523bis (CAU-07 … CAU-12, CIMD-20, T32)
"""

from doorward.asgi import Request
from doorward.core.known_clients import find_known_by_document
from doorward.core.limits import CLIENT_AUTH
from doorward.core.models import Client
from doorward.core.secrets import hash_secret
from doorward.oauth.assertions import ASSERTION_TYPE, read_assertion_subject, verify_client_assertion
from doorward.oauth.errors import INVALID_CLIENT, OAuthError
from doorward.oauth.forms import Form
from doorward.oauth.jwt import InvalidToken
from doorward.storage.spent_ids import claim_id

from .clients import MAX_CLIENT_ID_LENGTH, Resolve
from .context import Context
from .documents import PRIVATE_KEY_JWT
from .limiter import check_limit, source_of, spend_limit
from .published_keys import find_published_keys
from .tenancy import ProjectView


async def authenticate_by_assertion(
    context: Context, view: ProjectView, request: Request, form: Form, *, resolve: Resolve
) -> Client:
    """The client that an assertion authenticates. Raises `invalid_client`, and 503 when its keys cannot be had."""
    subject = f"assertion@{source_of(context, request)}"
    await check_limit(context, view.project.project_id, CLIENT_AUTH, subject, request.now)
    try:
        return await _authenticate(context, view, request, form, resolve)
    except InvalidToken as refused:
        await spend_limit(context, view.project.project_id, CLIENT_AUTH, subject, request.now)
        raise OAuthError(INVALID_CLIENT, f"The client assertion was refused: {refused}.", status=401) from None


async def _authenticate(context: Context, view: ProjectView, request: Request, form: Form, resolve: Resolve) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise InvalidToken("client_assertion_type is not jwt-bearer")
    if "client_secret" in form or request.header("authorization").lower().startswith("basic"):
        raise InvalidToken("authenticate by one method only")
    assertion = form.get("client_assertion", "")
    client_id, kid = read_assertion_subject(assertion)
    request.learn(client_id=client_id[:MAX_CLIENT_ID_LENGTH])
    if form.get("client_id", client_id) != client_id:
        raise InvalidToken("client_id differs from the assertion's subject")
    client = await resolve(context, view, client_id)
    if client is None or PRIVATE_KEY_JWT not in client.metadata.accepted_methods:
        raise InvalidToken("the client is not known here or has no published keys")
    keys = await find_published_keys(context, client.metadata.jwks, client.metadata.jwks_uri, kid)
    known = find_known_by_document(client_id)
    accepted = {view.issuer}
    if known is not None and known.sends_token_endpoint_audience:
        accepted.add(f"{view.issuer}/api/oauth/token")
    verified = verify_client_assertion(assertion, keys, accepts_audience=accepted.__contains__, now=request.now // 1000)
    jti_hash, expires_at = hash_secret(verified.jti), (verified.expires_at + 60) * 1000
    space = f"client:{client.client_id}"
    if not await context.database.write(claim_id, client.project_id, space, jti_hash, expires_at):
        raise InvalidToken("it was used before")
    return client
