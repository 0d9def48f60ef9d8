"""The set-up link: the first administrator, made once."""

from doorward.asgi import Request, Response, redirect
from doorward.core.limits import SETUP_SOURCE
from doorward.core.passwords import MIN_LENGTH
from doorward.manage import users
from doorward.manage.operator import ActionRefused, Operator
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import Form, parse_query
from doorward.server.context import Context
from doorward.server.limiter import spend_limit
from doorward.server.page_error import PageError
from doorward.server.sessions import SignedIn, sign_in
from doorward.server.tenancy import ProjectView

from .account import operator_of
from .visit import Visit, open_visit


async def show_setup(context: Context, view: ProjectView, request: Request) -> Response:
    """The form, as long as the link is good. Looking at it does not use the link up."""
    visit = await open_visit(context, view, request)
    token = await _check_token(visit, _query(request).get("token", ""))
    return _render(visit, token, values={}, errors={})


async def post_setup(context: Context, view: ProjectView, request: Request) -> Response:
    """Use the link: make the owner and sign them in."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    token = await _check_token(visit, _query(request).get("token", ""))
    email, password, name = form.get("email", ""), form.get("password", ""), form.get("name", "")
    try:
        await users.add_first_admin(_operator(visit), view.project, token, email, password, name=name)
    except ActionRefused as refused:
        errors = {refused.about or "form": str(refused)}
        return _render(visit, token, values={"email": email, "name": name}, errors=errors, status=400)
    signed_in = await sign_in(context, view, email, password, visit.attempt())
    if not isinstance(signed_in, SignedIn):
        return visit.finish(redirect(f"{view.project.path}/login"))
    visit.remember(signed_in)
    return visit.finish(redirect(f"{view.project.path}/dashboard"))


async def _check_token(visit: Visit, token: str) -> str:
    project = visit.view.project
    if not await users.is_setup_token_live(_operator(visit), project, token):
        await spend_limit(visit.context, project.project_id, SETUP_SOURCE, visit.source, visit.request.now)
        raise PageError(
            "This set-up link is not valid",
            "It works once, for a day, and only until there is an administrator.",
            ("If you are the operator, restart the server: it prints a new link when one is needed.",),
        )
    return token


def _render(visit: Visit, token: str, *, values: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    return visit.render(
        "setup.html",
        status=status,
        action=f"{visit.view.project.path}/setup?token={token}",
        values=values,
        errors=errors,
        min_password=MIN_LENGTH,
    )


def _operator(visit: Visit) -> Operator:
    return operator_of(visit, "operator:setup-link")


def _query(request: Request) -> Form:
    try:
        return parse_query(request.query)
    except OAuthError:
        return Form({})
