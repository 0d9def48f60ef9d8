"""The two documents a client reads: of the protected resource, and of its authorization server.

Read leniently, judged strictly: unknown members are ignored, optional ones of a wrong type are as if absent, and what
decides where secrets go is compared byte by byte by `discovery`.

Spec: RFC 9728 §2, §3.2; RFC 8414 §2 (PRM-15)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from doorward.oauth.scopes import MAX_SCOPES, Scopes, is_scope, union
from doorward.oauth.strict_json import parse_strict_json

_KEPT = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "require_pushed_authorization_requests",
    "scopes_supported",
    "grant_types_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "code_challenge_methods_supported",
    "dpop_signing_alg_values_supported",
    "authorization_response_iss_parameter_supported",
    "client_id_metadata_document_supported",
)


@dataclass(frozen=True, slots=True)
class ResourceMetadata:
    """What a protected resource says of itself. `scopes_supported` is None where it says nothing."""

    resource: str
    authorization_servers: tuple[str, ...]
    scopes_supported: tuple[str, ...] | None = None
    dpop_bound_access_tokens_required: bool = False


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What an authorization server says of itself. Members that decide by being absent are None then."""

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    require_pushed_authorization_requests: bool = False
    scopes_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] | None = None
    dpop_signing_alg_values_supported: tuple[str, ...] = ()
    iss_parameter_supported: bool = False
    client_id_metadata_document_supported: bool = False
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What was read of the document, to be kept and read again."""


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is, or None: duplicate members are nobody's document."""
    try:
        value = parse_strict_json(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def parse_resource_metadata(document: Mapping[str, Any]) -> ResourceMetadata | None:
    """The resource's document, or None where it lacks the one member that makes it one. Spec: PRM-05, PRM-15"""
    resource = _text(document, "resource")
    if resource is None:
        return None
    return ResourceMetadata(
        resource=resource,
        authorization_servers=_texts(document, "authorization_servers") or (),
        scopes_supported=_scopes(document),
        dpop_bound_access_tokens_required=document.get("dpop_bound_access_tokens_required") is True,
    )


def parse_server_metadata(document: Mapping[str, Any]) -> ServerMetadata | None:
    """The authorization server's document, or None where it names no issuer. Spec: RFC 8414 §3.2"""
    issuer = _text(document, "issuer")
    if issuer is None:
        return None
    return ServerMetadata(
        issuer=issuer,
        authorization_endpoint=_text(document, "authorization_endpoint"),
        token_endpoint=_text(document, "token_endpoint"),
        registration_endpoint=_text(document, "registration_endpoint"),
        revocation_endpoint=_text(document, "revocation_endpoint"),
        device_authorization_endpoint=_text(document, "device_authorization_endpoint"),
        pushed_authorization_request_endpoint=_text(document, "pushed_authorization_request_endpoint"),
        require_pushed_authorization_requests=document.get("require_pushed_authorization_requests") is True,
        scopes_supported=_scopes(document) or (),
        grant_types_supported=_texts(document, "grant_types_supported"),
        token_endpoint_auth_methods_supported=_texts(document, "token_endpoint_auth_methods_supported"),
        token_endpoint_auth_signing_alg_values_supported=_texts(
            document, "token_endpoint_auth_signing_alg_values_supported"
        )
        or (),
        code_challenge_methods_supported=_texts(document, "code_challenge_methods_supported"),
        dpop_signing_alg_values_supported=_texts(document, "dpop_signing_alg_values_supported") or (),
        iss_parameter_supported=document.get("authorization_response_iss_parameter_supported") is True,
        client_id_metadata_document_supported=document.get("client_id_metadata_document_supported") is True,
        document={name: document[name] for name in _KEPT if name in document},
    )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = document.get(name)
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else None


def _scopes(document: Mapping[str, Any]) -> Scopes | None:
    """The scopes of a list, as many as one request may have: they go into an address."""
    listed = _texts(document, "scopes_supported")
    return None if listed is None else union(scope for scope in listed if is_scope(scope))[:MAX_SCOPES]
