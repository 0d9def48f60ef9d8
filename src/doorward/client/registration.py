"""How a client becomes known to an authorization server: given credentials, a document of its own, registration.

Spec: MCP Authorization, Client Registration Approaches (REG-01 … REG-03, CRED-01 … CRED-06, DCR-16 … DCR-18)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from doorward.oauth.client_documents import check_document_url
from doorward.oauth.errors import INSUFFICIENT_SCOPE, INVALID_CLIENT_METADATA, INVALID_SCOPE, OAuthError, printable
from doorward.oauth.redirects import is_loopback
from doorward.oauth.scopes import Scopes, format_scope

from .addresses import same_origin
from .client_auth import choose_method, order_secret_methods
from .documents import ServerMetadata, parse_object
from .effects import Answer, Flow, LoadRegistration, SaveRegistration, Send
from .errors import ClientError, IssuerChanged, RegistrationFailed, RegistrationNeeded
from .records import Registration

CODE_GRANTS = ("authorization_code", "refresh_token")
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_MAX_CLIENT_ID_LENGTH = 4096
_ABOUT_OPTIONS = frozenset({INVALID_CLIENT_METADATA, INVALID_SCOPE, INSUFFICIENT_SCOPE})
"""What servers say to a registration with scopes or grants that they do not have; Keycloak the last, with 403."""
_LAST_SECOND = 10**12
"""Later is never, and perhaps beyond every float."""


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """What a program says of itself, and the credentials it was given, if any.

    `issuer` is whom given credentials are for. `account` keeps several sign-ins of one person apart. `has_key` says
    that the client can prove itself with a key of its own. Raises `ValueError` for what cannot be.

    Spec: REG-03, CIMD-02, CIMD-29
    """

    client_name: str = "Doorward client"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    issuer: str | None = None
    client_metadata_url: str | None = None
    account: str = ""
    has_key: bool = False

    def __post_init__(self) -> None:
        if self.client_secret and not self.client_id:
            raise ValueError("A client_secret needs its client_id.")
        if self.client_metadata_url is not None:
            try:
                check_document_url(self.client_metadata_url)
            except OAuthError as error:
                raise ValueError(f"client_metadata_url: {error.description}") from None

    @property
    def key(self) -> str:
        """What connections of this client are kept under, without spaces."""
        name = self.client_id or self.client_metadata_url or f"name:{self.client_name}"
        return quote(name, safe=":/") + (f"#{quote(self.account, safe='')}" if self.account else "")


@dataclass(frozen=True, slots=True)
class RegistrationWish:
    """What the flow at hand needs of a registration. `redirect_uri` is None for grants without a browser."""

    redirect_uri: str | None
    grant_types: tuple[str, ...] = CODE_GRANTS
    scope: Scopes = ()
    now: float = 0.0
    """Epoch seconds, for secrets that expire."""

    def fits(self, registration: Registration) -> bool:
        """Whether an earlier registration still serves: its secret is good, and our redirect is in it as it is.

        Servers that ignore the port of a loopback redirect are common, those that do not are, too. Spec: RDU-10
        """
        expires = registration.secret_expires_at
        if expires is not None and expires <= self.now + 60:
            return False
        if self.redirect_uri is not None and self.redirect_uri not in registration.redirect_uris:
            return False
        return not registration.grant_types or self.grant_types[0] in registration.grant_types


def resolve_registration(
    identity: ClientIdentity, server: ServerMetadata, resource: str, wish: RegistrationWish
) -> Flow[Registration]:
    """How this client is known to `server`: by what it was given, by its document, or by registering.

    Raises `IssuerChanged` for given credentials of another issuer, `RegistrationFailed` when the server refuses, and
    `RegistrationNeeded` when there is no way without a person.

    Spec: REG-02, CRED-01 … CRED-06
    """
    if identity.client_id is not None:
        return build_given_registration(identity, server)
    if identity.client_metadata_url is not None and server.client_id_metadata_document_supported:
        return _build_document_registration(identity, server)
    stored = yield LoadRegistration(server.issuer, resource)
    if isinstance(stored, Registration) and stored.kind == "dynamic" and wish.fits(stored):
        return stored
    if server.registration_endpoint is None:
        raise RegistrationNeeded(
            f"{server.issuer} registers no clients by itself. Ask its operator for a client id, and give it."
        )
    registration = yield from register(identity, server, server.registration_endpoint, wish)
    yield SaveRegistration(resource, registration)
    return registration


def check_issuer(identity: ClientIdentity, server: ServerMetadata) -> None:
    """Accept `server` where the program did not name another issuer. Raises `IssuerChanged`. Spec: CRED-04, T7"""
    if identity.issuer is not None and identity.issuer != server.issuer:
        raise IssuerChanged(
            f"The credentials of this client are for {identity.issuer}, but the server now names {server.issuer}. "
            "They were not sent there. If the change is right, give the new issuer."
        )


def build_given_registration(identity: ClientIdentity, server: ServerMetadata) -> Registration:
    """The credentials that the program was given, for the one issuer they are for. Spec: CRED-02, CRED-04, T7"""
    assert identity.client_id is not None  # noqa: S101  # the caller looked
    check_issuer(identity, server)
    method = choose_method(
        server.token_endpoint_auth_methods_supported,
        has_secret=identity.client_secret is not None,
        has_key=identity.has_key,
        registered=None,
    )
    return Registration(
        server.issuer, "preregistered", identity.client_id, identity.client_secret, token_endpoint_auth_method=method
    )


def _build_document_registration(identity: ClientIdentity, server: ServerMetadata) -> Registration:
    """The client whose id is the address of its document: known everywhere, registered nowhere.

    With a key the document says `private_key_jwt`; a server that lists its methods without it takes no such client as
    more than a public one. Spec: CRED-06, CIMD-29
    """
    assert identity.client_metadata_url is not None  # noqa: S101  # the caller looked
    offered = server.token_endpoint_auth_methods_supported
    by_key = identity.has_key and (offered is None or "private_key_jwt" in offered)
    method = "private_key_jwt" if by_key else "none"
    return Registration(server.issuer, "document", identity.client_metadata_url, token_endpoint_auth_method=method)


def register(
    identity: ClientIdentity, server: ServerMetadata, endpoint: str, wish: RegistrationWish
) -> Flow[Registration]:
    """Register at `endpoint`. A refusal is answered by asking once without what is optional. Spec: DCR-16, DCR-17"""
    body = _build_request(identity, server, wish)
    answer = yield from _post(endpoint, body)
    less = _without_options(body, server)
    if answer.status in {400, 403} and _error_of(answer)[0] in _ABOUT_OPTIONS and less != body:
        body = less
        answer = yield from _post(endpoint, body)
    if answer.status not in {200, 201}:
        code, description = _error_of(answer)
        said = f"{code}: {description}" if description else code or f"HTTP {answer.status}"
        raise RegistrationFailed(f"{server.issuer} refused to register this client ({said}). {_advise(answer.status)}")
    return _parse_answer(answer, server, endpoint, body)


def _advise(status: int) -> str:
    """What the person may do about a refused registration."""
    if status == HTTPStatus.NOT_FOUND:
        return "Perhaps the MCP server needs no sign-in; if it does, its operator has to give you a client_id."
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Try again later."
    return "Its operator can give you a client_id to use instead."


def unregister(registration: Registration) -> Flow[bool]:
    """Remove a registration that was made here; whether it is gone. Spec: RFC 7592 §2.3"""
    if registration.management_uri is None or registration.management_token is None:
        return False
    headers = {"authorization": f"Bearer {registration.management_token}", "accept": "application/json"}
    try:
        answer = yield Send("DELETE", registration.management_uri, "the removal of this client", headers)
    except ClientError:
        return False
    return isinstance(answer, Answer) and answer.status in {204, 200, 401, 404}


def _build_request(identity: ClientIdentity, server: ServerMetadata, wish: RegistrationWish) -> dict[str, Any]:
    offered = server.token_endpoint_auth_methods_supported
    redirect_uri = wish.redirect_uri
    native = redirect_uri is None or is_loopback(redirect_uri) or not redirect_uri.startswith("https:")
    body: dict[str, Any] = {
        "client_name": identity.client_name,
        "redirect_uris": [redirect_uri] if redirect_uri else None,
        "grant_types": list(wish.grant_types),
        # Left out, it means `code`, which cannot be without a redirect URI.
        "response_types": ["code"] if redirect_uri else [],
        "token_endpoint_auth_method": _wish_method(offered),
        "application_type": "native" if native else "web",
        "scope": format_scope(wish.scope) or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _without_options(body: Mapping[str, Any], server: ServerMetadata) -> dict[str, Any]:
    """The same request with no scope, and of the grants only those that the server lists, if it lists any."""
    grants = body["grant_types"]
    listed = [grant for grant in grants if grant in (server.grant_types_supported or grants)]
    return {name: value for name, value in body.items() if name != "scope"} | {"grant_types": listed or grants}


def _wish_method(offered: tuple[str, ...] | None) -> str:
    """`none` wherever it may be: a secret on everybody's machine is none. Spec: O21 §2.1"""
    if offered is None or "none" in offered:
        return "none"
    return next((method for method in order_secret_methods(offered) if method in offered), "none")


