"""A person's own page: connected apps, sessions."""

from doorward.asgi import Request, Response, redirect
from doorward.core import audit
from doorward.core.agents import describe_agent
from doorward.core.models import User
from doorward.manage import connections, factors
from doorward.manage.operator import Operator
from doorward.oauth.ids import TokenHash
from doorward.oauth.redirects import display_host
from doorward.server.context import Context
from doorward.server.tenancy import ProjectView

from .budgets import describe_budgets
from .identities import describe_ways_in
from .pages import ago, ahead
from .visit import Visit, open_visit


async def show_account(context: Context, view: ProjectView, request: Request) -> Response:
    """What the person let in, and where they are signed in."""
    visit = await open_visit(context, view, request)
    if visit.signed_in is None:
        return visit.finish(redirect(f"{view.project.path}/login?next={view.project.path}/account"))
    return await render_account(visit)


async def post_revoke_connection(context: Context, view: ProjectView, request: Request) -> Response:
    """End one connection at once."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    _, user = visit.require_signed_in()
    grant_id = form.get("grant_id", "")
    await connections.revoke(_operator(visit, user), view.project, user, grant_id)
    return await render_account(visit, notice="Access was taken back. The app's next call is refused.")


async def post_reopen_connection(context: Context, view: ProjectView, request: Request) -> Response:
    """Let an app be let in again that the person, or an administrator, ended."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    _, user = visit.require_signed_in()
    await connections.reopen(_operator(visit, user), view.project, user, form.get("grant_id", ""))
    return await render_account(
        visit, notice="The app may come back. It has no access until it is let in for you again."
    )


async def post_end_sessions(context: Context, view: ProjectView, request: Request) -> Response:
    """Sign out everywhere else."""
    visit = await open_visit(context, view, request)
    await visit.form()
    session, user = visit.require_signed_in()
    await connections.end_others(_operator(visit, user), session)
    return await render_account(visit, notice="You are signed out everywhere else.")


async def post_end_session(context: Context, view: ProjectView, request: Request) -> Response:
    """Sign out one other browser."""
    visit = await open_visit(context, view, request)
    form = await visit.form()
    _, user = visit.require_signed_in()
    session_hash = read_session_name(form.get("session", ""))
    ended = session_hash is not None and await connections.end_one(_operator(visit, user), user, session_hash)
    return await render_account(visit, notice="That browser is signed out." if ended else "It was signed out already.")


def read_session_name(name: str) -> TokenHash | None:
    """What a form calls a session by: the hash that it is stored under, which opens nothing."""
    try:
        return TokenHash(bytes.fromhex(name))
    except ValueError:
        return None


def operator_of(visit: Visit, actor: str) -> Operator:
    """The one who acts through this page."""
    context = visit.context
    return Operator(context.database, context.vault, context.clock, actor)


async def render_account(visit: Visit, notice: str | None = None) -> Response:
    """The account page of whoever is signed in."""
    session, user = visit.require_signed_in()
    operator, project, now = _operator(visit, user), visit.view.project, visit.request.now
    apps = await connections.list_apps(operator, project, user)
    ended = await connections.list_ended(operator, project, user)
    sessions = await connections.sessions(operator, project, user)
    found = await factors.load(operator, user)
    return visit.render(
        "account.html",
        notice=notice,
        ways_in=_ways_in(found),
        has_second_step=bool(found.passkeys) or found.has_authenticator,
        providers=await describe_ways_in(operator, visit, user),
        connections=[
            {
                "grant_id": app.grant.grant_id,
                "client_name": app.client.client_name or app.client.host or app.grant.client_id,
                "client_host": display_host(app.grant.redirect_uri) if app.grant.redirect_uri else "",
                "resource_name": app.resource_name,
                "scopes": list(app.scope_titles),
                "budgets": describe_budgets(app.budgets),
                "created": ago(app.grant.created_at, now),
                "device": app.grant.device_label,
                "let_in_by": display_host(app.let_in_by) if app.let_in_by else "",
                "last_used": ago(app.last_used_at, now),
                "ends": ahead(app.expires_at, now),
            }
            for app in apps
        ],
        kept_out=[
            {
                "grant_id": app.grant_id,
                "client_name": app.client.client_name or app.client.host or app.client_id,
                "resource_name": app.resource_name,
                "ended": ago(app.ended_at, now),
            }
            for app in ended
        ],
        sessions=[
            {
                "agent": describe_agent(entry.agent) or entry.agent,
                "created": ago(entry.created_at, now),
                "last_seen": ago(entry.last_seen_at, now),
                "name": entry.session_hash.hex(),
                "current": entry.session_hash == session.session_hash,
            }
            for entry in sessions
        ],
    )


def _ways_in(found: factors.Factors) -> list[str]:
    """What a person signs in with, in words."""
    count = len(found.passkeys)
    ways = [f"{count} passkeys" if count > 1 else "a passkey"] if count else []
    if found.has_password:
        ways.append("a password and an authenticator app" if found.has_authenticator else "a password")
    return ways


def _operator(visit: Visit, user: User) -> Operator:
    return operator_of(visit, audit.user_actor(user.user_id))
