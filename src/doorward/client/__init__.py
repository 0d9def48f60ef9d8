"""The client side: gets itself into any protected MCP server.

Owns discovery, registration, authorization and tokens as a client sees them. Must not know the authorization server's
floors, nor look inside an access token. Flows are generators without I/O; `session` drives them.

`DoorwardClient` and `SyncDoorwardClient` need the MCP SDK (`pip install 'doorward[client]'`), which is imported when
one of them is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from doorward.oauth.jwt import SigningKey

from .agents import AgentGrant, ClientCredentials, IdentityAssertion, IdentityProvider, WorkloadIdentity
from .auth import DoorwardAuth
from .browser import BrowserInteraction
from .devices import DeviceInteraction, NoInteraction
from .effects import ShowUserCode
from .errors import (
    AccessDenied,
    AddressRefused,
    AnswerRefused,
    AuthorizationFailed,
    CallbackIssuerMismatch,
    ClientError,
    DiscoveryFailed,
    IssuerChanged,
    IssuerMismatch,
    LoginRequired,
    PkceUnsupported,
    RegistrationFailed,
    RegistrationNeeded,
    ResourceMismatch,
    ServerRefused,
    ServerUnreachable,
    StateMismatch,
    StepUpFailed,
    StoreUnavailable,
    TokenRequestFailed,
)
from .interaction import Interaction, Redirect
from .keys import load_signing_key
from .pasting import PasteInteraction
from .records import Tokens
from .session import Session
from .storage import Store
from .stores import FileStore, KeyringStore, MemoryStore, open_store

if TYPE_CHECKING:
    from .asking import Welcome
    from .connect import DoorwardClient
    from .sync import SyncDoorwardClient

__all__ = [
    "AccessDenied",
    "AddressRefused",
    "AgentGrant",
    "AnswerRefused",
    "AuthorizationFailed",
    "BrowserInteraction",
    "CallbackIssuerMismatch",
    "ClientCredentials",
    "ClientError",
    "DeviceInteraction",
    "DiscoveryFailed",
    "DoorwardAuth",
    "DoorwardClient",
    "FileStore",
    "IdentityAssertion",
    "IdentityProvider",
    "Interaction",
    "IssuerChanged",
    "IssuerMismatch",
    "KeyringStore",
    "LoginRequired",
    "MemoryStore",
    "NoInteraction",
    "PasteInteraction",
    "PkceUnsupported",
    "Redirect",
    "RegistrationFailed",
    "RegistrationNeeded",
    "ResourceMismatch",
    "ServerRefused",
    "ServerUnreachable",
    "Session",
    "ShowUserCode",
    "SigningKey",
    "StateMismatch",
    "StepUpFailed",
    "Store",
    "StoreUnavailable",
    "SyncDoorwardClient",
    "TokenRequestFailed",
    "Tokens",
    "Welcome",
    "WorkloadIdentity",
    "load_signing_key",
    "open_store",
]

_WITH_THE_SDK = {"DoorwardClient": ".connect", "Welcome": ".asking", "SyncDoorwardClient": ".sync"}


def __getattr__(name: str) -> object:
    if name not in _WITH_THE_SDK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_WITH_THE_SDK[name], __name__)
    except ModuleNotFoundError as missing:
        if missing.name not in {"mcp", "mcp_types"}:
            raise
        raise ImportError(f"{name} needs the MCP SDK: pip install 'doorward[client]'") from missing
    return getattr(module, name)