def _parse_answer(answer: Answer, server: ServerMetadata, endpoint: str, asked: Mapping[str, Any]) -> Registration:
    """The registration as the server made it, which may differ from what was asked for. Spec: DCR-18"""
    members = parse_object(answer.body)
    client_id = members.get("client_id") if members else None
    if members is None or not isinstance(client_id, str) or not _is_credential(client_id):
        raise RegistrationFailed(f"{server.issuer} registered this client, but its answer holds no client_id.")
    secret = members.get("client_secret")
    if secret is not None and (not isinstance(secret, str) or not _is_credential(secret)):
        raise RegistrationFailed(f"{server.issuer} gave a client_secret that cannot be used.")
    redirect_uris = _strings(members.get("redirect_uris"), default=asked.get("redirect_uris", ()))
    missing = [uri for uri in asked.get("redirect_uris", ()) if uri not in redirect_uris]
    if missing:
        raise RegistrationFailed(f"{server.issuer} registered this client without its redirect URI {missing[0]}.")
    management = members.get("registration_client_uri")
    token = members.get("registration_access_token")
    manageable = isinstance(management, str) and isinstance(token, str) and _is_credential(token)
    return Registration(
        issuer=server.issuer,
        kind="dynamic",
        client_id=client_id,
        client_secret=secret or None,
        secret_expires_at=_expiry(members.get("client_secret_expires_at")) if secret else None,
        token_endpoint_auth_method=_answered_method(members, server, asked, has_secret=bool(secret)),
        redirect_uris=redirect_uris,
        grant_types=_strings(members.get("grant_types"), default=asked["grant_types"]),
        management_uri=management if manageable and same_origin(str(management), endpoint) else None,
        management_token=token if manageable else None,
    )


