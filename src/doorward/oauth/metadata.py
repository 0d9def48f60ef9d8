"""Documents that the sides of the door read of each other, and the well-known URLs they are found at.

Spec: RFC 8414 (servers), RFC 9728 (resources), RFC 7591 (clients)
"""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from .errors import INVALID_CLIENT_METADATA, INVALID_REDIRECT_URI, OAuthError
from .redirects import MAX_REDIRECT_URI_LENGTH, check_redirect_uri, display_host
from .scopes import OFFLINE_ACCESS, Scopes, parse_scope, union

AUTHORIZATION_SERVER = "oauth-authorization-server"
OPENID_CONFIGURATION = "openid-configuration"
PROTECTED_RESOURCE = "oauth-protected-resource"

SECRET_AUTH_METHODS = ("client_secret_post", "client_secret_basic")
AUTH_METHODS = (*SECRET_AUTH_METHODS, "none")
"""In the order clients need: several take the first entry (clients.md no. 7)."""

MAX_REDIRECT_URIS = 10
MAX_NAME_LENGTH = 64
MAX_URL_LENGTH = 2048
_DISPLAY_URLS = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_LABELS = ("software_id", "software_version")
_USUAL_GRANTS = ("authorization_code", "refresh_token")


def well_known_url(identifier: str, suffix: str) -> str:
    """The URL of a document about `identifier`, its path inserted after the suffix.

    `https://h/t1` gives `https://h/.well-known/<suffix>/t1`. Spec: RFC 8414 §3.1; RFC 9728 §3.1 (ASM-03, PRM-02)
    """
    parts = urlsplit(identifier)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/.well-known/{suffix}{parts.path.rstrip('/')}{query}"


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """What a client says of itself; all of it self-asserted and none of it identity. Spec: RFC 7591 §2 (DCR-11)"""

    redirect_uris: tuple[str, ...]
    token_endpoint_auth_method: str
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    application_type: str
    client_name: str | None = None
    scope: Scopes = ()
    client_uri: str | None = None
    logo_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None
    contacts: tuple[str, ...] = ()
    software_id: str | None = None
    software_version: str | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    dpop_bound_access_tokens: bool = False
    """Whether it wants no token that is not bound to a key of its own. Spec: RFC 9449 §5.2"""
    require_pushed_authorization_requests: bool = False
    """Whether it wants none of its authorization requests believed that it did not push. Spec: RFC 9126 §6"""
    auth_methods: tuple[str, ...] = ()
    """Every method the client may authenticate by, where it said more than one; the preferred one is above."""

    @property
    def accepted_methods(self) -> tuple[str, ...]:
        """The methods the client may authenticate by."""
        return self.auth_methods or (self.token_endpoint_auth_method,)

    @property
    def host(self) -> str:
        """Where its codes go, for people to read; empty for a client that takes none."""
        return display_host(self.redirect_uris[0]) if self.redirect_uris else ""

    def with_scope(self, scope: Scopes) -> "ClientMetadata":
        """The same client with the scopes it was registered for."""
        return replace(self, scope=scope)

    def document(self) -> dict[str, Any]:
        """The members to store and to answer with; absent ones are left out, never null (clients.md no. 3)."""
        members: dict[str, Any] = {
            "redirect_uris": list(self.redirect_uris),
            "token_endpoint_auth_method": self.token_endpoint_auth_method,
            "grant_types": list(self.grant_types),
            "response_types": list(self.response_types),
            "application_type": self.application_type,
            "client_name": self.client_name,
            "scope": " ".join(self.scope),
            "contacts": list(self.contacts),
            "jwks": self.jwks,
            "jwks_uri": self.jwks_uri,
            "dpop_bound_access_tokens": self.dpop_bound_access_tokens,
            "require_pushed_authorization_requests": self.require_pushed_authorization_requests,
            "token_endpoint_auth_methods_supported": list(self.auth_methods),
            **{name: getattr(self, name) for name in (*_DISPLAY_URLS, *_LABELS)},
        }
        return {name: value for name, value in members.items() if value}


@dataclass(frozen=True, slots=True)
class RefusedRedirect:
    """A redirect URI that was asked for and is not registered."""

    uri: str
    reason: str


