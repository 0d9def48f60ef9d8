"""Pushed authorization requests: a client hands its request over itself, and the browser carries only a name of it.

The name is a secret of ours, good for 90 seconds. The first browser that looks has the request to itself, for as long
as a person may take; one decision spends it, in the decision's own transaction, and reloading the page never does.
What was pushed is kept as it was sent and judged at every look by the function that judges a link.

Spec: RFC 9126 (PAR-01 … PAR-11); security defaults, PAR request_uri
"""

from urllib.parse import urlencode

from doorward.asgi import Request, Response, json_response
from doorward.core.interaction import INTERACTION_LIFE_MS
from doorward.core.limits import PUSH_CLIENT, PUSH_PROJECT, PUSH_SOURCE, Limit
from doorward.core.models import Client, PushedRequest, Refused
from doorward.core.secrets import PUSHED_REQUEST, hash_secret, is_well_formed, new_secret
from doorward.oauth.dpop import DpopProof
from doorward.oauth.errors import (
    INVALID_DPOP_PROOF,
    UNAUTHORIZED_CLIENT,
    OAuthError,
    invalid_request,
)
from doorward.oauth.forms import Form, parse_form
from doorward.oauth.ids import ClientId, TokenHash
from doorward.storage.database import Transaction
from doorward.storage.pushed_requests import add_pushed_request, bind_pushed_request, find_pushed_request
from doorward.storage.throttles import spend

from .authorization_request import MAX_REQUEST_LENGTH, PARAMETERS, find_redirect_uri, parse_request
from .client_auth import authenticate_client, discover_from
from .context import Context
from .limiter import source_of
from .page_error import request_over
from .proof import give_nonce, read_proof, spend_proof
from .tenancy import ProjectView
from .too_many import TooManyRequests
from .visitor import Visitor

PUSHED_LIFE_MS = 90_000
_NAME = "urn:ietf:params:oauth:request_uri:"