def _answered_method(
    members: Mapping[str, Any], server: ServerMetadata, asked: Mapping[str, Any], *, has_secret: bool
) -> str:
    answered = members.get("token_endpoint_auth_method")
    if isinstance(answered, str) and answered:
        # A secret-based method without a secret can only mean that there is none to send.
        return answered if has_secret or not answered.startswith("client_secret") else "none"
    if not has_secret:
        return "none"
    offered = server.token_endpoint_auth_methods_supported
    return choose_method(offered, has_secret=True, has_key=False, registered=_secret_method(asked))


def _secret_method(asked: Mapping[str, Any]) -> str | None:
    method = asked.get("token_endpoint_auth_method")
    return method if isinstance(method, str) and method.startswith("client_secret") else None


def _post(endpoint: str, body: Mapping[str, Any]) -> Flow[Answer]:
    headers = {"content-type": "application/json", "accept": "application/json"}
    answer = yield Send("POST", endpoint, "the registration of this client", headers, json.dumps(body).encode())
    if not isinstance(answer, Answer):
        raise ClientError("The registration got no answer.")
    return answer


def _error_of(answer: Answer) -> tuple[str, str]:
    """(error code, description) of a refusal, fit to be shown; empty where it does not say."""
    members = parse_object(answer.body) or {}
    code, description = members.get("error"), members.get("error_description")
    return (
        printable(code)[:100] if isinstance(code, str) else "",
        printable(description)[:300] if isinstance(description, str) else "",
    )


def _is_credential(text: str) -> bool:
    """Whether a header and a form can carry it. Spec: RFC 6749 appendix A (VSCHAR)"""
    return 0 < len(text) <= _MAX_CLIENT_ID_LENGTH and text.isascii() and text.isprintable()


def _expiry(value: Any) -> float | None:
    """When a secret ends; 0, nothing and nonsense mean never. Spec: RFC 7591 §3.2.1"""
    is_time = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LAST_SECOND
    return float(value) if is_time else None


def _strings(value: Any, *, default: Any) -> tuple[str, ...]:
    found = tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
    return found or tuple(default)
