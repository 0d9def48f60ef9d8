"""Public documents of a project as ready bytes: built when the project changes, sent as they are."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from doorward.core.models import DEVICE_CODE, Project, Resource
from doorward.oauth.dpop import PROOF_ALGORITHMS
from doorward.oauth.jwt import ALGORITHMS
from doorward.oauth.metadata import AUTH_METHODS, SECRET_AUTH_METHODS, build_resource_metadata
from doorward.oauth.prompt import PROMPTS
from doorward.oauth.scopes import OFFLINE_ACCESS, union

PRIVATE_KEY_JWT = "private_key_jwt"


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document and the entity tag of exactly these bytes."""

    body: bytes
    etag: str


def build_server_metadata(
    project: Project,
    issuer: str,
    resources: Iterable[Resource],
    grant_types: tuple[str, ...],
    grant_profiles: tuple[str, ...] = (),
) -> Document:
    """The authorization server's metadata, which is also its OpenID document: same values under both names.

    `registration_endpoint` is there only when a client can use it without a secret (ASM-13); what several clients
    read as "ask for all of this" stays the small set of default scopes (clients.md no. 10). Which issuers are trusted
    is nobody's business (JAG-01).

    Spec: RFC 8414 §2 (ASM-01 … ASM-16); clients.md §3.1
    """
    members: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/api/oauth/token",
        "pushed_authorization_request_endpoint": f"{issuer}/api/oauth/par",
        "require_pushed_authorization_requests": False,
        "registration_endpoint": f"{issuer}/api/oauth/register",
        "revocation_endpoint": f"{issuer}/api/oauth/revoke",
        "introspection_endpoint": f"{issuer}/api/oauth/introspect",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(union(*(resource.default_scopes for resource in resources), (OFFLINE_ACCESS,))),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(grant_types),
        "token_endpoint_auth_methods_supported": [*AUTH_METHODS, PRIVATE_KEY_JWT],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": [*AUTH_METHODS, PRIVATE_KEY_JWT],
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": [*SECRET_AUTH_METHODS, PRIVATE_KEY_JWT],
        "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
        "prompt_values_supported": list(PROMPTS),
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    if DEVICE_CODE in grant_types:
        members["device_authorization_endpoint"] = f"{issuer}/api/oauth/device"
    if project.settings.registration_mode in ("protected", "closed"):
        del members["registration_endpoint"]
    if grant_profiles:
        members["authorization_grant_profiles_supported"] = list(grant_profiles)
    if not project.settings.documents:
        del members["client_id_metadata_document_supported"]
    return _document(members)


def build_jwks(public_jwks: list[dict[str, Any]]) -> Document:
    """The public keys of a project. Spec: RFC 7517 §5"""
    return _document({"keys": public_jwks})


def build_protected_resource(resource: Resource, issuer: str, spelling: str) -> Document:
    """A resource's metadata, under the spelling of its URL that was asked about. Spec: RFC 9728 (PRM-06, PRM-12)"""
    bound = resource.settings.dpop_required
    return _document(
        build_resource_metadata(
            resource=spelling,
            authorization_servers=[issuer],
            scopes=resource.default_scopes,
            name=resource.name,
            dpop_algs=PROOF_ALGORITHMS if bound else (),
            dpop_required=bound,
        )
    )


def _document(members: dict[str, Any]) -> Document:
    body = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
    return Document(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
