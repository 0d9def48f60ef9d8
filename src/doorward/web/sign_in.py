"""Sign-in and sign-out: with a password, or with a passkey alone. The second step has pages of its own."""

import json
from urllib.parse import urlencode

from doorward.asgi import Request, Response, redirect
from doorward.core.passwords import email_key
from doorward.core.webauthn import PasskeyRefused
from doorward.logs import log
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import Form, parse_query
from doorward.oauth.redirects import display_host, find_registered, redirect_kind
from doorward.server.authorization_request import MAX_REQUEST_LENGTH
from doorward.server.clients import resolve_client
from doorward.server.context import Context
from doorward.server.passkeys import offer_sign_in, sign_in_with_passkey
from doorward.server.pushed import read_pushed_parameters
from doorward.server.second_step import find_half_signed_in
from doorward.server.sessions import HalfSignedIn, SignedIn, sign_in, sign_out
from doorward.server.tenancy import ProjectView
from doorward.server.too_many import TooManyRequests

from .visit import Visit, open_visit
from .way_back import MAX_MARK

_REFUSED = "That e-mail and password do not match anybody here."
_PASSKEY_REFUSED = "That passkey did not work here. Try again, or use your password."
_MAX_NEXT = MAX_REQUEST_LENGTH + MAX_MARK + 256


async def show_sign_in(context: Context, view: ProjectView, request: Request) -> Response:
    """The sign-in form, naming the app that the person is on the way to; or the second step, where that is next."""
    visit = await open_visit(context, view, request)
    next_path = safe_next(visit, read_next(request))
    pending_token = visit.pending_token()
    if pending_token and await find_half_signed_in(context, view, pending_token, visit.browser, now=request.now):
        return visit.finish(redirect(second_step_address(visit, next_path)))
    asked = await read_request(visit, next_path)
    hint = asked.get("login_hint", "") if asked else ""
    # Only an address can be what the form asks for; what else a hint holds is of no use here, and shown to nobody.
    email = hint.strip() if email_key(hint) else ""
    if _is_confirming(visit, next_path) and visit.user is not None:
        email = visit.user.email
    return await _render(visit, next_path, email=email)


async def post_sign_in(context: Context, view: ProjectView, request: Request) -> Response:
    """Check the password, and go on to the second step or back to where the person was on the way to."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    next_path = safe_next(visit, form.get("next", ""))
    email = form.get("email", "")
    try:
        signed_in = await sign_in(context, view, email, form.get("password", ""), visit.attempt())
    except TooManyRequests as limited:
        return await _refuse_for_now(visit, next_path, limited, email=email)
    if isinstance(signed_in, HalfSignedIn):
        visit.hold(signed_in)
        request.learn(user_id=signed_in.user.user_id)
        return visit.finish(redirect(second_step_address(visit, next_path)))
    if signed_in is None:
        request.learn(refusal="the e-mail and password match nobody here")
        log.info("sign-in refused", source=visit.source, project=view.project.slug)
        return await _render(visit, next_path, email=email, error=_REFUSED, status=401)
    return await land(visit, next_path, signed_in)


async def post_passkey(context: Context, view: ProjectView, request: Request) -> Response:
    """Check what a passkey signed, which is both steps in one."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    next_path = safe_next(visit, form.get("next", ""))
    try:
        signed_in = await sign_in_with_passkey(context, view, form.get("answer", ""), visit.attempt())
    except TooManyRequests as limited:
        return await _refuse_for_now(visit, next_path, limited)
    except PasskeyRefused as refused:
        request.learn(refusal=f"passkey: {refused}")
        log.info("passkey refused", source=visit.source, project=view.project.slug, reason=str(refused))
        return await _render(visit, next_path, error=_PASSKEY_REFUSED, status=401)
    return await land(visit, next_path, signed_in)


async def post_sign_out(context: Context, view: ProjectView, request: Request) -> Response:
    """End the session of this browser."""
    visit = await open_visit(context, view, request)
    await visit.form()
    if visit.session is not None:
        await sign_out(context, visit.session, now=request.now)
    visit.forget()
    return visit.finish(redirect(f"{view.project.path}/login"))


async def land(visit: Visit, next_path: str, signed_in: SignedIn) -> Response:
    """Give the browser its new session, and go on to where the person was on the way to."""
    return visit.finish(redirect(await settle(visit, next_path, signed_in)))


