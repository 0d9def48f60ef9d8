"""How a client finds out who protects a server: the challenge, then the well-known places, then the ways of 2025-03-26.

Each document is believed about itself alone: a resource's about the very server it was asked of, an issuer's about the
very issuer. Whatever else a document names is judged before it is contacted.

Spec: MCP Authorization, Discovery; RFC 9728 §3; RFC 8414 §3 (PRM-15 … PRM-21, ASM-19 … ASM-21, CLI-12)
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from doorward.oauth.challenges import Challenge
from doorward.oauth.metadata import AUTHORIZATION_SERVER, OPENID_CONFIGURATION, PROTECTED_RESOURCE, well_known_url
from doorward.oauth.resources import same_resource

from .addresses import check_contactable
from .documents import (
    ResourceMetadata,
    ServerMetadata,
    parse_object,
    parse_resource_metadata,
    parse_server_metadata,
)
from .effects import Answer, Flow, Send
from .errors import AnswerRefused, DiscoveryFailed, IssuerMismatch, RedirectRefused, ResourceMismatch

MAX_ISSUERS = 5
"""How many of a resource's issuers are tried: a list of thousands would make the client flood somebody."""
PROTOCOL_VERSION = "2026-07-28"
_HEADERS = {"accept": "application/json", "mcp-protocol-version": PROTOCOL_VERSION}
_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
)


@dataclass(frozen=True, slots=True)
class Discovery:
    """Who protects a server. `resource` is what to send as that parameter; `metadata` None where it has none."""

    resource: str
    server: ServerMetadata
    metadata: ResourceMetadata | None = None


def discover(
    server_url: str, challenge: Challenge | None = None, *, known_issuer: str | None = None
) -> Flow[Discovery]:
    """The authorization server of `server_url`, and the name of the resource there.

    Of several issuers the one that is known already is chosen, else the first that can be read. Raises
    `ResourceMismatch`, `IssuerMismatch`, `AddressRefused` and `DiscoveryFailed`.

    Spec: PRM-16 … PRM-21, CLI-12
    """
    metadata = yield from find_resource_metadata(server_url, challenge)
    if metadata is None:
        return (yield from _discover_legacy(server_url))
    issuers = metadata.authorization_servers
    if not issuers:
        raise DiscoveryFailed(f"The metadata of {server_url} names no authorization server.")
    if known_issuer in issuers:
        issuers = (known_issuer,)
    server = yield from _first_server(issuers, server_url)
    return Discovery(metadata.resource, server, metadata)


def find_resource_metadata(server_url: str, challenge: Challenge | None = None) -> Flow[ResourceMetadata | None]:
    """The document of the very resource `server_url`, or None where there is none anywhere.

    A document of another resource ends the search: who answers with one is confused or lies. The one exception is a
    document that names the whole origin: it counts where only the owner of the origin could have put it.

    Raises `ResourceMismatch`, and `DiscoveryFailed` where a place that may have one is failing.

    Spec: RFC 9728 §3.3 (PRM-16, PRM-17, PRM-21)
    """
    root = f"{_origin(server_url)}/.well-known/{PROTECTED_RESOURCE}"
    failing: Answer | None = None
    for url in _resource_places(server_url, challenge, root):
        answer = yield from _get_if_there(url, "the metadata of the server", server_url)
        if answer.status == 429 or answer.status >= 500:
            failing = answer
        document = parse_object(answer.body) if answer.status == 200 else None
        metadata = parse_resource_metadata(document) if document is not None else None
        if metadata is None:
            continue
        if same_resource(metadata.resource, server_url):
            return metadata
        if not same_resource(metadata.resource, _origin(server_url)):
            raise ResourceMismatch(
                f"{url} describes the resource {_shown(metadata.resource)}, not {server_url}. "
                "Use the address that it names, or have its owner correct it."
            )
        if url == root:
            return metadata
    if failing is not None:
        # What is only down for a moment must not pass for a server of the old kind.
        raise DiscoveryFailed(
            f"The metadata of {server_url} cannot be read now (HTTP {failing.status}). Try again later."
        )
    return None


def find_server_metadata(issuer: str, server_url: str) -> Flow[ServerMetadata]:
    """The document of the very `issuer`, from the first of its places that has one.

    Raises `IssuerMismatch` for a document of another, however it is spelled, `DiscoveryFailed` where there is none.

    Spec: RFC 8414 §3.3; MCP Authorization, Authorization Server Metadata Discovery (ASM-19, ASM-20)
    """
    check_contactable(issuer, what="the authorization server", server_url=server_url)
    elsewhere: RedirectRefused | None = None
    for url in server_places(issuer):
        try:
            answer = yield from _get(url, "the metadata of the authorization server", server_url)
        except RedirectRefused as error:
            elsewhere = elsewhere or error
            continue
        document = parse_object(answer.body) if answer.status == 200 else None
        server = parse_server_metadata(document) if document is not None else None
        if server is None:
            continue
        if server.issuer != issuer:
            raise IssuerMismatch(
                f"{url} is the metadata of the issuer {_shown(server.issuer)}, but {issuer} was asked. "
                "Both must be spelled alike, character by character."
            )
        return check_endpoints(server, server_url)
    raise elsewhere or DiscoveryFailed(f"The authorization server {issuer} publishes no metadata that could be read.")


