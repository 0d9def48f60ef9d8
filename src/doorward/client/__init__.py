"""The client side: gets itself into any protected MCP server.

Owns discovery, registration, authorization and tokens as a client sees them. Must not know the authorization server's
floors, nor look inside an access token. Flows are generators without I/O; `session` drives them.

`DoorwardClient` and `SyncDoorwardClient` need the MCP SDK (`pip install 'doorward[client]'`), which is imported when
they are first asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connect import DoorwardClient
    from .sync import SyncDoorwardClient

__all__ = ["DoorwardClient", "SyncDoorwardClient"]


def __getattr__(name: str) -> object:
    if name == "DoorwardClient":
        from .connect import DoorwardClient  # noqa: PLC0415  # the bare install has no MCP SDK

        return DoorwardClient
    if name == "SyncDoorwardClient":
        from .sync import SyncDoorwardClient  # noqa: PLC0415  # the bare install has no MCP SDK

        return SyncDoorwardClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
