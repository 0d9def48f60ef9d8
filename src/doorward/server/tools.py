"""What a protected server elsewhere tells of its tools, so that people are shown them before they are called.

Spec: product.md, Resources, scopes, tools; feature 8 (T14)
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from doorward.asgi import Request, Response, json_response
from doorward.core import audit
from doorward.core.limits import TOOLS_KEY
from doorward.core.models import ProjectKey, Resource
from doorward.core.policy import resource_keys
from doorward.core.tools import GROUPS, known_tools, learn_tools
from doorward.oauth.errors import INVALID_REQUEST, INVALID_SCOPE, INVALID_TARGET, OAuthError, invalid_request
from doorward.oauth.forms import parse_json_object
from doorward.oauth.resources import match_key, parse_resource
from doorward.oauth.scopes import Scopes
from doorward.oauth.tools import MAX_TOOLS, ListedTool, describe_tool, latest_version, parse_told_tool
from doorward.storage.tools import change_tools

from .context import Context
from .limiter import spend_limit
from .registration import authenticate_key, unauthorized
from .tenancy import ProjectView

TOOLS_BODY_LIMIT = 1024 * 1024


async def answer_tools(context: Context, view: ProjectView, request: Request) -> Response:
    """Take the whole list of a server's tools, and answer the version of each. Bearer: a key with introspect.

    A key for one server tells of no other. Scopes that an operator has not made are not made here, but for those of
    all tools that read and of all that write.
    """
    key = await authenticate_key(context, view, request, "introspect")
    if key is None:
        raise unauthorized("Telling of tools needs a project key that may introspect.", presented=False)
    await spend_limit(context, view.project.project_id, TOOLS_KEY, key.key_id, request.now)
    members = parse_json_object(await request.body(), request.header("content-type"), code=INVALID_REQUEST)
    resource = _find_resource(view, key, members.get("resource"))
    listed = _parse_list(members.get("tools"))
    opened_by = _parse_scopes(members.get("scopes", {}), resource)
    changed = await context.database.write(
        change_tools,
        view.project.project_id,
        resource.resource_id,
        partial(learn_tools, listed=listed, opened_by=opened_by, now=request.now),
        actor=audit.key_actor(key.key_id),
        now=request.now,
    )
    if changed is None:
        raise _unknown()
    if changed != resource:
        context.tenancy.forget()  # the next consent page shows what the guard holds back
    known = known_tools(changed.scopes)
    return json_response({"version": latest_version(known), "tools": [describe_tool(entry) for entry in known]})


def _find_resource(view: ProjectView, key: ProjectKey, uri: object) -> Resource:
    """The server that is named, by any of its names. What a key may not tell of is as good as not there."""
    if not isinstance(uri, str):
        raise invalid_request("The member resource is required.")
    wanted = match_key(parse_resource(uri))
    found = next((resource for resource in view.resources if wanted in resource_keys(resource)), None)
    if found is None or key.resource_id not in (None, found.resource_id):
        raise _unknown()
    return found


def _unknown() -> OAuthError:
    return OAuthError(INVALID_TARGET, "The resource is not known here, or this key is for another one.", status=404)


def _parse_list(members: object) -> tuple[ListedTool, ...]:
    """The whole list, read strictly: a tool that is left out would count as gone."""
    if not isinstance(members, list) or len(members) > MAX_TOOLS:
        raise invalid_request(f"Send an array of at most {MAX_TOOLS} tools.")
    try:
        listed = {tool.name: tool for tool in map(parse_told_tool, members)}
    except ValueError as error:
        raise invalid_request(str(error)) from None
    if len(listed) != len(members):
        raise invalid_request("A tool is listed twice.")
    return tuple(listed.values())


def _parse_scopes(members: object, resource: Resource) -> Mapping[str, Scopes]:
    """The scopes of single tools, of those that the resource has."""
    if not isinstance(members, dict):
        raise invalid_request("The scopes of tools must be an object.")
    known = {*resource.scope_names, *(scope.name for scope in GROUPS)}
    return {name: _parse_names(names, known) for name, names in members.items()}


def _parse_names(names: Any, known: set[str]) -> Scopes:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid_request("The scopes of a tool must be an array of strings.")
    if not known.issuperset(names):
        raise OAuthError(INVALID_SCOPE, "A scope of a tool is not one of the resource's.")
    return tuple(dict.fromkeys(names))
