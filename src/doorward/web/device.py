"""The pages on which a person lets a device in: enter its code, look at who asks, decide.

Opening any of them, with or without a code in the address, looks nothing up and decides nothing (T42).
"""

from urllib.parse import urlencode

from doorward.asgi import Request, Response, redirect
from doorward.core.known_clients import KnownClient, find_impersonated
from doorward.core.models import Client
from doorward.core.user_codes import MAX_TYPED, format_user_code, parse_user_code
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import parse_query
from doorward.server.context import Context
from doorward.server.device_decision import WaitingDevice, check_offered, decide_device, enter_user_code
from doorward.server.tenancy import ProjectView
from doorward.server.too_many import TooManyRequests

from .authorize import describe_question
from .decision_form import read_choice, read_decision_form
from .pages import ago
from .visit import Visit, open_visit

_UNKNOWN = "No device waits with this code. A code works once, for ten minutes: look at the device again."


async def show_device(context: Context, view: ProjectView, request: Request) -> Response:
    """Where a device sends its person: the field for its code, or the code from the address, to be compared."""
    check_offered(view)
    visit = await open_visit(context, view, request)
    code = _code_in(request)
    shown = format_user_code(code) if code else ""
    if visit.signed_in is None:
        return visit.finish(redirect(_sign_in_href(visit, shown)))
    return _render_entry(visit, shown=shown)


async def post_device(context: Context, view: ProjectView, request: Request) -> Response:
    """The code that was entered, or compared: who asks and for what, or that no device waits with it."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    _, user = visit.require_signed_in()
    typed = form.get("user_code", "")
    request.learn(step="device", user_id=user.user_id)
    try:
        device = await enter_user_code(context, view, typed, user, source=visit.source, now=request.now)
    except TooManyRequests as limited:
        minutes = -(-limited.retry_after // 60)
        request.learn(refusal="too many wrong codes")
        error = f"Too many wrong codes. Wait {minutes} minute{'s' if minutes != 1 else ''}, then try again."
        response = _render_entry(visit, typed=typed, error=error, status=429)
        response.set("retry-after", str(limited.retry_after))
        return response
    if device is None:
        request.learn(refusal="no device waits with this code")
        return _render_entry(visit, typed=typed, error=_UNKNOWN, status=400)
    request.learn(flow=device.code.flow, client_id=device.client.client_id)
    return _render_question(visit, device)


async def post_device_decision(context: Context, view: ProjectView, request: Request) -> Response:
    """The decision; the device learns of it when it asks next."""
    visit = await open_visit(context, view, request)
    form = await read_decision_form(visit)
    session, _ = visit.require_signed_in()
    choice = read_choice(form)
    allow = not choice.is_denied
    request.learn(user_id=session.user_id)
    typed = form.get("user_code", "")
    decided = await decide_device(context, view, typed, session, choice=choice, now=request.now)
    refusal = None if allow else "access_denied: The person declined."
    request.learn(
        flow=decided.code.flow, client_id=decided.client.client_id, grant_id=decided.code.grant_id, refusal=refusal
    )
    return visit.render("device_decided.html", allowed=allow, client_name=_name(decided.client))


def _render_entry(
    visit: Visit, *, shown: str = "", typed: str = "", error: str | None = None, status: int = 200
) -> Response:
    return visit.render(
        "device.html",
        status=status,
        action=f"{visit.view.project.path}/device",
        shown=shown,
        typed=typed[:MAX_TYPED],
        error=error,
        switch_href=_sign_in_href(visit, shown),
    )


def _render_question(visit: Visit, device: WaitingDevice) -> Response:
    client, code = device.client, device.code
    question = describe_question(
        visit,
        client,
        device.resource,
        code.scope,
        host=_name(client),
        impersonated=_find_impersonated(client),
        before=device.before,
    )
    # Without a secret any program can ask in this name: unlike a redirect URI, nothing leads back to the real one.
    question["client"]["verified"] = client.is_verified and not client.is_public
    return visit.render(
        "device_consent.html",
        action=f"{visit.view.project.path}/device/decide",
        user_code=device.user_code,
        origin={
            "source": code.source,
            "is_elsewhere": code.source != visit.source,
            "agent": code.agent,
            "asked": ago(code.created_at, visit.request.now),
        },
        dropped=[],
        **question,
    )


def _find_impersonated(client: Client) -> KnownClient | None:
    """Whose name the app uses while it is registered for places that one never asks for.

    Nothing goes to those places here; but they are all that tells one app of a name from another.
    """
    found = (
        find_impersonated(client.metadata.client_name, client.client_id, uri) for uri in client.metadata.redirect_uris
    )
    return next(filter(None, found), None)


def _name(client: Client) -> str:
    return client.metadata.client_name or client.client_id


def _code_in(request: Request) -> str | None:
    """The code in the address, if it can be one: whatever else is there is not repeated on the page."""
    try:
        return parse_user_code(parse_query(request.query).get("user_code", ""))
    except OAuthError:
        return None


def _sign_in_href(visit: Visit, shown: str) -> str:
    """Where to sign in and come back from, with the code that the address had."""
    base = visit.view.project.path
    here = f"{base}/device?{urlencode({'user_code': shown})}" if shown else f"{base}/device"
    return f"{base}/login?{urlencode({'next': here})}"
