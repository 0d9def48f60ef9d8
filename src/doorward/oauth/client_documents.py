"""Client ID Metadata Documents: a client whose id is the https URL of a document about itself.

Draft: draft-ietf-oauth-client-id-metadata-document-02 (2026-07-06). Parsed leniently, matched strictly: what is not
understood is ignored, what decides where a code goes is compared byte by byte.

Spec: CIMD-02 … CIMD-30; clients.md §3.3
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from .errors import INVALID_CLIENT_METADATA, OAuthError
from .metadata import ClientMetadata, clean_name, parse_display_fields, parse_registered_scope
from .redirects import AUTHORITY, check_redirect_uri
from .strict_json import parse_strict_json

SUPPORTED_METHODS = ("none", "private_key_jwt")
MAX_REDIRECT_URIS = 30
MAX_URL_LENGTH = 2048
_DOT_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_FORBIDDEN_MEMBERS = frozenset({"client_secret", "client_secret_expires_at"})


def is_document_url(client_id: str) -> bool:
    """Whether a client id is of this kind at all; ids that we generate never are. Spec: REG-05"""
    return client_id[:8].lower() == "https://"


def check_document_url(client_id: str) -> None:
    """Refuse a URL that cannot be a client id. Raises `invalid_client_metadata`. Spec: CIMD-03"""
    try:
        parts = urlsplit(client_id)
        parts.port  # noqa: B018  # raises for ports that are not numbers
    except ValueError:
        raise _invalid("The client_id is not a valid URL.") from None
    if len(client_id) > MAX_URL_LENGTH or not client_id.isascii() or not client_id.isprintable() or " " in client_id:
        raise _invalid("The client_id is not a valid URL.")
    if parts.scheme != "https" or not parts.hostname:
        raise _invalid("A client_id that is a URL must be https.")
    if not AUTHORITY.fullmatch(parts.netloc) or "#" in client_id or "\\" in client_id:
        raise _invalid("The client_id must have neither user nor fragment.")
    if len(parts.path) < 2:  # a slash alone names no document
        raise _invalid("The client_id must have a path.")
    if _DOT_SEGMENT.search(parts.path):
        raise _invalid("The client_id must not have dot segments.")


def parse_client_document(client_id: str, body: bytes, *, supported_grants: Iterable[str]) -> ClientMetadata:
    """The client that a fetched document describes. Raises `invalid_client_metadata` saying what is wrong with it.

    Spec: CIMD-08, CIMD-10, CIMD-17 … CIMD-19, CIMD-28
    """
    members = _parse_object(body)
    if members.get("client_id") != client_id:
        raise _invalid("The document's client_id is not the URL it was fetched from.")
    if found := sorted(_FORBIDDEN_MEMBERS & members.keys()):
        raise _invalid(f"A public document must not hold {', '.join(found)}.")
    redirect_uris = _parse_redirect_uris(members.get("redirect_uris"))
    kinds = {check_redirect_uri(uri) for uri in redirect_uris}
    jwks, jwks_uri = parse_client_keys(members)
    methods = _parse_methods(members, has_keys=jwks is not None or jwks_uri is not None)
    given = members.get("grant_types")
    asked = given if isinstance(given, list) and given else ("authorization_code", "refresh_token")
    grant_types = tuple(grant for grant in supported_grants if grant in asked)
    if "authorization_code" not in grant_types:
        raise _invalid("The document does not list the authorization_code grant.")
    return ClientMetadata(
        redirect_uris=redirect_uris,
        token_endpoint_auth_method=methods[0],
        auth_methods=methods,
        grant_types=grant_types,
        response_types=("code",),
        application_type="native" if kinds & {"loopback", "private"} else "web",
        client_name=clean_name(members.get("client_name") if isinstance(members.get("client_name"), str) else None),
        scope=parse_registered_scope({"scope": members["scope"]} if isinstance(members.get("scope"), str) else {}),
        jwks=jwks,
        jwks_uri=jwks_uri,
        dpop_bound_access_tokens=members.get("dpop_bound_access_tokens") is True,
        require_pushed_authorization_requests=members.get("require_pushed_authorization_requests") is True,
        **parse_display_fields(members),
    )


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        value = parse_strict_json(body)
    except ValueError:
        raise _invalid("The document is not valid JSON.") from None
    if not isinstance(value, dict):
        raise _invalid("The document is not a JSON object.")
    return value


def _parse_redirect_uris(value: Any) -> tuple[str, ...]:
    """The document's usable redirect URIs, in order; one that could not be registered is left out."""
    if not isinstance(value, list) or not value or len(value) > MAX_REDIRECT_URIS:
        raise _invalid(f"The document must list 1 to {MAX_REDIRECT_URIS} redirect_uris.")
    usable: list[str] = []
    for uri in value:
        if not isinstance(uri, str):
            continue
        try:
            check_redirect_uri(uri)
        except OAuthError:
            continue
        usable.append(uri)
    if not usable:
        raise _invalid("None of the document's redirect_uris can be used.")
    return tuple(dict.fromkeys(usable))


def _parse_methods(members: dict[str, Any], *, has_keys: bool) -> tuple[str, ...]:
    """The methods the client may use, preferred first: the list it publishes, else the single one, else none."""
    single = members.get("token_endpoint_auth_method")
    if single is not None and single not in SUPPORTED_METHODS:
        raise _invalid("The document names an authentication method that a public document cannot have.")
    listed = members.get("token_endpoint_auth_methods_supported")
    declared = [single or "none"] if not isinstance(listed, list) or not listed else [single, *listed]
    methods = tuple(dict.fromkeys(method for method in declared if method in SUPPORTED_METHODS))
    if not has_keys:
        methods = tuple(method for method in methods if method != "private_key_jwt")
    if not methods:
        raise _invalid(
            "The document names no authentication method that can be used: none, or private_key_jwt with keys."
        )
    return methods


def parse_client_keys(members: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """(jwks, jwks_uri) of a client: public keys only, and one of the two. Spec: CIMD-18"""
    jwks, jwks_uri = members.get("jwks"), members.get("jwks_uri")
    if jwks is not None and jwks_uri is not None:
        raise _invalid("A client has jwks or jwks_uri, not both.")
    if jwks_uri is not None:
        check = jwks_uri if isinstance(jwks_uri, str) else ""
        if not is_document_url(check) or len(check) > MAX_URL_LENGTH:
            raise _invalid("The jwks_uri must be an https URL.")
        return None, check
    if jwks is None:
        return None, None
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise _invalid("The jwks is not a key set.")
    if any(_PRIVATE_MEMBERS & key.keys() or key.get("kty") == "oct" for key in keys):
        raise _invalid("The jwks holds private or symmetric keys, which are no longer secret.")
    return {"keys": keys}, None


def _invalid(description: str) -> OAuthError:
    return OAuthError(INVALID_CLIENT_METADATA, description)
