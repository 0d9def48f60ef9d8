"""Pages on the way to an identity provider and back.

A form of ours starts it, and its answer is a page that leads on: browsers apply `form-action` along redirects, so a
redirect of the form itself would be stopped.

Spec: PXY-05, PXY-10; threats T2, T36, T37, T50
"""

from doorward.asgi import Request, Response, redirect
from doorward.core import audit
from doorward.core.upstream import LINK_WITHIN_MS, UpstreamIdentity, UpstreamProvider, UpstreamSignIn
from doorward.logs import log
from doorward.manage import providers
from doorward.manage.operator import ActionRefused
from doorward.oauth.forms import parse_query
from doorward.oauth.redirects import display_host
from doorward.server.context import Context
from doorward.server.page_error import PageError
from doorward.server.sessions import HalfSignedIn
from doorward.server.tenancy import ProjectView
from doorward.server.upstream.failing import ProviderFailed
from doorward.server.upstream.journey import Errand, come_back, depart, learn_who
from doorward.server.upstream.people import Refusal, TurnedAway, link_by, sign_in_by

from .account import operator_of, render_account
from .sign_in import land, read_request, safe_next, second_step_address
from .visit import Visit, open_visit

VIA = "/login/via/"
CALLBACK = "/login/callback/"
LINK = "/account/identities/link"
UNLINK = "/account/identities/unlink"
_STATUS: dict[Refusal, int] = {"address_taken": 409}


async def show_via(context: Context, view: ProjectView, request: Request) -> Response:
    """A link here starts nothing: only the form on the sign-in page does."""
    del context, request
    return redirect(f"{view.project.path}/login")


async def post_via(context: Context, view: ProjectView, request: Request) -> Response:
    """Send the person to a provider, to sign in and come back to where they were on the way to."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    provider = _find_provider(view, request.path.removeprefix(VIA))
    next_path = safe_next(visit, form.get("next", ""))
    asked = await read_request(visit, next_path)
    prompts = asked.get("prompt", "").split(" ") if asked else []
    prompt = "select_account" if form.get("switch") or "select_account" in prompts else ""
    errand = Errand(
        next_path=next_path,
        source=visit.source,
        browser_token=visit.traveller(),
        now=request.now,
        login_hint="" if form.get("switch") else form.get("login_hint", "")[:254],
        prompt="login" if "login" in prompts else prompt,
    )
    return await _leave(visit, provider, errand)


async def post_link(context: Context, view: ProjectView, request: Request) -> Response:
    """Send a person who signed in a moment ago to a provider, to add it to their account."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    session, _ = visit.require_signed_in()
    provider = _find_provider(view, form.get("provider", ""))
    if request.now - session.created_at > LINK_WITHIN_MS:
        raise PageError(
            "Sign in once more first",
            "You have been signed in for a while. Adding a way in needs a sign-in of the last 15 minutes.",
            ("Sign out, sign in again, and add it on your account page then.",),
            status=403,
        )
    errand = Errand(
        next_path="",
        source=visit.source,
        browser_token=visit.traveller(),
        now=request.now,
        prompt="select_account",
        adds_to=session,
    )
    return await _leave(visit, provider, errand)


