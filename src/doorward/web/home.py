"""The front door for people who open the issuer in a browser."""

from doorward.asgi import Request, Response
from doorward.server.context import Context
from doorward.server.tenancy import ProjectView

from .visit import open_visit


async def show_home(context: Context, view: ProjectView, request: Request) -> Response:
    """What this address is, and where to sign in."""
    visit = await open_visit(context, view, request)
    return visit.render("home.html")
