"""The address of the revocation feed.

Spec: product.md, feature 7, complaint 22; T52
"""

from doorward.asgi import NO_STORE, Request, Response
from doorward.oauth.errors import invalid_request
from doorward.oauth.forms import parse_query
from doorward.oauth.revocations import MAX_WAIT_SECONDS

from .context import Context
from .limiter import source_of
from .tenancy import ProjectView


async def answer_revocations(context: Context, view: ProjectView, request: Request) -> Response:
    """Everything that was announced after `cursor`; with `wait` and nothing new, as soon as there is, or empty."""
    form = parse_query(request.query)
    if form.repeated:
        raise invalid_request("A parameter is repeated.")
    wait = form.get("wait", "0")
    if not (wait.isascii() and wait.isdigit() and len(wait) <= 2 and int(wait) <= MAX_WAIT_SECONDS):
        raise invalid_request(f"wait is a number of seconds from 0 to {MAX_WAIT_SECONDS}.")
    source = source_of(context, request)
    document = await context.feed.read(view, form.get("cursor", ""), wait_seconds=int(wait), source=source)
    headers = [("content-type", "application/jwt"), ("x-content-type-options", "nosniff"), *NO_STORE]
    return Response(200, document, headers)