def keep_redirect_uris(
    members: dict[str, Any], check: Callable[[str], object]
) -> tuple[dict[str, Any], tuple[RefusedRedirect, ...]]:
    """(the registration with the redirect URIs that pass `check`, in order; the others, each with its reason).

    A program cannot correct what its makers wrote, and one address for an old build must not keep out all the
    others. `check` raises `invalid_redirect_uri`; so does this when nothing is left, naming the first. Whether a client
    needs any is for `parse_client_metadata` to say.

    Spec: RFC 7591 §2, §3.2.1 (DCR-05, DCR-09); clients.md no. 16; issues of Cursor in §1e
    """
    if not members.get("redirect_uris"):
        return members, ()
    kept: list[str] = []
    refused: list[RefusedRedirect] = []
    for uri in _parse_redirect_uris(members.get("redirect_uris")):
        try:
            check(uri)
        except OAuthError as error:
            if error.code != INVALID_REDIRECT_URI:
                raise
            refused.append(RefusedRedirect(uri[:MAX_REDIRECT_URI_LENGTH], error.description))
        else:
            kept.append(uri)
    if not kept:
        raise OAuthError(INVALID_REDIRECT_URI, refused[0].reason)
    return {**members, "redirect_uris": kept}, tuple(refused)


def parse_client_metadata(members: dict[str, Any], *, supported_grants: Iterable[str]) -> ClientMetadata:
    """Read a registration, narrowing what is unsupported and refusing what is wrong.

    Grant and response types that are not offered are dropped and the answer says so; redirect URIs are all kept in
    order or the registration is refused naming the one at fault, where `keep_redirect_uris` was not asked before. A
    client that takes no codes needs none; some name them all the same, and look for them in the answer. Display URLs
    that are not https are dropped.

    Raises `invalid_redirect_uri` and `invalid_client_metadata`.

    Spec: RFC 7591 §2, §3.2.2 (DCR-05 … DCR-15); clients.md nos. 15–20
    """
    grant_types = _narrow_list(members, "grant_types", default=_USUAL_GRANTS, supported=supported_grants)
    takes_codes = "authorization_code" in grant_types
    given = members.get("redirect_uris")
    redirect_uris = _parse_redirect_uris(given) if takes_codes or given else ()
    for name in _LABELS:
        _optional_text(members, name, MAX_URL_LENGTH)
    kinds = {check_redirect_uri(uri) for uri in redirect_uris}
    native = bool(kinds & {"loopback", "private"})
    response_types = _narrow_list(members, "response_types", default=("code",), supported=("code",))
    return ClientMetadata(
        redirect_uris=redirect_uris,
        token_endpoint_auth_method=_parse_auth_method(members, default="none" if native else "client_secret_basic"),
        grant_types=grant_types,
        response_types=response_types if takes_codes else (),
        application_type=_parse_application_type(members, default="native" if native else "web"),
        client_name=clean_name(_optional_text(members, "client_name", MAX_URL_LENGTH)),
        scope=parse_registered_scope(members),
        contacts=tuple(filter(None, map(clean_name, _string_list(members, "contacts", default=()))))[:10],
        dpop_bound_access_tokens=members.get("dpop_bound_access_tokens") is True,
        require_pushed_authorization_requests=members.get("require_pushed_authorization_requests") is True,
        **parse_display_fields(members),
    )


def parse_display_fields(members: dict[str, Any]) -> dict[str, Any]:
    """The members that are only shown: https links, labels. What cannot be shown safely is dropped. Spec: CIMD-22"""
    links = {name: _display_url(members, name) for name in _DISPLAY_URLS}
    labels = {name: clean_name(_text_or_none(members, name)) for name in _LABELS}
    return {**links, **labels}


def load_client_metadata(document: dict[str, Any]) -> ClientMetadata:
    """Read back what `ClientMetadata.document` wrote."""
    return ClientMetadata(
        redirect_uris=tuple(document.get("redirect_uris", ())),
        token_endpoint_auth_method=document["token_endpoint_auth_method"],
        grant_types=tuple(document["grant_types"]),
        response_types=tuple(document.get("response_types", ())),
        application_type=document["application_type"],
        client_name=document.get("client_name"),
        scope=tuple(document.get("scope", "").split()),
        contacts=tuple(document.get("contacts", ())),
        jwks=document.get("jwks"),
        jwks_uri=document.get("jwks_uri"),
        dpop_bound_access_tokens=document.get("dpop_bound_access_tokens", False),
        require_pushed_authorization_requests=document.get("require_pushed_authorization_requests", False),
        auth_methods=tuple(document.get("token_endpoint_auth_methods_supported", ())),
        **{name: document.get(name) for name in (*_DISPLAY_URLS, *_LABELS)},
    )