def check_endpoints(server: ServerMetadata, server_url: str) -> ServerMetadata:
    """The same metadata, once every endpoint in it may be contacted. Raises `AddressRefused`. Spec: CLI-04, CLI-05"""
    for name in _ENDPOINTS:
        if (url := getattr(server, name)) is not None:
            check_contactable(url, what=f"the {name} of {server.issuer}", server_url=server_url)
    return server


def server_places(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be, in order. Spec: ASM-19"""
    appended = f"{issuer.removesuffix('/')}/.well-known/{OPENID_CONFIGURATION}"
    inserted = (well_known_url(issuer, AUTHORIZATION_SERVER), well_known_url(issuer, OPENID_CONFIGURATION))
    return tuple(dict.fromkeys((*inserted, appended)))


def _resource_places(server_url: str, challenge: Challenge | None, root: str) -> Iterable[str]:
    """The challenge's, the path-inserted, the root's, and the appended one that some servers have. Spec: PRM-16"""
    places: list[str] = []
    if challenge is not None and challenge.resource_metadata:
        try:
            # Some servers write a path where an address belongs; it can only mean their own.
            places.append(urljoin(server_url, challenge.resource_metadata))
        except ValueError:
            places.append(challenge.resource_metadata)  # to be refused as any other that is no address
    inserted = well_known_url(server_url, PROTECTED_RESOURCE)
    if urlsplit(server_url).path.endswith("/") and urlsplit(server_url).path != "/" and "?" not in server_url:
        places.append(f"{inserted}/")
    path, mark, query = server_url.partition("?")
    places += [inserted, root, f"{path.rstrip('/')}/.well-known/{PROTECTED_RESOURCE}{mark}{query}"]
    return dict.fromkeys(places)


def _first_server(issuers: tuple[str, ...], server_url: str) -> Flow[ServerMetadata]:
    """The first issuer that can be read; the error of the first where none can. Spec: PRM-19"""
    first: DiscoveryFailed | AnswerRefused | None = None
    for issuer in issuers[:MAX_ISSUERS]:
        try:
            return (yield from find_server_metadata(issuer, server_url))
        except IssuerMismatch:
            raise
        except (DiscoveryFailed, AnswerRefused) as error:
            first = first or error
    raise first or DiscoveryFailed(f"{server_url} names no authorization server.")


def _discover_legacy(server_url: str) -> Flow[Discovery]:
    """Servers of 2025-03-26: metadata at their own origin, else endpoints by default.

    A document there that names another issuer only says who that is: its endpoints are read from the issuer itself, or
    the server could have the secrets of any issuer sent to itself.

    Spec: CLI-12, LEG-03, T7
    """
    origin = _origin(server_url)
    place = f"{origin}/.well-known/{AUTHORIZATION_SERVER}"
    answer = yield from _get_if_there(place, "the metadata of the server", server_url)
    document = parse_object(answer.body) if answer.status == 200 else None
    server = parse_server_metadata(document) if document is not None else None
    if server is None:
        return Discovery(server_url, _default_server(origin))
    if server.issuer.removesuffix("/") == origin:
        return Discovery(server_url, check_endpoints(_with_default_endpoints(server, origin), server_url))
    return Discovery(server_url, (yield from find_server_metadata(server.issuer, server_url)))


def _default_server(origin: str) -> ServerMetadata:
    """The endpoints that servers of 2025-03-26 have where they publish nothing. Spec: CLI-12, LEG-02"""
    document = {
        "issuer": origin,
        "authorization_endpoint": f"{origin}/authorize",
        "token_endpoint": f"{origin}/token",
        "registration_endpoint": f"{origin}/register",
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
    }
    server = parse_server_metadata(document)
    assert server is not None  # noqa: S101  # it names its issuer
    return server


def _with_default_endpoints(server: ServerMetadata, origin: str) -> ServerMetadata:
    return replace(
        server,
        authorization_endpoint=server.authorization_endpoint or f"{origin}/authorize",
        token_endpoint=server.token_endpoint or f"{origin}/token",
    )


def _get_if_there(url: str, what: str, server_url: str) -> Flow[Answer]:
    """The answer; a 404 where it only leads elsewhere: many servers send what they do not know to a website."""
    try:
        return (yield from _get(url, what, server_url))
    except RedirectRefused:
        return Answer(404, (), b"", 0.0)


def _get(url: str, what: str, server_url: str) -> Flow[Answer]:
    check_contactable(url, what=what, server_url=server_url)
    answer = yield Send("GET", url, what, _HEADERS)
    assert isinstance(answer, Answer)  # noqa: S101  # what a Send results in
    return answer


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _shown(text: str) -> str:
    """Somebody else's text, fit for one line of a message."""
    clean = "".join(character if character.isprintable() else "�" for character in text)
    return clean if len(clean) <= 200 else f"{clean[:200]}…"