async def settle(visit: Visit, next_path: str, signed_in: SignedIn) -> str:
    """Give the browser its new session in place of the one it had; where the person goes from here."""
    if visit.session is not None:
        await sign_out(visit.context, visit.session, now=visit.request.now)
    visit.remember(signed_in)
    visit.request.learn(user_id=signed_in.user.user_id)
    default = "/dashboard" if signed_in.user.role != "member" else "/account"
    return next_path or f"{visit.view.project.path}{default}"


def passkey_offer(visit: Visit) -> str | None:
    """What the page's script needs to ask for a passkey, as JSON; None where there can be none."""
    options = offer_sign_in(visit.context, visit.view, visit.browser, now=visit.request.now)
    return json.dumps(options) if options is not None else None


def second_step_address(visit: Visit, next_path: str) -> str:
    """The page of the second step, with where the person is on the way to."""
    return f"{visit.view.project.path}/login/second-step{_query_of(next_path)}"


def tell_wait(limited: TooManyRequests) -> str:
    """How long somebody has to wait, in words."""
    minutes = -(-limited.retry_after // 60)
    return f"Too many tries. Wait {minutes} minute{'s' if minutes != 1 else ''}, then try again."


async def _refuse_for_now(visit: Visit, next_path: str, limited: TooManyRequests, *, email: str = "") -> Response:
    visit.request.learn(refusal="too many tries")
    response = await _render(visit, next_path, email=email, error=tell_wait(limited), status=429)
    response.set("retry-after", str(limited.retry_after))
    return response


async def _render(
    visit: Visit, next_path: str, *, email: str = "", error: str | None = None, status: int = 200
) -> Response:
    return visit.render(
        "login.html",
        status=status,
        in_flow=bool(next_path),
        action=f"{visit.view.project.path}/login",
        next=next_path,
        email=email,
        error=error,
        client=await _find_client(visit, await read_request(visit, next_path)),
        for_device=next_path.startswith(f"{visit.view.project.path}/device"),
        is_confirming=_is_confirming(visit, next_path),
        passkey_options=passkey_offer(visit),
        providers=[{"slug": provider.slug, "name": provider.name} for provider in visit.view.providers],
    )


def _is_confirming(visit: Visit, next_path: str) -> bool:
    """Whether somebody who is signed in is asked again because of what they are about to change."""
    return visit.user is not None and next_path.startswith(f"{visit.view.project.path}/account/security")


async def read_request(visit: Visit, next_path: str) -> Form | None:
    """The authorization request on the way to which the person signs in."""
    form = _parse(next_path.partition("?")[2].encode("ascii", "replace"))
    if form is None or "request_uri" not in form:
        return form
    return await read_pushed_parameters(visit.context, visit.view, form, visit.kept, now=visit.request.now)


async def _find_client(visit: Visit, asked: Form | None) -> dict[str, str] | None:
    """The app on whose behalf the person signs in, for the page's words."""
    client = await resolve_client(visit.context, visit.view, asked.get("client_id", "")) if asked else None
    if client is None or asked is None:
        return None
    registered, requested = client.metadata.redirect_uris, asked.get("redirect_uri", "")
    # Anybody can make a link to this page, so it names no place that the app is not registered for.
    target = requested if find_registered(registered, requested) else next(iter(registered), "")
    host = display_host(target) if target else client.client_id
    return {"name": client.metadata.client_name or host, "host": host if redirect_kind(target) == "https" else ""}


def read_next(request: Request) -> str:
    """Where the address says the person is on the way to."""
    query = _parse(request.query)
    return query.get("next", "") if query else ""


def _parse(query: bytes) -> Form | None:
    try:
        return parse_query(query)
    except OAuthError:
        return None


def _query_of(next_path: str) -> str:
    return f"?{urlencode({'next': next_path})}" if next_path else ""


def safe_next(visit: Visit, path: str) -> str:
    """`path` when it is a page of this project that a sign-in may lead to, else nothing. Spec: T50"""
    base = visit.view.project.path
    allowed = (f"{base}/oauth/authorize?", f"{base}/device", f"{base}/account", f"{base}/dashboard")
    is_ours = len(path) <= _MAX_NEXT and path.isascii() and path.isprintable() and "\\" not in path
    return path if is_ours and path.startswith(allowed) else ""