async def post_unlink(context: Context, view: ProjectView, request: Request) -> Response:
    """Take a way in away, unless it is the last one."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    _, user = visit.require_signed_in()
    operator = operator_of(visit, audit.user_actor(user.user_id))
    try:
        await providers.unlink_own(operator, user, form.get("issuer", ""), form.get("subject", ""))
    except ActionRefused as refused:
        return await render_account(visit, notice=str(refused))
    return await render_account(visit, notice="It was removed. It does not let you in any more.")


async def show_callback(context: Context, view: ProjectView, request: Request) -> Response:
    """Take the answer of a provider: once, and in the browser that left for it."""
    request.learn(step="sign_in")
    visit = await open_visit(context, view, request)
    provider = _find_provider(view, request.path.removeprefix(CALLBACK))
    answer = parse_query(request.query)
    pending = None
    if not answer.repeated:
        pending = await come_back(context, view, provider, answer, visit.traveller(), request.now)
    if pending is None:
        raise PageError(
            "This sign-in is over",
            "It was finished already, took too long, or was begun in another browser.",
            ("Go back to the sign-in page and start again.",),
            reason=f"the answer of {provider.slug} is of no sign-in that waits in this browser",
        )
    try:
        identity = await learn_who(context, view, provider, answer, request.now)
    except ProviderFailed as failed:
        return _render_failure(visit, provider, pending, failed)
    if pending.link_user_id is not None:
        return await _link(visit, provider, pending, identity)
    return await _sign_in(visit, provider, pending, identity)


async def _leave(visit: Visit, provider: UpstreamProvider, errand: Errand) -> Response:
    try:
        departure = await depart(visit.context, visit.view, provider, errand)
    except ProviderFailed as failed:
        raise _unreachable(provider, failed) from None
    visit.send_away(departure.browser_token)
    return visit.render("leaving.html", in_flow=bool(errand.next_path), provider=provider.name, target=departure.url)


async def _sign_in(
    visit: Visit, provider: UpstreamProvider, pending: UpstreamSignIn, identity: UpstreamIdentity
) -> Response:
    signed_in = await sign_in_by(visit.context, visit.view, provider, identity, visit.attempt())
    if isinstance(signed_in, HalfSignedIn):
        visit.hold(signed_in)
        visit.request.learn(user_id=signed_in.user.user_id)
        return visit.finish(redirect(second_step_address(visit, pending.next_path)))
    if isinstance(signed_in, TurnedAway):
        reason = f"{provider.slug} names somebody who is not let in: {signed_in.refusal}"
        visit.request.learn(refusal=reason)
        log.info("sign-in refused", source=visit.source, project=visit.view.project.slug, provider=provider.slug)
        return _render_refusal(visit, provider, pending, signed_in.refusal, identity)
    return await land(visit, pending.next_path, signed_in)


async def _link(
    visit: Visit, provider: UpstreamProvider, pending: UpstreamSignIn, identity: UpstreamIdentity
) -> Response:
    """Add the identity to the person who asked for it, in the session that they asked in. Spec: PXY-10"""
    session, user = visit.require_signed_in()
    if session.session_hash != pending.session_hash or user.user_id != pending.link_user_id:
        raise PageError(
            "Nothing was added",
            "Somebody else has signed in here since you left.",
            ("Sign in again, and add it on your account page.",),
            status=403,
            reason="the session that began adding a provider is not the one that it came back to",
        )
    linked = await link_by(visit.context, provider, identity, user, visit.request.now)
    visit.request.learn(user_id=user.user_id)
    if linked == "taken":
        visit.request.learn(refusal=f"the identity at {provider.slug} is somebody else's here")
        return visit.render(
            "upstream_refused.html",
            status=409,
            refusal="linked_elsewhere",
            provider=_named(provider),
            email="",
            next="",
            is_link=True,
        )
    return visit.finish(redirect(f"{visit.view.project.path}/account#providers"))


def _find_provider(view: ProjectView, slug: str) -> UpstreamProvider:
    provider = view.provider(slug)
    if provider is None:
        raise PageError(
            "There is no such way to sign in",
            "It does not exist here, or was switched off.",
            ("Go back to the sign-in page.",),
            status=404,
        )
    return provider


def _render_refusal(
    visit: Visit, provider: UpstreamProvider, pending: UpstreamSignIn, refusal: Refusal, identity: UpstreamIdentity
) -> Response:
    """Say what to do. An address is repeated only where the provider proved that it is this person's own."""
    return visit.render(
        "upstream_refused.html",
        status=_STATUS.get(refusal, 403),
        in_flow=bool(pending.next_path),
        refusal=refusal,
        provider=_named(provider),
        email=(identity.email or "") if refusal == "address_taken" else "",
        next=pending.next_path,
        is_link=False,
    )


def _render_failure(
    visit: Visit, provider: UpstreamProvider, pending: UpstreamSignIn, failed: ProviderFailed
) -> Response:
    visit.request.learn(refusal=f"{provider.slug}: {failed.reason}")
    log.warning("sign-in by a provider failed", provider=provider.slug, reference=visit.request.reference)
    if failed.was_stopped:
        status, refusal = 403, "stopped"
    else:
        status, refusal = (503, "away") if failed.is_away else (502, "failed")
    return visit.render(
        "upstream_refused.html",
        status=status,
        in_flow=bool(pending.next_path),
        refusal=refusal,
        provider=_named(provider),
        email="",
        next=pending.next_path,
        is_link=pending.link_user_id is not None,
    )


def _unreachable(provider: UpstreamProvider, failed: ProviderFailed) -> PageError:
    return PageError(
        "That way in does not work just now",
        f"{provider.name} could not be reached, or is not set up rightly here.",
        ("Try again in a moment, or sign in another way.", "If it stays like this, tell your administrator."),
        status=503,
        reason=f"{provider.slug}: {failed.reason}",
    )


def _named(provider: UpstreamProvider) -> dict[str, str]:
    return {"slug": provider.slug, "name": provider.name, "host": display_host(provider.issuer)}
