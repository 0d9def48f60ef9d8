"""Serving a page of the dashboard: who is there, whether they may, and what came of what they did.

Every form is a POST with the browser's token, and every act is judged by the role that the person has at that moment.

Spec: CON-04; T2, T36; ADR 0025
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import quote

from doorward.asgi import Request, Response, redirect
from doorward.core.models import Role, User
from doorward.manage.operator import ActionRefused
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import parse_query
from doorward.server.context import Context
from doorward.server.page_error import PageError
from doorward.server.tenancy import ProjectView
from doorward.web.visit import Visit, open_visit

from .desk import BoardPage, Desk, Done, Question, Shown

Endpoint = Callable[[Context, ProjectView, Request], Awaitable[Response]]
MAX_RETURN = 1024
"""How much of an address is kept for after signing in."""


def serve(path: str, board: Mapping[str, BoardPage]) -> dict[str, Endpoint]:
    """The methods of a page's address."""
    page = board[path]

    async def get(context: Context, view: ProjectView, request: Request) -> Response:
        return await _show(page, path, await open_visit(context, view, request))

    async def post(context: Context, view: ProjectView, request: Request) -> Response:
        return await _act(board, path, await open_visit(context, view, request))

    return {"GET": get, "POST": post} if page.acts else {"GET": get}


async def _show(page: BoardPage, path: str, visit: Visit) -> Response:
    if visit.user is None:
        return visit.finish(redirect(_sign_in_first(path, visit)))
    _check_role(visit.user, page.roles)
    try:
        given: Mapping[str, str] = parse_query(visit.request.query)
    except OAuthError:
        given = {}
    return await _render(page, Desk(visit, visit.user, given))


async def _act(board: Mapping[str, BoardPage], path: str, visit: Visit) -> Response:
    form = await visit.form()
    _, user = visit.require_signed_in()
    page = board[path]
    _check_role(user, page.roles)
    name = form.get("act", "")
    act = page.acts.get(name)
    if act is None:
        raise PageError("There is no such form", "The page it was on may have changed.", status=404)
    _check_role(user, act.roles)
    desk = Desk(visit, user, form)
    try:
        if act.ask is not None and form.get("confirmed") != "yes":
            return _render_question(await act.ask(desk), desk, path)
        done = await act.run(desk)
    except ActionRefused as refused:
        shown = Shown(failed=name, errors={refused.about or "form": str(refused)}, values=form)
        return await _render(page, replace(desk, shown=shown))
    return await _show_done(board, path, desk, done)


async def _show_done(board: Mapping[str, BoardPage], path: str, desk: Desk, done: Done) -> Response:
    """The page after an act, as everything is by then."""
    visit = desk.visit
    visit.context.tenancy.forget()
    visit.view = await visit.context.tenancy.find(visit.view.project.slug) or visit.view
    given = desk.given if done.given is None else done.given
    after = Desk(visit, desk.user, given, Shown(notice=done.notice, secret=done.secret))
    return await _render(board[done.path or path], after)


def _render_question(question: Question, desk: Desk, path: str) -> Response:
    kept = {name: value for name, value in desk.given.items() if name not in ("csrf", "confirmed")}
    return desk.render("question.html", "", question=question, fields=kept, action=path)


async def _render(page: BoardPage, desk: Desk) -> Response:
    """The page; what it is about may be gone, or may never have been."""
    try:
        return await page.show(desk)
    except ActionRefused as gone:
        raise PageError("This is not here", str(gone), ("Go back to the dashboard.",), status=404) from None


def _check_role(user: User, roles: frozenset[Role]) -> None:
    if user.role in roles:
        return
    if user.role == "member":
        raise PageError("This page is for administrators", "Your account page shows what you let in.", status=403)
    may = " or ".join(sorted(roles))
    raise PageError(
        "Your role does not allow this",
        f"You are {user.role} here; this takes {may}.",
        ("Ask an owner of this project to do it, or to give you the role.",),
        status=403,
    )


def _sign_in_first(path: str, visit: Visit) -> str:
    query = visit.request.query.decode("ascii", "replace")
    target = f"{visit.view.project.path}{path}" + (f"?{query}" if query else "")
    wanted = target if len(target) <= MAX_RETURN else f"{visit.view.project.path}/dashboard"
    return f"{visit.view.project.path}/login?next={quote(wanted, safe='/')}"
