"""What a client keeps: how it is known to an issuer, and what it was given there.

One `Connection` for each (issuer, resource, client): nothing of one issuer is ever looked up for another.

Spec: CRED-01 … CRED-06, RT-09, CLI-09
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from doorward.oauth.scopes import Scopes

RegistrationKind = Literal["preregistered", "document", "dynamic"]


@dataclass(frozen=True, slots=True)
class Registration:
    """A client id and what goes with it, at the issuer that it is for. Spec: REG-01, CRED-01"""

    issuer: str
    kind: RegistrationKind
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    secret_expires_at: float | None = None
    """Epoch seconds; None where it does not expire."""
    token_endpoint_auth_method: str = "none"
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    management_uri: str | None = None
    """`registration_client_uri`, where the registration can be read and removed. Spec: RFC 7592 §3"""
    management_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """An answer of the token endpoint. Times are epoch seconds, `expires_at` None where the server did not say.

    The access token is for the server alone: nothing here looks inside. Spec: AT-05, RT-09
    """

    access_token: str = field(repr=False)
    token_type: Literal["Bearer", "DPoP"]
    issued_at: float
    expires_at: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    scope: Scopes = ()
    """What was granted, as the answer said; where it said nothing, what was asked for."""
    requested: Scopes = ()
    """Everything that was ever asked for on this connection: a step-up asks for these and more. Spec: STEP-06"""


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything kept of one (issuer, resource, client)."""

    registration: Registration | None = None
    tokens: Tokens | None = None
    dpop_key: dict[str, Any] | None = field(default=None, repr=False)
    """The private JWK that proofs are signed with; its tokens are worth nothing without it."""

    def with_tokens(self, tokens: Tokens | None) -> "Connection":
        """The same connection with other tokens."""
        return replace(self, tokens=tokens)

    def with_registration(self, registration: Registration | None) -> "Connection":
        """The same connection, registered otherwise."""
        return replace(self, registration=registration)


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """Where a server's tokens came from last, so that the next start needs no discovery.

    `server_metadata` is the issuer's document as it was read at `read_at` (epoch seconds).
    """

    issuer: str
    resource: str
    server_metadata: dict[str, Any]
    read_at: float


def dump_connection(connection: Connection) -> dict[str, Any]:
    """The JSON object to keep; absent members are left out."""
    return {name: _without_none(value) for name, value in asdict(connection).items() if value is not None}


def load_connection(document: dict[str, Any]) -> Connection:
    """Read back what `dump_connection` wrote. Raises `KeyError` or `TypeError` for anything else."""
    registration, tokens = document.get("registration"), document.get("tokens")
    return Connection(
        registration=Registration(**_with_tuples(registration, "redirect_uris", "grant_types"))
        if registration
        else None,
        tokens=Tokens(**_with_tuples(tokens, "scope", "requested")) if tokens else None,
        dpop_key=document.get("dpop_key"),
    )


def dump_server(record: ServerRecord) -> dict[str, Any]:
    """The JSON object to keep."""
    return asdict(record)


def load_server(document: dict[str, Any]) -> ServerRecord:
    """Read back what `dump_server` wrote. Raises `TypeError` for anything else."""
    return ServerRecord(**document)


def _without_none(value: Any) -> Any:
    return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value


def _with_tuples(members: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: tuple(value) if name in names else value for name, value in members.items()}
