"""How a person signs in, on their own page: passkeys, the authenticator app, recovery codes, the password.

Every page and every change here needs a sign-in of the last ten minutes: whoever finds a browser open, or takes its
cookie, cannot make themselves a way in that stays.

Spec: OWASP ASVS 5.0 §7.5; T36, T41
"""

import json
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import segno
from markupsafe import Markup

from doorward.asgi import Request, Response, redirect
from doorward.core import audit
from doorward.core.agents import describe_agent
from doorward.core.factors import Passkey, totp_uri
from doorward.core.models import Session, User
from doorward.core.passwords import MIN_LENGTH
from doorward.core.webauthn import PasskeyRefused
from doorward.manage import factors, users
from doorward.manage.operator import ActionRefused, Operator
from doorward.oauth.forms import Form
from doorward.server.context import Context
from doorward.server.passkeys import offer_adding, read_added
from doorward.server.tenancy import ProjectView

from .account import operator_of
from .pages import ago
from .visit import Visit, open_visit

_PATH = "/account/security"
Change = Callable[[Visit, Form, Operator, User, Session], Awaitable[Response]]


async def show_security(context: Context, view: ProjectView, request: Request) -> Response:
    """Everything a person can sign in with, and the forms that change it."""
    visit = await open_visit(context, view, request)
    if not visit.is_recent:
        return _sign_in_first(visit)
    return await _render(visit)


def changing(act: Change) -> Callable[[Context, ProjectView, Request], Awaitable[Response]]:
    """A form of this page: ours, of somebody who signed in not long ago; a refusal is said on the page."""

    async def answer(context: Context, view: ProjectView, request: Request) -> Response:
        visit = await open_visit(context, view, request)
        form = await visit.form()
        session, user = visit.require_signed_in()
        if not visit.is_recent:
            return _sign_in_first(visit)
        operator = operator_of(visit, audit.user_actor(user.user_id))
        try:
            return await act(visit, form, operator, user, session)
        except ActionRefused as refused:
            return await _render(visit, problem=str(refused), about=refused.about, status=400)

    return answer


async def _add_passkey(visit: Visit, form: Form, operator: Operator, user: User, _: Session) -> Response:
    try:
        made = read_added(visit.context, visit.view, form.get("answer", ""), visit.browser, now=visit.request.now)
    except PasskeyRefused as refused:
        visit.request.learn(refusal=f"passkey: {refused}")
        raise ActionRefused("The passkey could not be added. Please try again.") from None
    name = form.get("name", "") or _suggest_name(visit)
    added = await factors.add_own_passkey(operator, user, made, name)
    return await _render(visit, notice=f"“{added.name}” was added. You can sign in with it from now on.")


async def _rename_passkey(visit: Visit, form: Form, operator: Operator, user: User, _: Session) -> Response:
    await factors.rename_own_passkey(operator, user, form.get("passkey", ""), form.get("name", ""))
    return await _render(visit, notice="The passkey has its new name.")


async def _remove_passkey(visit: Visit, form: Form, operator: Operator, user: User, session: Session) -> Response:
    await factors.remove_own_passkey(operator, user, form.get("passkey", ""), session)
    return await _render(
        visit, notice="The passkey opens nothing here any more, and you are signed out everywhere else."
    )


async def _start_authenticator(visit: Visit, _: Form, operator: Operator, user: User, __: Session) -> Response:
    return render_authenticator(visit, user, await factors.propose_authenticator(operator, user))


async def _confirm_authenticator(visit: Visit, form: Form, operator: Operator, user: User, _: Session) -> Response:
    try:
        codes = await factors.confirm_authenticator(operator, user, form.get("code", "")[:64])
    except ActionRefused as refused:
        secret = await factors.find_proposed(operator, user)
        if secret is None or refused.about == "start":
            raise
        return render_authenticator(visit, user, secret, error=str(refused), status=400)
    return render_codes(visit, codes, is_new=True)


async def _remove_authenticator(visit: Visit, _: Form, operator: Operator, user: User, session: Session) -> Response:
    await factors.remove_authenticator(operator, user, session)
    return await _render(
        visit, notice="No code is asked for any more when you sign in, and you are signed out everywhere else."
    )


