"""What `DoorwardClient` asks of the SDK's client: whole lists, and a sign of life in every revision."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import mcp
from mcp_types import (
    Implementation,
    PaginatedResult,
    Prompt,
    Resource,
    ResourceTemplate,
    ServerCapabilities,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Page = TypeVar("Page", bound=PaginatedResult)
MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the server says of itself."""

    protocol_version: str
    capabilities: ServerCapabilities
    server_info: Implementation | None
    instructions: str | None


async def read_welcome(client: mcp.Client) -> Welcome:
    """What the server said when the connection was made."""
    return Welcome(client.protocol_version, client.server_capabilities, client.server_info, client.instructions)


async def ping(client: mcp.Client) -> None:
    """Return once the server has answered. 2026-07-28 has no `ping`: it is asked what the server is."""
    version = client.protocol_version
    if version in MODERN_PROTOCOL_VERSIONS:
        await client.session.send_discover(version)
    else:
        await client.session.send_ping()


async def list_tools(client: mcp.Client) -> list[Tool]:
    """The tools of every page."""
    return [tool for page in await fetch_pages(client.list_tools) for tool in page.tools]


async def list_resources(client: mcp.Client) -> list[Resource]:
    """The resources of every page."""
    return [resource for page in await fetch_pages(client.list_resources) for resource in page.resources]


async def list_templates(client: mcp.Client) -> list[ResourceTemplate]:
    """The templates of resources of every page."""
    return [
        template for page in await fetch_pages(client.list_resource_templates) for template in page.resource_templates
    ]


async def list_prompts(client: mcp.Client) -> list[Prompt]:
    """The prompts of every page."""
    return [prompt for page in await fetch_pages(client.list_prompts) for prompt in page.prompts]


async def fetch_pages(fetch: Callable[..., Awaitable[Page]]) -> list[Page]:
    """Every page; a server whose pages never end is cut off."""
    pages: list[Page] = []
    cursor: str | None = None
    while len(pages) < MAX_PAGES:
        page = await fetch(cursor=cursor)
        pages.append(page)
        if page.next_cursor is None or page.next_cursor == cursor:
            break
        cursor = page.next_cursor
    return pages
