"""GitHub, which speaks OAuth and no OpenID Connect: who it is says its API, by a number that never changes hands.

Logins and addresses do change hands, so neither is an identity (T37).
"""

from dataclasses import dataclass

from doorward.core.upstream import GITHUB, UpstreamIdentity
from doorward.server.context import Context

from .failing import ProviderFailed
from .oidc import Answered, get_as_bearer, post_for_tokens

_ACCEPT = "application/vnd.github+json"


@dataclass(frozen=True, slots=True)
class GithubEndpoints:
    """The fixed addresses of github.com, or of an Enterprise Server at another host."""

    authorization: str
    token: str
    api: str


def endpoints_of(issuer: str) -> GithubEndpoints:
    """Where a GitHub is."""
    api = "https://api.github.com" if issuer == GITHUB else f"{issuer}/api/v3"
    return GithubEndpoints(f"{issuer}/login/oauth/authorize", f"{issuer}/login/oauth/access_token", api)


async def identify_at_github(context: Context, answered: Answered) -> UpstreamIdentity:
    """Who GitHub says it is, with the primary address if that was verified. Raises `ProviderFailed`."""
    provider = answered.provider
    endpoints = endpoints_of(provider.issuer)
    fields = {
        "client_id": provider.client_id,
        "client_secret": answered.secret,
        "code": answered.code,
        "redirect_uri": answered.redirect_uri,
        "code_verifier": answered.verifier,
    }
    tokens = await post_for_tokens(context, endpoints.token, fields)
    user = await get_as_bearer(context, f"{endpoints.api}/user", tokens, accept=_ACCEPT)
    number = user.get("id") if isinstance(user, dict) else None
    if not isinstance(user, dict) or not isinstance(number, int) or isinstance(number, bool) or number <= 0:
        raise ProviderFailed("its API does not say who the person is")
    addresses = await get_as_bearer(context, f"{endpoints.api}/user/emails", tokens, accept=_ACCEPT)
    proven, claimed = _primary(addresses)
    return UpstreamIdentity(provider.issuer, str(number), proven, _name(user), claimed)


def _primary(addresses: object) -> tuple[str | None, str]:
    """(the primary address if GitHub verified it, the address if it did not)."""
    for entry in addresses if isinstance(addresses, list) else ():
        if not isinstance(entry, dict) or entry.get("primary") is not True:
            continue
        address = entry.get("email")
        if isinstance(address, str) and address.isprintable():
            return (address, "") if entry.get("verified") is True else (None, address)
    return None, ""


def _name(user: dict[str, object]) -> str:
    name = user.get("name") or user.get("login")
    return name if isinstance(name, str) and name.isprintable() else ""
