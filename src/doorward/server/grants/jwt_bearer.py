"""The jwt-bearer grant: an issuer that the project trusts says for whom a token is, and the operator how far that goes.

For a person it speaks beside a client, which proves itself as it always does (`id_jag`); for a workload it speaks
alone, and there is no client (`workload`). Which of the two an assertion is, its type says and nothing else.

Spec: RFC 7523 §2.1, §3 (JAG-02, JAG-04, JAG-06, JAG-17, WIF-01, WIF-07; T25, T32, T33)
"""

from functools import partial

from anyio import to_thread

from doorward.asgi import Request
from doorward.core.limits import ASSERTION_SOURCE
from doorward.core.models import JWT_BEARER, Authorization, Client, Refused
from doorward.core.passwords import hash_of_nobody
from doorward.oauth.forms import Form
from doorward.oauth.grant_assertions import read_assertion
from doorward.oauth.jwt import InvalidToken
from doorward.server.client_auth import authenticate_client
from doorward.server.context import Context
from doorward.server.limiter import check_limit, source_of, spend_limit
from doorward.server.signed_assertions import verify_assertion
from doorward.server.tenancy import ProjectView
from doorward.server.vouched_clients import resolve_vouched_client
from doorward.storage.database import Transaction

from . import id_jag, workload
from .asserted import AssertionRequest, refuse_assertion
from .call import Call, TokenCall

GRANT_TYPE = JWT_BEARER


async def identify(
    context: Context, view: ProjectView, request: Request, form: Form
) -> tuple[Client | None, AssertionRequest]:
    """Who calls: the client that presents an ID-JAG, authenticated; nobody but the assertion for a workload.

    What no trusted issuer signed counts against its source and is a step in the timeline, and nothing else.
    """
    assertion, source = form.require("assertion"), source_of(context, request)
    project_id = view.project.project_id
    await check_limit(context, project_id, ASSERTION_SOURCE, source, request.now)
    try:
        return await _identify(context, view, request, form, assertion)
    except InvalidToken as refused:
        await spend_limit(context, project_id, ASSERTION_SOURCE, source, request.now)
        raise refuse_assertion(str(refused)) from None


async def _identify(
    context: Context, view: ProjectView, request: Request, form: Form, assertion: str
) -> tuple[Client | None, AssertionRequest]:
    is_identity = read_assertion(assertion).kind == "id-jag"
    client = None
    if is_identity or _brings_credentials(request, form):
        resolve = partial(resolve_vouched_client, assertion=assertion)
        client = await authenticate_client(context, view, request, form, resolve=resolve)
        if not is_identity:
            raise InvalidToken("a client presents it, and it is no ID-JAG")
    signed = await verify_assertion(context, view, assertion)
    if client is None:
        request.learn(client_id=signed.trusts[0].trust_id)
    makes_people = any(trust.policy.create_people for trust in signed.trusts)
    password_hash = await to_thread.run_sync(hash_of_nobody) if makes_people else ""
    is_authenticated = client is not None and (client.secret_hash is not None or "client_assertion" in form)
    return client, AssertionRequest(signed, form.get("scope"), form.resources, is_authenticated, password_hash)


async def authorize(tx: Transaction, call: Call, request: AssertionRequest) -> Authorization | Refused:
    """Judge the assertion by what its issuer is trusted with, then spend it."""
    if isinstance(call, TokenCall):
        return await id_jag.authorize(tx, call, request)
    return await workload.authorize(tx, call, request)


def _brings_credentials(request: Request, form: Form) -> bool:
    """Whether a client wants to be authenticated.

    A bare client_id is what some libraries cannot leave out: it proves nothing, so a workload may send it along.
    """
    is_basic = request.header("authorization").lower().startswith("basic")
    return is_basic or "client_secret" in form or "client_assertion" in form
