"""Clients that nobody here let in, and that an issuer of the project's vouches for: known by their document alone.

A client of an enterprise never opens our authorization page, so the token endpoint may be where its document is needed
first. It is fetched there only once a trusted issuer has signed, for this server and for now, that this client may
come: a stranger makes us fetch nothing.

Spec: JAG-02; EMA §5; CIMD-05, CIMD-20 (T5)
"""

from doorward.core.models import Client
from doorward.oauth.client_documents import is_document_url
from doorward.oauth.errors import TEMPORARILY_UNAVAILABLE, OAuthError
from doorward.oauth.grant_assertions import check_identity_assertion
from doorward.oauth.jwt import InvalidToken

from .clients import DocumentRefused, UnknownClient, discover_client, resolve_client
from .context import Context
from .signed_assertions import verify_assertion
from .tenancy import ProjectView


async def resolve_vouched_client(
    context: Context, view: ProjectView, client_id: str, *, assertion: str
) -> Client | None:
    """The client with this id, its document read, or read again, when `assertion` vouches for it.

    Raises 503 when the document cannot be had now.
    """
    client = await resolve_client(context, view, client_id)
    now = context.clock()
    is_current = client is not None and (client.kind != "document" or now < (client.fresh_until or 0))
    if is_current or not is_document_url(client_id):
        return client
    try:
        signed = await verify_assertion(context, view, assertion)
        check_identity_assertion(signed.claims, issuer=view.issuer, client_id=client_id, now=now // 1000)
    except InvalidToken:
        return client
    is_named = any(client_id in trust.policy.clients for trust in signed.trusts)
    try:
        return await discover_client(context, view, client_id, source="", is_named=is_named)
    except UnknownClient:
        return None
    except DocumentRefused as refused:
        if refused.is_final:
            return None
        raise OAuthError(
            TEMPORARILY_UNAVAILABLE,
            f"The client's document could not be fetched. {refused}",
            status=503,
            headers={"retry-after": "10"},
        ) from None