def parse_registered_scope(members: dict[str, Any]) -> Scopes:
    """The `scope` member: characters that no scope can have are dropped, since no client can correct them."""
    text = _optional_text(members, "scope", 65536)
    try:
        return parse_scope(text)
    except OAuthError:
        return ()


def build_resource_metadata(
    *,
    resource: str,
    authorization_servers: Iterable[str],
    scopes: Iterable[str],
    name: str | None = None,
    documentation: str | None = None,
    dpop_algs: Iterable[str] = (),
    dpop_required: bool = False,
) -> dict[str, Any]:
    """A protected resource's document; `offline_access` is never in it. Spec: RFC 9728 §2 (PRM-05 … PRM-12)"""
    members: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": list(authorization_servers),
        "scopes_supported": [scope for scope in union(scopes) if scope != OFFLINE_ACCESS],
        "bearer_methods_supported": ["header"],
        "resource_name": name,
        "resource_documentation": documentation,
        "dpop_signing_alg_values_supported": list(dpop_algs),
        "dpop_bound_access_tokens_required": dpop_required,
    }
    return {name: value for name, value in members.items() if value}


def _parse_redirect_uris(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise OAuthError(INVALID_REDIRECT_URI, "redirect_uris must be a non-empty array.")
    if not all(isinstance(uri, str) for uri in value):
        raise OAuthError(INVALID_REDIRECT_URI, "Every redirect URI must be a string.")
    unique = tuple(dict.fromkeys(value))
    if len(unique) > MAX_REDIRECT_URIS:
        raise OAuthError(INVALID_REDIRECT_URI, f"At most {MAX_REDIRECT_URIS} redirect URIs are accepted.")
    return unique


def _narrow_list(
    members: dict[str, Any], name: str, *, default: tuple[str, ...], supported: Iterable[str]
) -> tuple[str, ...]:
    asked = _string_list(members, name, default=default)
    known = frozenset(supported)
    kept = tuple(dict.fromkeys(value for value in asked if value in known))
    if not set(kept) - {"refresh_token"}:  # which never comes first
        raise _invalid(f"None of the {name} that clients can have here is asked for.")
    return kept


def _parse_auth_method(members: dict[str, Any], *, default: str) -> str:
    method = members.get("token_endpoint_auth_method")
    if method is None or method == "":
        return default
    if method not in AUTH_METHODS:
        raise _invalid(f"token_endpoint_auth_method must be one of {', '.join(AUTH_METHODS)}.")
    return str(method)


def _parse_application_type(members: dict[str, Any], *, default: str) -> str:
    value = members.get("application_type")
    return value if value in ("native", "web") else default


def _string_list(members: dict[str, Any], name: str, *, default: tuple[str, ...]) -> tuple[str, ...]:
    value = members.get(name)
    if value is None or value == []:
        return default
    if not isinstance(value, list) or not all(isinstance(item, str) and len(item) <= 256 for item in value):
        raise _invalid(f"{name} must be an array of strings.")
    return tuple(value)


def _optional_text(members: dict[str, Any], name: str, limit: int) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise _invalid(f"{name} must be a string of at most {limit} characters.")
    return value


def _text_or_none(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value[:MAX_URL_LENGTH] if isinstance(value, str) else None


def _display_url(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    if not isinstance(value, str) or len(value) > MAX_URL_LENGTH or not value.startswith("https://"):
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None


def clean_name(text: str | None) -> str | None:
    """A name fit for display: composed form, no control, format or bidi characters, 64 of them at most. Spec: T4"""
    if text is None:
        return None
    composed = unicodedata.normalize("NFC", text)
    visible = "".join(
        c if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} else " " for c in composed
    )
    return " ".join(visible.split())[:MAX_NAME_LENGTH].strip() or None


def _invalid(description: str) -> OAuthError:
    return OAuthError(INVALID_CLIENT_METADATA, description)
