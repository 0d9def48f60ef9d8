"""Why something was refused, as one check's name: so that one fault is told once. Pure."""

from doorward.oauth.redirects import LOOPBACK_HOSTS

from .places import host_of, split
from .rules import text_of
from .visits import Registered, Seen

_TOKEN_ERRORS = frozenset(
    {"invalid_grant", "invalid_client", "invalid_request", "unauthorized_client", "unsupported_grant_type"}
)


def is_private_scheme(uri: str) -> bool:
    """Whether a redirect URI has a scheme of an app of its own."""
    return split(uri).scheme not in ("http", "https")


def is_own_machine(uri: str) -> bool:
    """Whether a redirect URI is of the person's own machine."""
    return uri.startswith("http:") and host_of(uri) in LOOPBACK_HOSTS


def why_not_registered(tried: Registered) -> str:
    """The check that tells why a registration was refused. Spec: DCR-02, DCR-06, DCR-09, SCP-07; complaints 11, 13"""
    document = tried.seen.document or {}
    error, told = text_of(document, "error"), text_of(document, "error_description").lower()
    if tried.seen.status in (401, 403):
        return "registration-open"
    if tried.seen.status == 429:
        return "registration-limit"
    private = any(is_private_scheme(uri) for uri in tried.body["redirect_uris"])
    if private and (error == "invalid_redirect_uri" or "redirect" in told or "scheme" in told):
        return "private-schemes"
    if error == "invalid_scope" or "scope" in told:
        return "registration-scopes"
    if error == "invalid_redirect_uri" and all(is_own_machine(uri) for uri in tried.body["redirect_uris"]):
        return "loopback-redirects"
    return "registration-accepted"


def is_token_error(seen: Seen) -> bool:
    """Whether a refusal of the token endpoint tells a client what to do next. Spec: TOK-05, TOK-06; complaint 36"""
    document = seen.document
    return seen.status in (400, 401) and document is not None and text_of(document, "error") in _TOKEN_ERRORS
