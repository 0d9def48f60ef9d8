"""The page between a right password and a session: a code of the authenticator app, or a recovery code (T41)."""

from doorward.asgi import Request, Response, redirect
from doorward.core import audit
from doorward.core.factors import PendingSignIn
from doorward.core.models import User
from doorward.logs import log
from doorward.manage import factors
from doorward.manage.operator import Operator
from doorward.server.context import Context
from doorward.server.second_step import (
    find_half_signed_in,
    find_person,
    finish_sign_in,
    finish_with_new_app,
    give_up,
    has_app,
)
from doorward.server.tenancy import ProjectView
from doorward.server.too_many import TooManyRequests

from .account import operator_of
from .security import render_authenticator, render_codes
from .sign_in import land, passkey_offer, read_next, safe_next, second_step_address, settle, tell_wait
from .visit import Visit, open_visit

_CONFIRM = "/login/set-up-app/confirm"
_WRONG = "That is not the code the app shows now. Check that the phone's clock is right."
_REFUSED = "That code is not right, or it was used before. Take the one the app shows now."


async def show_second_step(context: Context, view: ProjectView, request: Request) -> Response:
    """The form for the code; without a right password before it, the first step."""
    visit = await open_visit(context, view, request)
    next_path = safe_next(visit, read_next(request))
    pending = await _find_pending(visit)
    if pending is None:
        return _start_over(visit, next_path)
    return await _render(visit, pending, next_path)


async def post_second_step(context: Context, view: ProjectView, request: Request) -> Response:
    """Check the code and go back to where the person was on the way to."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    next_path = safe_next(visit, form.get("next", ""))
    pending = await _find_pending(visit)
    if pending is None:
        return _start_over(visit, next_path)
    request.learn(user_id=pending.user_id)
    try:
        signed_in = await finish_sign_in(context, view, pending, form.get("code", "")[:64], visit.attempt())
    except TooManyRequests as limited:
        request.learn(refusal="too many tries")
        response = await _render(visit, pending, next_path, error=tell_wait(limited), status=429)
        response.set("retry-after", str(limited.retry_after))
        return response
    if signed_in is None:
        request.learn(refusal="the code of the second step is wrong")
        log.info("second step refused", source=visit.source, project=view.project.slug)
        return await _render(visit, pending, next_path, error=_REFUSED, status=401)
    return await land(visit, next_path, signed_in)


async def post_set_up_app(context: Context, view: ProjectView, request: Request) -> Response:
    """Propose an authenticator app to somebody who has to have one before they are let in."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    next_path = safe_next(visit, form.get("next", ""))
    found = await _find_without_app(visit)
    if found is None:
        return visit.finish(redirect(second_step_address(visit, next_path)))
    _, user, operator = found
    secret = await factors.propose_authenticator(operator, user)
    return render_authenticator(visit, user, secret, action=_CONFIRM, next_path=next_path)


async def post_confirm_app(context: Context, view: ProjectView, request: Request) -> Response:
    """Check the first code of the app, let the person in and show them their recovery codes."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    next_path = safe_next(visit, form.get("next", ""))
    found = await _find_without_app(visit)
    secret = await factors.find_proposed(found[2], found[1]) if found is not None else None
    if found is None or secret is None:
        return visit.finish(redirect(second_step_address(visit, next_path)))
    pending, user, _ = found
    try:
        done = await finish_with_new_app(context, view, pending, form.get("code", "")[:64], visit.attempt())
    except TooManyRequests as limited:
        request.learn(refusal="too many tries")
        return _render_again(visit, user, secret, next_path, error=tell_wait(limited), status=429)
    if done is None:
        return _render_again(visit, user, secret, next_path, error=_WRONG, status=400)
    signed_in, codes = done
    onward = await settle(visit, next_path, signed_in)
    return render_codes(visit, codes, is_new=True, next_path=onward)


async def post_start_over(context: Context, view: ProjectView, request: Request) -> Response:
    """Forget the password that was given, to sign in as somebody else."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    pending = await _find_pending(visit)
    if pending is not None:
        await give_up(context, view, pending, now=request.now)
    return _start_over(visit, safe_next(visit, form.get("next", "")))


async def _find_without_app(visit: Visit) -> tuple[PendingSignIn, User, Operator] | None:
    """A half-done sign-in of somebody who has to set up an app first. Nobody replaces an app here that is there."""
    pending = await _find_pending(visit)
    person = await find_person(visit.context, pending) if pending is not None else None
    if pending is None or person is None or await has_app(visit.context, pending):
        return None
    return pending, person, operator_of(visit, audit.user_actor(person.user_id))


def _render_again(visit: Visit, user: User, secret: str, next_path: str, *, error: str, status: int) -> Response:
    return render_authenticator(visit, user, secret, error=error, status=status, action=_CONFIRM, next_path=next_path)


async def _find_pending(visit: Visit) -> PendingSignIn | None:
    return await find_half_signed_in(
        visit.context, visit.view, visit.pending_token(), visit.browser, now=visit.request.now
    )


def _start_over(visit: Visit, next_path: str) -> Response:
    visit.drop_pending()
    address = second_step_address(visit, next_path).replace("/login/second-step", "/login", 1)
    return visit.finish(redirect(address))


async def _render(
    visit: Visit, pending: PendingSignIn, next_path: str, *, error: str | None = None, status: int = 200
) -> Response:
    person = await find_person(visit.context, pending)
    return visit.render(
        "second_step.html",
        status=status,
        in_flow=bool(next_path),
        action=f"{visit.view.project.path}/login/second-step",
        next=next_path,
        email=person.email if person else "",
        needs_app=not await has_app(visit.context, pending),
        error=error,
        passkey_options=passkey_offer(visit),
    )
