"""Well-known documents: always public, never limited, never redirected.

Spec: RFC 8414 §3; RFC 9728 §3; clients.md §3.1
"""

from urllib.parse import urlsplit

from doorward.asgi import Request, Response, json_response
from doorward.core.models import DEFAULT_SLUG
from doorward.oauth.metadata import AUTHORIZATION_SERVER, OPENID_CONFIGURATION, PROTECTED_RESOURCE
from doorward.oauth.resources import match_key

from .context import Context
from .documents import Document, build_protected_resource
from .tenancy import split_path

WELL_KNOWN = "/.well-known/"
_CACHE = "public, max-age=300"
_NAMES = (AUTHORIZATION_SERVER, OPENID_CONFIGURATION)
_JWKS = "jwks.json"
DOCUMENTS = (*_NAMES, PROTECTED_RESOURCE, _JWKS)
"""What is answered below `/.well-known/`."""


async def answer_well_known(context: Context, request: Request) -> Response:
    """Any path with `/.well-known/` in it: the document, or 404 as JSON.

    A project's path may come before the well-known part or after it, with or without a trailing slash: clients try
    them in different orders, and a redirect stops some.
    """
    before, _, after = request.path.partition(WELL_KNOWN)
    name, _, inserted = after.rstrip("/").partition("/")
    path = f"{before}/{inserted}" if inserted else before
    if name == PROTECTED_RESOURCE:
        trailing = "/" if after.endswith("/") and inserted else ""
        request.learn(step="resource_metadata")
        return await _answer_protected_resource(
            context, request, f"{before}/{inserted}{trailing}" if inserted else path
        )
    slug, rest = split_path(path)
    if rest.strip("/") or (path.startswith("/p/") and slug == DEFAULT_SLUG):
        return not_found()
    view = await context.tenancy.find(slug)
    if view is None:
        return not_found()
    request.learn(project_id=view.project.project_id)
    if name in _NAMES:
        request.learn(step="metadata")
        return _answer(request, view.server_metadata)
    if name == _JWKS:
        return _answer(request, view.jwks)
    return not_found()


async def _answer_protected_resource(context: Context, request: Request, path: str) -> Response:
    """The metadata of a resource that lives on this origin; the root form answers when there is only one."""
    view = await context.tenancy.find(split_path(path)[0]) or await context.tenancy.find()
    if view is None:
        return not_found()
    request.learn(project_id=view.project.project_id)
    parts = urlsplit(view.issuer)
    origin = f"{parts.scheme}://{parts.netloc}"
    asked = f"{origin}{path}"
    here = [resource for resource in view.resources if match_key(resource.uri).startswith(f"{origin.lower()}/")]
    for resource in view.resources:
        for name in (resource.uri, *resource.settings.aliases):
            if match_key(name) == match_key(asked):
                return _answer(request, build_protected_resource(resource, view.issuer, _spelling(name, path)))
    if path in ("", "/") and len(here) == 1:
        return _answer(request, build_protected_resource(here[0], view.issuer, here[0].uri))
    return not_found()


def _spelling(uri: str, path: str) -> str:
    """The registered URI with or without a trailing slash, as it was asked for (clients.md no. 55)."""
    return f"{uri.removesuffix('/')}/" if path.endswith("/") else uri.removesuffix("/")


def _answer(request: Request, document: Document) -> Response:
    headers = [("content-type", "application/json"), ("cache-control", _CACHE), ("etag", document.etag)]
    if document.etag in request.header("if-none-match"):
        return Response(304, b"", headers)
    return Response(200, document.body, headers)


def not_found() -> Response:
    """404 as JSON, which clients that probe read as "not here"."""
    return json_response(
        {"error": "not_found", "error_description": "There is nothing at this address."},
        status=404,
        headers=(("cache-control", "no-store"),),
    )
