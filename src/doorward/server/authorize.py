"""The authorization endpoint: checks the request, and is the only dispatcher of the steps a person goes through.

Until the client and its redirect URI are known to be right, everything that is wrong is a page. After that it is an
answer to the client, carrying `state` and always `iss`.

Spec: OAuth 2.1 §4.1 (AUTHZ-01 … AUTHZ-14); T50
"""

from dataclasses import dataclass

from doorward.core.interaction import Progress, next_step
from doorward.core.limits import AUTHORIZE_SESSION
from doorward.core.models import AuthorizationRequest, Client, Interaction, Resource, Session, User
from doorward.core.secrets import FLOW, hash_secret, new_secret
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import Form
from doorward.storage.database import Transaction
from doorward.storage.interactions import add_interaction
from doorward.storage.throttles import spend

from .admission import check_admission, find_requesting_client
from .authorization_answer import ReturnToClient, build_refusal
from .authorization_request import find_redirect_uri, parse_request
from .context import Context
from .decision import request_gone
from .tenancy import ProjectView
from .too_many import TooManyRequests

INTERACTION_LIFE_MS = 600_000


@dataclass(frozen=True, slots=True)
class SignIn:
    """Nobody is signed in: sign in, then come back with the same request."""

    client: Client
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Consent:
    """A person has to decide. `flow` names the stored request, and only works in the session it was made in."""

    flow: str
    client: Client
    resource: Resource
    request: AuthorizationRequest


async def begin(
    context: Context,
    view: ProjectView,
    form: Form,
    signed_in: tuple[Session, User] | None,
    *,
    source: str,
    now: int,
) -> SignIn | Consent | ReturnToClient:
    """Check a request and say the next step. Looking at it any number of times changes nothing for the client.

    Raises `PageError`.
    """
    client = await find_requesting_client(context, view, form, source=source)
    redirect_uri = find_redirect_uri(client, form)
    try:
        request = parse_request(view, client, redirect_uri, form)
    except OAuthError as error:
        state = form.get("state") if "state" not in form.repeated else None
        return build_refusal(view, client, redirect_uri, state, error)
    if next_step(Progress(signed_in=signed_in is not None)) == "sign_in" or signed_in is None:
        return SignIn(client, redirect_uri)
    session, user = signed_in
    await check_admission(context, view, client, user, now=now)
    flow = new_secret(FLOW)
    interaction = Interaction(
        project_id=view.project.project_id,
        interaction_hash=hash_secret(flow),
        session_hash=session.session_hash,
        user_id=user.user_id,
        request=request,
        expires_at=now + INTERACTION_LIFE_MS,
    )
    wait = await context.database.write(_store_interaction, interaction, now)
    if wait:
        raise TooManyRequests(wait)
    resource = view.resource(request.resource_id)
    if resource is None:
        raise request_gone()
    return Consent(flow, client, resource, request)


async def _store_interaction(tx: Transaction, interaction: Interaction, now: int) -> int:
    """Store the request; the milliseconds to wait when this browser has opened too many."""
    session = interaction.session_hash.hex()[:32]
    wait = await spend(tx, interaction.project_id, AUTHORIZE_SESSION, session, now)
    if not wait:
        await add_interaction(tx, interaction, now)
    return wait
