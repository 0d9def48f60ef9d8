"""The authorization endpoint as a browser sees it: every step's page, and the answer on its way to the client."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from doorward.asgi import Request, Response, redirect
from doorward.core.choices import SHORTEST_SECONDS
from doorward.core.known_clients import KnownClient, find_impersonated
from doorward.core.models import Client, Grant, Resource
from doorward.core.policy import access_token_seconds
from doorward.core.secrets import hash_secret
from doorward.core.tools import find_scopes, scope_kind
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import check_form_type, parse_query
from doorward.oauth.redirects import display_host, redirect_kind
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes
from doorward.server.authorization_answer import ReturnToClient
from doorward.server.authorization_request import MAX_REQUEST_LENGTH
from doorward.server.authorize import Consent, begin
from doorward.server.clients import MAX_CLIENT_ID_LENGTH
from doorward.server.context import Context
from doorward.server.decision import decide
from doorward.server.page_error import PageError
from doorward.server.sessions import read_device
from doorward.server.tenancy import ProjectView
from doorward.server.visitor import Visitor

from .budgets import describe_budgets
from .consent_choices import describe_choices, find_held, find_news
from .consent_scopes import describe_scopes
from .decision_form import read_choice, read_decision_form
from .pages import ago, render_return
from .visit import Visit, open_visit
from .way_back import build_way_back, read_way_back


async def show_authorize(context: Context, view: ProjectView, request: Request) -> Response:
    """GET: where a client sends a person."""
    return await _begin(context, view, request, request.query)


async def post_authorize(context: Context, view: ProjectView, request: Request) -> Response:
    """POST of the same request as a form. Spec: AUTHZ-01"""
    check_form_type(request.header("content-type"))
    return await _begin(context, view, request, await request.body())


async def post_consent(context: Context, view: ProjectView, request: Request) -> Response:
    """The person's decision; answered with a page that takes it to the client."""
    visit = await open_visit(context, view, request)
    form = await read_decision_form(visit)
    if visit.signed_in is None and visit.pending_token():
        return visit.finish(redirect(f"{view.project.path}/login"))  # where the second step is still to be done (T41)
    session, _ = visit.require_signed_in()
    choice = read_choice(form)
    flow = form.get("flow", "")
    request.learn(flow=flow_name(flow), user_id=session.user_id)
    device = read_device(context, session, visit.device_token(), request.header("user-agent"))
    key = (view.project.project_id, hash_secret(flow), session.session_hash, choice.name)
    answer = await context.recent_decisions.once(
        key,
        lambda: decide(context, view, flow, (session, device), choice=choice, now=request.now),
        request.now,
    )
    return visit.finish(render_return(view, _tell(request, answer), reference=request.reference))


async def _begin(context: Context, view: ProjectView, request: Request, query: bytes) -> Response:
    visit = await open_visit(context, view, request)
    asked, seen_at = read_way_back(visit, query)
    if len(asked) > MAX_REQUEST_LENGTH:
        raise PageError("This link is too long", "It holds more than a request can.", status=414)
    try:
        form = parse_query(asked)
    except OAuthError as error:
        raise PageError("This link is malformed", error.description) from None
    request.learn(client_id=form.get("client_id", "")[:MAX_CLIENT_ID_LENGTH])
    if request.method == "POST" and "request_uri" in form:
        return redirect(build_way_back(visit, asked, None))  # whose browser it is, is known with the cookies of a GET
    visitor = Visitor(
        source=visit.source,
        browser=visit.keep() if "request_uri" in form else "",
        is_browser=visit.is_browser,
        signed_in=visit.signed_in,
        first_seen_at=seen_at,
        now=request.now,
    )
    step = await begin(context, view, form, visitor)
    if isinstance(step, ReturnToClient):
        step = _tell(request, step)
        # Nobody decided anything yet: straight back where that cannot lead a person to a stranger's site.
        if step.automatic:
            return visit.finish(redirect(step.target, status=302))
        return visit.finish(render_return(view, step, reference=request.reference, status=400))
    here = build_way_back(visit, asked, seen_at or request.now if step.asks_for_time else None)
    if isinstance(step, Consent):
        request.learn(flow=flow_name(step.flow), user_id=visit.user.user_id if visit.user else None)
        return _render_consent(visit, step, here)
    if request.method == "POST":
        return redirect(here)  # other sites post without the cookies of somebody who is signed in
    return visit.finish(redirect(f"{view.project.path}/login?{urlencode({'next': here})}"))