async def answer_push(context: Context, view: ProjectView, request: Request) -> Response:
    """Take a request in and name it. Everything that is wrong with it is said here, to the client, as JSON."""
    form = parse_form(await request.body(), request.header("content-type"))
    source = source_of(context, request)
    client = await authenticate_client(context, view, request, form, resolve=discover_from(source))
    if client.status == "suspended":
        raise OAuthError(UNAUTHORIZED_CLIENT, "An administrator has suspended this client.")
    if "request_uri" in form:
        raise invalid_request("A request that is pushed cannot name another.")
    secret = new_secret(PUSHED_REQUEST)
    proof = read_proof(context, view, request)
    pushed = _judge(view, client, form, hash_secret(secret), proof, request.now)
    refused = await context.database.write(_store, pushed, _limits(client, source), proof, request.now)
    if refused is not None:
        raise refused.error
    answer = {"request_uri": f"{_NAME}{secret}", "expires_in": PUSHED_LIFE_MS // 1000}
    response = json_response(answer, status=201)
    if proof is not None:
        give_nonce(context, view, response, now=request.now)
    return response


async def open_pushed_request(
    context: Context, view: ProjectView, client: Client, form: Form, visitor: Visitor
) -> PushedRequest:
    """The request that a link names, for the browser it belongs to: the first that looks. Raises `PageError`.

    A look without any mark of a browser takes nothing: some clients fetch the link before they open it, and the
    person would find the request to be of another browser (clients.md no. 31).
    """
    request_hash = _read_name(form)
    if request_hash is None:
        raise request_over("The request_uri is none that was made here.")
    project_id, client_id, now = view.project.project_id, client.client_id, visitor.now
    pushed = await context.database.read(find_pushed_request, project_id, request_hash, client_id, now)
    browser_hash = hash_secret(visitor.browser)
    if pushed is not None and pushed.browser_hash is None and visitor.is_browser:
        until = now + INTERACTION_LIFE_MS
        pushed = await context.database.write(
            bind_pushed_request, project_id, request_hash, client_id, browser_hash, now=now, until=until
        )
    if pushed is None:
        raise request_over("The request_uri is unknown, of another client or browser, expired, or was decided on.")
    if pushed.browser_hash not in (None, browser_hash):
        raise request_over("The request_uri belongs to the browser that opened it first.")
    return pushed


async def read_pushed_parameters(context: Context, view: ProjectView, form: Form, browser: str, *, now: int) -> Form:
    """The parameters behind a link, for the page where a person signs in on the way to it.

    Only the browser that has a request is told what is in it; what else the link says counts for nobody.
    """
    request_hash = _read_name(form)
    client_id = ClientId(form.get("client_id", ""))
    pushed = None
    if request_hash is not None:
        pushed = await context.database.read(find_pushed_request, view.project.project_id, request_hash, client_id, now)
    if pushed is None or pushed.browser_hash != hash_secret(browser):
        return Form({"client_id": client_id})
    return pushed_form(pushed)


def pushed_form(pushed: PushedRequest) -> Form:
    """What was pushed, as if it had come in the link."""
    bound = {} if pushed.dpop_jkt is None else {"dpop_jkt": pushed.dpop_jkt}
    return Form({**pushed.values, **bound, "client_id": pushed.client_id}, pushed.resources)


def _read_name(form: Form) -> TokenHash | None:
    """The request that `request_uri` names, if it can be one of ours. Nothing is ever fetched from it."""
    name = form.get("request_uri", "")
    secret = name.removeprefix(_NAME)
    if "request_uri" in form.repeated or secret == name or not is_well_formed(secret, PUSHED_REQUEST):
        return None
    return hash_secret(secret)


def _judge(
    view: ProjectView, client: Client, form: Form, request_hash: TokenHash, proof: DpopProof | None, now: int
) -> PushedRequest:
    """The request to store, once everything holds that is asked of one in a link. Spec: PAR-04, PAR-07, PAR-11"""
    redirect_uri = find_redirect_uri(client, form)
    asked, _ = parse_request(view, client, redirect_uri, form, pushed=request_hash.hex())
    if proof is not None and asked.dpop_jkt not in (None, proof.jkt):
        raise OAuthError(INVALID_DPOP_PROOF, "The dpop_jkt names another key than the one that is proven.")
    pushed = PushedRequest(
        project_id=view.project.project_id,
        request_hash=request_hash,
        client_id=client.client_id,
        values={name: form[name] for name in PARAMETERS if name in form},
        resources=form.resources,
        dpop_jkt=proof.jkt if proof is not None else asked.dpop_jkt,
        browser_hash=None,
        expires_at=now + PUSHED_LIFE_MS,
    )
    _check_size(pushed)
    return pushed


def _check_size(pushed: PushedRequest) -> None:
    """Refuse what no link could hold: a row is no cheaper than an address."""
    pairs = [*pushed.values.items(), *(("resource", uri) for uri in pushed.resources)]
    if len(urlencode(pairs)) > MAX_REQUEST_LENGTH:
        raise invalid_request(f"The request is longer than {MAX_REQUEST_LENGTH} bytes.", status=413)


def _limits(client: Client, source: str) -> list[tuple[Limit, str]]:
    # A secret that anybody gets by registering, or a key that anybody publishes, makes nobody somebody.
    if client.is_verified:
        return [(PUSH_CLIENT, client.client_id)]
    return [(PUSH_SOURCE, source), (PUSH_PROJECT, "all")]


async def _store(
    tx: Transaction, pushed: PushedRequest, limits: list[tuple[Limit, str]], proof: DpopProof | None, now: int
) -> Refused | None:
    """Store the request, unless its proof was used before or too many were pushed."""
    for limit, subject in limits:
        if wait := await spend(tx, pushed.project_id, limit, subject, now):
            return Refused(TooManyRequests(wait))
    if proof is not None and (spent := await spend_proof(tx, pushed.project_id, proof)):
        return spent
    await add_pushed_request(tx, pushed, now)
    return None
