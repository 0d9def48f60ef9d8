"""What a provider publishes of itself, for somebody who signs in there.

Spec: OpenID Connect Discovery 1.0 §3, §4.3; RFC 8414 §2, §3.3; RFC 9207 §3
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .jwt import ALGORITHMS

MAX_URL = 2048


class InvalidProvider(ValueError):  # noqa: N818  # says what is wrong, for the operator
    """The document is not one to sign anybody in by; the message says why."""


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The members that signing in needs, each checked."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    sends_iss: bool
    token_auth_methods: tuple[str, ...]

    @property
    def posts_secret(self) -> bool:
        """Whether the secret goes into the form: only where the header is not taken. Spec: RFC 8414 §2"""
        return "client_secret_basic" not in self.token_auth_methods and "client_secret_post" in self.token_auth_methods


def well_known_url(issuer: str) -> str:
    """Where a provider's document is. Spec: OpenID Connect Discovery 1.0 §4"""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def parse_provider_metadata(document: Any, *, issuer: str) -> ProviderMetadata:
    """The metadata of exactly this issuer. Raises `InvalidProvider`.

    An `issuer` that differs in a single character is another provider: it would be its own word that is believed.

    Spec: OpenID Connect Discovery 1.0 §4.3 (T37)
    """
    if not isinstance(document, dict):
        raise InvalidProvider("The document is not a JSON object.")
    if document.get("issuer") != issuer:
        raise InvalidProvider(f"The document is of the issuer {_shown(document.get('issuer'))}, not of {issuer}.")
    _check_offered(document, "response_types_supported", ("code",), ("code",))
    _check_offered(document, "id_token_signing_alg_values_supported", ("RS256",), ALGORITHMS)
    methods = _texts(document, "token_endpoint_auth_methods_supported", ("client_secret_basic",))
    if not {"client_secret_basic", "client_secret_post"} & set(methods):
        raise InvalidProvider("It takes no client secret at its token endpoint.")
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=_url(document, "authorization_endpoint"),
        token_endpoint=_url(document, "token_endpoint"),
        jwks_uri=_url(document, "jwks_uri"),
        userinfo_endpoint=_url(document, "userinfo_endpoint") if document.get("userinfo_endpoint") else None,
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        token_auth_methods=methods,
    )


def offers_pkce(document: Any) -> bool:
    """Whether a provider says that it checks S256; PKCE is used whatever it says."""
    return isinstance(document, dict) and "S256" in _texts(document, "code_challenge_methods_supported", ())


def _check_offered(
    document: dict[str, Any], name: str, default: tuple[str, ...], needed_one_of: tuple[str, ...]
) -> None:
    offered = _texts(document, name, default)
    if not set(offered) & set(needed_one_of):
        raise InvalidProvider(f"{name} has none of {', '.join(needed_one_of)}.")


def _texts(document: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = document.get(name)
    if not isinstance(value, list):
        return default
    return tuple(entry for entry in value if isinstance(entry, str))


def _url(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not is_https_url(value):
        raise InvalidProvider(f"{name} is not an https address.")
    return value


def is_https_url(value: str) -> bool:
    """Whether a browser or the guard may be sent there: https, a host, no user, nothing that parsers disagree on."""
    if (
        not 0 < len(value) <= MAX_URL
        or not value.isascii()
        or not value.isprintable()
        or set(value) & set(' "<>\\^`{|}')
    ):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment


def _shown(value: Any) -> str:
    return value[:200] if isinstance(value, str) and value.isprintable() else "nobody"
