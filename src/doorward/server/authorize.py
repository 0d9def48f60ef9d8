"""The authorization endpoint: checks the request, and is the only dispatcher of the steps a person goes through.

Until the client and its redirect URI are known to be right, everything that is wrong is a page. After that it is an
answer to the client, carrying `state` and always `iss`.

Spec: OAuth 2.1 §4.1 (AUTHZ-01 … AUTHZ-14); RFC 9126 §4; OpenID Connect Core 1.0 §3.1.2.1; T50
"""

from dataclasses import dataclass

from doorward.core.interaction import INTERACTION_LIFE_MS, Progress, Step, is_recent_enough, next_step
from doorward.core.limits import AUTHORIZE_SESSION
from doorward.core.models import (
    AuthorizationRequest,
    Client,
    Grant,
    Interaction,
    PushedRequest,
    Resource,
    Session,
    User,
)
from doorward.core.secrets import FLOW, hash_secret, new_secret
from doorward.oauth.errors import CONSENT_REQUIRED, LOGIN_REQUIRED, OAuthError
from doorward.oauth.forms import Form
from doorward.oauth.prompt import SignInDemand
from doorward.storage.database import Transaction
from doorward.storage.grants import find_last_decided
from doorward.storage.interactions import add_interaction
from doorward.storage.throttles import spend

from .admission import check_admission, find_requesting_client
from .authorization_answer import ReturnToClient, build_refusal
from .authorization_request import RedirectRefused, find_redirect_uri, parse_request
from .context import Context
from .decision import request_gone
from .pushed import open_pushed_request, pushed_form
from .tenancy import ProjectView
from .too_many import TooManyRequests
from .visitor import Visitor


@dataclass(frozen=True, slots=True)
class SignIn:
    """Sign in, then come back with the same request; `asks_for_time`: and with when it was first seen."""

    asks_for_time: bool


@dataclass(frozen=True, slots=True)
class Consent:
    """A person has to decide. `flow` names the stored request, and only works in the session it was made in."""

    flow: str
    client: Client
    resource: Resource
    request: AuthorizationRequest
    asks_for_time: bool
    before: Grant | None
    """What the person last allowed this client on this server, where they did."""


async def begin(context: Context, view: ProjectView, form: Form, visitor: Visitor) -> SignIn | Consent | ReturnToClient:
    """Check a request and say the next step. Looking at it any number of times changes nothing for the client.

    Raises `PageError`.
    """
    client = await find_requesting_client(context, view, form, source=visitor.source)
    pushed, signed_in = None, visitor.signed_in
    if "request_uri" in form:
        pushed = await open_pushed_request(context, view, client, form, visitor)
        form = pushed_form(pushed)
        if pushed.browser_hash is None:
            signed_in = None  # nobody decides on what is no browser's yet
    try:
        redirect_uri = find_redirect_uri(client, form)
    except RedirectRefused as refused:
        raise refused.page from None
    state = form.get("state") if "state" not in form.repeated else None
    try:
        name = pushed.request_hash.hex() if pushed is not None else None
        request, demand = parse_request(view, client, redirect_uri, form, pushed=name)
        step = _find_step(demand, signed_in, visitor)
    except OAuthError as error:
        return build_refusal(view, client, redirect_uri, state, error)
    if step == "sign_in" or signed_in is None:
        return SignIn(demand.asks_for_time)
    await check_admission(context, view, client, signed_in[1], now=visitor.now)
    return await _ask(context, view, client, request, demand, signed_in, pushed, visitor.now)


def _find_step(demand: SignInDemand, signed_in: tuple[Session, User] | None, visitor: Visitor) -> Step:
    """The next step. Raises `login_required` and `consent_required` for a client that wants none shown.

    Spec: OpenID Connect Core 1.0 §3.1.2.1, §3.1.2.6
    """
    step = next_step(
        Progress(
            signed_in=signed_in is not None,
            is_recent=signed_in is not None
            and is_recent_enough(
                demand,
                signed_in_at=signed_in[0].created_at,
                first_seen_at=visitor.first_seen_at,
                now=visitor.now,
            ),
        )
    )
    if demand.is_silent and step == "sign_in":
        raise OAuthError(LOGIN_REQUIRED, "Nobody is signed in, or not recently enough, and prompt is none.")
    if demand.is_silent:
        raise OAuthError(CONSENT_REQUIRED, "A person has to decide each time, and prompt is none.")
    return step


async def _ask(
    context: Context,
    view: ProjectView,
    client: Client,
    request: AuthorizationRequest,
    demand: SignInDemand,
    signed_in: tuple[Session, User],
    pushed: PushedRequest | None,
    now: int,
) -> Consent:
    """Store the request for the person's decision, for no longer than what was pushed is kept."""
    session, user = signed_in
    flow = new_secret(FLOW)
    until = now + INTERACTION_LIFE_MS
    interaction = Interaction(
        project_id=view.project.project_id,
        interaction_hash=hash_secret(flow),
        session_hash=session.session_hash,
        user_id=user.user_id,
        request=request,
        expires_at=min(until, pushed.expires_at) if pushed is not None else until,
    )
    wait = await context.database.write(_store_interaction, interaction, now)
    if wait:
        raise TooManyRequests(wait)
    resource = view.resource(request.resource_id)
    if resource is None:
        raise request_gone()
    before = await context.database.read(
        find_last_decided, view.project.project_id, user.user_id, client.client_id, resource.resource_id, now
    )
    return Consent(flow, client, resource, request, demand.asks_for_time, before)


async def _store_interaction(tx: Transaction, interaction: Interaction, now: int) -> int:
    """Store the request; the milliseconds to wait when this browser has opened too many."""
    session = interaction.session_hash.hex()[:32]
    wait = await spend(tx, interaction.project_id, AUTHORIZE_SESSION, session, now)
    if not wait:
        await add_interaction(tx, interaction, now)
    return wait
