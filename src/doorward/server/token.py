"""The token endpoint: one pipeline for every grant.

Parse once → authenticate the client → look the grant up → one transaction in which it decides, spends and is
audited → commit → sign → answer. A refusal inside the transaction is a value, so that what it recorded is kept. Where
an issuer speaks for the caller, the grant says who calls, and all else is the same.

Spec: OAuth 2.1 §3.2 (TOK-01 … TOK-11)
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from doorward.asgi import Request, Response, json_response
from doorward.core.models import REFRESH_TOKEN, Authorization, Client, Refused
from doorward.core.policy import check_authorization_details
from doorward.oauth.errors import INVALID_DPOP_PROOF, UNAUTHORIZED_CLIENT, UNSUPPORTED_GRANT_TYPE, OAuthError
from doorward.oauth.forms import Form, parse_form
from doorward.storage.database import Transaction

from .client_auth import authenticate_client
from .context import Context
from .grants import ASSERTED_GRANTS, GRANTS, RESOLVERS, AssertedGrantType
from .grants.call import Call, TokenCall
from .issue import Decided, decide_tokens, issue_tokens
from .limiter import source_of
from .proof import give_nonce, read_proof, spend_proof
from .tenancy import ProjectView

MAX_AGENT_LENGTH = 200
C = TypeVar("C", bound=Call)
Authorize = Callable[[Transaction, C, Any], Awaitable[Authorization | Refused]]


async def answer_token(context: Context, view: ProjectView, request: Request) -> Response:
    """Turn a grant into tokens."""
    form = parse_form(await request.body(), request.header("content-type"))
    grant_type = form.require("grant_type")
    request.learn(step="refresh" if grant_type == REFRESH_TOKEN else None)
    asserted = ASSERTED_GRANTS.get(grant_type) if grant_type in view.grant_types else None
    if asserted is not None:
        return await _answer_asserted(context, view, request, form, asserted)
    client = await authenticate_client(context, view, request, form)
    _check_active(client)
    grant = GRANTS.get(grant_type)
    if grant is None or grant_type not in view.grant_types:
        raise OAuthError(UNSUPPORTED_GRANT_TYPE, f"Supported: {', '.join(view.grant_types)}.")
    _check_registered(client, grant_type)
    call = _read_token_call(context, view, request, client)
    check_authorization_details(form)
    parameters = grant.parse(form)
    if (resolve := RESOLVERS.get(grant_type)) is not None:
        parameters = await resolve(context, call, parameters)
    return await complete(context, request, call, grant.authorize, parameters)


async def _answer_asserted(
    context: Context, view: ProjectView, request: Request, form: Form, grant: AssertedGrantType
) -> Response:
    """The first half of the pipeline where an issuer speaks for the caller, who may be no client at all."""
    client, parameters = await grant.identify(context, view, request, form)
    check_authorization_details(form)
    if client is None:
        workload = Call(**_read_call(context, view, request))
        return await complete(context, request, workload, grant.authorize, parameters)
    _check_active(client)
    _check_registered(client, grant.GRANT_TYPE)
    call = _read_token_call(context, view, request, client)
    return await complete(context, request, call, grant.authorize, parameters)


async def complete(context: Context, request: Request, call: C, authorize: Authorize[C], parameters: Any) -> Response:
    """The second half of the pipeline: decide and record in one transaction, commit, then sign and answer.

    What a refusal recorded is committed before it is raised.
    """
    outcome = await context.database.write(_decide, call, authorize, parameters)
    if isinstance(outcome, Refused):
        request.learn(grant_id=outcome.grant_id)
        raise outcome.error
    request.learn(grant_id=outcome.authorization.grant_id, user_id=outcome.user_id)
    response = json_response(issue_tokens(call.view, outcome, context.refresh_tokens))
    if call.proof is not None:
        give_nonce(context, call.view, response, now=call.now)
    return response


def _check_active(client: Client) -> None:
    if client.status != "active":
        raise OAuthError(UNAUTHORIZED_CLIENT, "An administrator has not let this client in, or has suspended it.")


def _check_registered(client: Client, grant_type: str) -> None:
    if grant_type not in client.metadata.grant_types:
        raise OAuthError(UNAUTHORIZED_CLIENT, "The client is not registered for this grant type.")


def _read_token_call(context: Context, view: ProjectView, request: Request, client: Client) -> TokenCall:
    call = TokenCall(client=client, **_read_call(context, view, request))
    if call.proof is None and client.metadata.dpop_bound_access_tokens:
        raise OAuthError(INVALID_DPOP_PROOF, "The client registered for tokens that are bound to a key: send a proof.")
    return call


def _read_call(context: Context, view: ProjectView, request: Request) -> dict[str, Any]:
    """What a call is, whoever makes it."""
    return {
        "view": view,
        "refresh_tokens": context.refresh_tokens,
        "source": source_of(context, request),
        "agent": request.header("user-agent")[:MAX_AGENT_LENGTH],
        "now": request.now,
        "proof": read_proof(context, view, request),
    }


async def _decide(tx: Transaction, call: C, authorize: Authorize[C], parameters: Any) -> Decided | Refused:
    if call.proof is not None and (spent := await spend_proof(tx, call.view.project.project_id, call.proof)):
        return spent
    outcome = await authorize(tx, call, parameters)
    if isinstance(outcome, Refused):
        return outcome
    return await decide_tokens(tx, call.view, outcome, jkt=call.jkt, now=call.now)