def flow_name(flow: str) -> str:
    """What the timeline calls a stored request by; nothing can be opened with it."""
    return hash_secret(flow).hex()[:24]


def _tell(request: Request, answer: ReturnToClient) -> ReturnToClient:
    """Note what the answer is, for the timeline, and have a refusal quote the request's reference."""
    refusal = f"{answer.error.code}: {answer.error.reason}" if answer.error else None
    request.learn(grant_id=answer.grant_id, refusal=refusal)
    return answer.quoting(request.reference)


def _render_consent(visit: Visit, consent: Consent, here: str) -> Response:
    client, request = consent.client, consent.request
    kind = redirect_kind(request.redirect_uri)
    host = display_host(request.redirect_uri)
    base = visit.view.project.path
    impersonated = find_impersonated(client.metadata.client_name, client.client_id, request.redirect_uri)
    return visit.render(
        "consent.html",
        in_flow=True,
        action=f"{base}/oauth/consent",
        flow=consent.flow,
        redirect={"host": host, "kind": kind, "display": request.redirect_uri},
        dropped=list(request.dropped),
        **describe_question(
            visit, client, consent.resource, request.scope, host=host, impersonated=impersonated, before=consent.before
        ),
        switch_href=f"{base}/login?{urlencode({'next': here})}",
    )


def describe_question(
    visit: Visit,
    client: Client,
    resource: Resource,
    scope: Scopes,
    *,
    host: str,
    impersonated: KnownClient | None,
    before: Grant | None,
) -> dict[str, Any]:
    """What a person is told of the app, the server and the scopes, whichever way the app asks.

    `before` is what they last allowed it on this server, None when they did not.
    """
    asked = find_scopes(resource, scope)
    groups = describe_scopes(asked)
    held = find_held(resource, before)
    offline = "refresh_token" in client.metadata.grant_types or OFFLINE_ACCESS in scope
    access_seconds = access_token_seconds(resource, visit.view.project.settings)
    return {
        "client": {
            "name": client.metadata.client_name or host,
            "host": urlsplit(client.client_id).hostname if client.kind == "document" else None,
            "impersonated": impersonated.name if impersonated else None,
            "verified": client.is_verified,
            "kind": "pre-registered" if client.kind == "manual" else "self-registered",
            "registered": _provenance(client, visit.request.now),
        },
        "resource": {
            "name": resource.name if resource.name != resource.uri else display_host(resource.uri),
            "is_named": resource.name != resource.uri,
            "uri": resource.uri,
        },
        "groups": groups,
        "news": find_news(groups, held),
        "choices": describe_choices(resource, scope, held),
        "can_allow_reading": {scope_kind(each) == "read" for each in asked} == {True, False},
        "tools_at": resource.tools_version,
        "offline": offline,
        "can_be_limited": offline or access_seconds > SHORTEST_SECONDS,
        "budgets": describe_budgets(resource.settings.budgets),
        "access_minutes": -(-access_seconds // 60),
    }


def _provenance(client: Client, now: int) -> str:
    """How the app came to be known here, for the line below its name."""
    if client.verified_by is not None:
        return f"vouched for by {urlsplit(client.verified_by).hostname or client.verified_by}"
    if client.kind == "document":
        return "describes itself at the address below"
    return f"registered itself {ago(client.created_at, now)}"
