"""Resources: the MCP servers of a project, with what is known of their tools."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from doorward.core.models import Resource, ResourceSettings, Scope, ScopeKind, TokenFormat
from doorward.manage import resources, revocations

from .paging import page_of
from .shapes import Answer, Body, Line, Lines, Name, Page, Paging, Patch, Time
from .table import Call, Operation


class ToolAnswer(Answer):
    """A tool of an MCP server as people are shown it."""

    name: str
    title: str
    kind: ScopeKind
    since: int = Field(description="The version of the list of tools in which it became what it is.")
    digest: str
    is_listed: bool


class ScopeAnswer(Answer):
    """A scope with the words people decide on."""

    name: str
    title: str
    description: str
    kind: ScopeKind
    tools: list[ToolAnswer]


class ResourceAnswer(Answer):
    """An MCP server with its settings."""

    resource_id: str
    uri: str
    name: str
    scopes: list[ScopeAnswer]
    default_scopes: list[str]
    default: bool
    token_format: TokenFormat
    token_alg: str
    access_token_seconds: int
    aliases: list[str]
    dpop_required: bool
    budgets: list[str]
    stopped_at: Time | None


class ToolList(Answer):
    """The tools that an MCP server told of."""

    items: list[ToolAnswer]


class ScopeBody(Body):
    """A scope; tools that were told for it are kept."""

    name: Name
    title: Name = ""
    description: Line = ""
    kind: ScopeKind = "read"


class ResourceBody(Body):
    """An MCP server to add."""

    uri: Line
    name: Name = ""
    scopes: Annotated[list[ScopeBody], Field(max_length=200)] = []
    default_scopes: Lines = []
    default: bool = False
    token_format: TokenFormat = "jwt"
    token_alg: Name = "ES256"
    access_token_seconds: int = 0
    aliases: Lines = []
    dpop_required: bool = False
    budgets: Lines = []


class ResourcePatch(Patch):
    """What of an MCP server is to change."""

    name: Annotated[Name, Field(min_length=1)] = ""
    scopes: Annotated[list[ScopeBody], Field(max_length=200)] = []
    default_scopes: Lines = []
    default: Annotated[bool, Field(description="Only true: another one becomes it instead.")] = True
    token_format: TokenFormat = "jwt"
    token_alg: Name = "ES256"
    access_token_seconds: int = 0
    aliases: Lines = []
    dpop_required: bool = False
    budgets: Lines = []


class ResourcePage(Page[ResourceAnswer]):
    """MCP servers, oldest first."""


def _answer(resource: Resource) -> ResourceAnswer:
    shown = resources.describe(resource)
    shown["scopes"] = [_scope(scope) for scope in resource.scopes]
    return ResourceAnswer(**shown)


def _scope(scope: Scope) -> dict[str, Any]:
    return {**asdict(scope), "tools": [asdict(tool) for tool in scope.tools]}


def _scopes(bodies: list[ScopeBody], known: tuple[Scope, ...]) -> tuple[Scope, ...]:
    tools = {scope.name: scope.tools for scope in known}
    return tuple(
        Scope(body.name, body.title or body.name, body.description, body.kind, tools.get(body.name, ()))
        for body in bodies
    )


async def _find(call: Call) -> Resource:
    return await resources.get(call.operator, call.project, call.named["resource_id"])


async def list_resources(call: Call, paging: Paging) -> ResourcePage:
    found = await resources.list_all(call.operator, call.project)
    items, cursor = page_of(found, paging, lambda resource: (resource.created_at, resource.resource_id))
    return ResourcePage(items=[_answer(resource) for resource in items], next_cursor=cursor)


async def add_resource(call: Call, body: ResourceBody) -> ResourceAnswer:
    settings = ResourceSettings(
        token_format=body.token_format,
        token_alg=body.token_alg,
        access_token_seconds=body.access_token_seconds,
        aliases=tuple(body.aliases),
        dpop_required=body.dpop_required,
        budgets=tuple(body.budgets),
    )
    added = await resources.add(
        call.operator,
        call.project,
        body.uri,
        name=body.name,
        scopes=_scopes(body.scopes, ()),
        default_scopes=tuple(body.default_scopes),
        is_default=body.default,
        settings=settings,
    )
    return _answer(added)


async def show_resource(call: Call) -> ResourceAnswer:
    return _answer(await _find(call))


async def change_resource(call: Call, body: ResourcePatch) -> ResourceAnswer:
    found, changes = await _find(call), body.chosen()
    if "scopes" in changes:
        changes["scopes"] = _scopes(body.scopes, found.scopes)
        readable = tuple(scope.name for scope in changes["scopes"] if scope.kind == "read")
        changes.setdefault("default_scopes", readable)
    if changes.pop("default", False):
        changes["is_default"] = True
    return _answer(await resources.change(call.operator, found, **changes))


async def remove_resource(call: Call) -> None:
    await resources.remove(call.operator, await _find(call))


async def list_tools(call: Call) -> ToolList:
    return ToolList(items=[ToolAnswer(**asdict(tool)) for tool in (await _find(call)).tools])


async def revoke_resource(call: Call) -> ResourceAnswer:
    await revocations.revoke_resource(call.operator, await _find(call))
    return _answer(await _find(call))


async def stop_resource(call: Call) -> ResourceAnswer:
    await revocations.stop_server(call.operator, await _find(call))
    return _answer(await _find(call))


async def resume_resource(call: Call) -> ResourceAnswer:
    await revocations.resume_server(call.operator, await _find(call))
    return _answer(await _find(call))


_ONE = "/resources/{resource_id}"
OPERATIONS = (
    Operation(
        "GET",
        "/resources",
        "listResources",
        "The MCP servers of this project",
        "resources",
        list_resources,
        ResourcePage,
        query=Paging,
    ),
    Operation(
        "POST",
        "/resources",
        "addResource",
        "Add an MCP server",
        "resources",
        add_resource,
        ResourceAnswer,
        ResourceBody,
        once=True,
    ),
    Operation("GET", _ONE, "showResource", "One MCP server", "resources", show_resource, ResourceAnswer),
    Operation(
        "PATCH",
        _ONE,
        "changeResource",
        "Change an MCP server",
        "resources",
        change_resource,
        ResourceAnswer,
        ResourcePatch,
    ),
    Operation(
        "DELETE", _ONE, "removeResource", "Remove an MCP server; every grant for it ends", "resources", remove_resource
    ),
    Operation(
        "GET", f"{_ONE}/tools", "listTools", "The tools that an MCP server told of", "resources", list_tools, ToolList
    ),
    Operation(
        "POST",
        f"{_ONE}/revoke",
        "revokeResource",
        "End every grant and token for an MCP server",
        "resources",
        revoke_resource,
        ResourceAnswer,
    ),
    Operation(
        "POST",
        f"{_ONE}/stop",
        "stopResource",
        "Let nothing for an MCP server in until it is resumed",
        "resources",
        stop_resource,
        ResourceAnswer,
    ),
    Operation(
        "POST",
        f"{_ONE}/resume",
        "resumeResource",
        "Take a stop of an MCP server back",
        "resources",
        resume_resource,
        ResourceAnswer,
    ),
)