async def _make_codes(visit: Visit, _: Form, operator: Operator, user: User, __: Session) -> Response:
    return render_codes(visit, await factors.make_recovery_codes(operator, user), is_new=False)


async def _change_password(visit: Visit, form: Form, operator: Operator, user: User, session: Session) -> Response:
    await users.change_password(operator, user, form.get("password", ""), spare=session.session_hash)
    return await _render(visit, notice="You have a new password, and you are signed out everywhere else.")


async def _remove_password(visit: Visit, _: Form, operator: Operator, user: User, session: Session) -> Response:
    await factors.remove_password(operator, user, session)
    return await _render(visit, notice="You have no password any more: your passkeys let you in.")


post_add_passkey = changing(_add_passkey)
post_rename_passkey = changing(_rename_passkey)
post_remove_passkey = changing(_remove_passkey)
post_start_authenticator = changing(_start_authenticator)
post_confirm_authenticator = changing(_confirm_authenticator)
post_remove_authenticator = changing(_remove_authenticator)
post_make_codes = changing(_make_codes)
post_change_password = changing(_change_password)
post_remove_password = changing(_remove_password)


def _sign_in_first(visit: Visit) -> Response:
    base = visit.view.project.path
    return visit.finish(redirect(f"{base}/login?{urlencode({'next': f'{base}{_PATH}'})}"))


async def _render(
    visit: Visit, *, notice: str | None = None, problem: str | None = None, about: str = "", status: int = 200
) -> Response:
    _, user = visit.require_signed_in()
    now = visit.request.now
    found = await factors.load(operator_of(visit, audit.user_actor(user.user_id)), user)
    options = offer_adding(visit.context, visit.view, user, found.passkeys, visit.browser, now=now)
    used = [used_at for used_at in found.codes_used_at if used_at is not None]
    return visit.render(
        "security.html",
        status=status,
        notice=notice,
        problem=problem,
        password_problem=problem if about == "password" else None,
        passkeys=[_describe(passkey, now) for passkey in found.passkeys],
        passkey_options=json.dumps(options) if options is not None else None,
        suggested_name=_suggest_name(visit),
        has_password=found.has_password,
        has_authenticator=found.has_authenticator,
        codes_left=found.codes_left,
        codes_in_all=len(found.codes_used_at),
        code_used=ago(max(used), now) if used else None,
        min_password=MIN_LENGTH,
    )


def render_authenticator(
    visit: Visit,
    user: User,
    secret: str,
    *,
    error: str | None = None,
    status: int = 200,
    action: str = f"{_PATH}/authenticator/confirm",
    next_path: str = "",
) -> Response:
    """The page with the picture for the app, and the form for its first code, which goes to `action`."""
    uri = totp_uri(secret, account=user.email, issuer=visit.view.project.name)
    picture = segno.make(uri, error="m").svg_inline(border=3, omitsize=True, dark="#000", light="#fff")
    return visit.render(
        "authenticator.html",
        status=status,
        action=f"{visit.view.project.path}{action}",
        next=next_path,
        can_cancel=visit.user is not None,
        # Made here of letters and digits alone; there is no text in it.
        picture=Markup(picture),  # noqa: S704
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        uri=uri,
        error=error,
    )


def render_codes(visit: Visit, codes: list[str], *, is_new: bool, next_path: str = "") -> Response:
    """The one page that shows recovery codes."""
    onward = next_path or f"{visit.view.project.path}{_PATH}"
    return visit.render("recovery_codes.html", codes=codes, is_new=is_new, onward=onward)


def _describe(passkey: Passkey, now: int) -> dict[str, object]:
    return {
        "id": passkey.passkey_id,
        "name": passkey.name,
        "is_backed_up": passkey.is_backed_up,
        "added": ago(passkey.created_at, now),
        "last_used": ago(passkey.last_used_at, now),
    }


def _suggest_name(visit: Visit) -> str:
    """What a passkey made here is called until its owner names it: the browser."""
    return describe_agent(visit.request.header("user-agent")) or "Passkey"
