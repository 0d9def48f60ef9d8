"""Decisions of the authorization server that need no I/O: which resource, which scopes, which reuse is forgiven."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from doorward.oauth.errors import (
    INVALID_AUTHORIZATION_DETAILS,
    INVALID_SCOPE,
    INVALID_TARGET,
    OAuthError,
    invalid_grant,
)
from doorward.oauth.forms import Form
from doorward.oauth.metadata import ClientMetadata
from doorward.oauth.redirects import match_redirect_uri, redirect_kind, without_loopback_port
from doorward.oauth.resources import match_key, parse_resource
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes, missing, narrow, parse_scope, union

from .models import (
    DEVICE_CODE,
    GRANT_TYPES,
    JWT_BEARER,
    TOKEN_EXCHANGE,
    Client,
    ProjectSettings,
    RefreshFamily,
    Resource,
    ReusePolicy,
)
from .tools import scopes_of_tools

OVERLAP_MS = 30_000
MAX_TOLD_NAMES = 6
RACE_MS = 300_000
"""Within this time the same program on another network is taken for one that roams, or has several ways out."""
# What some server on the way may read as a step out of the folder that a pattern allows.
_LEAVES_FOLDER = re.compile(r"\.\.|%(?:25|2e|2f|5c|00)|\\", re.IGNORECASE)
_APPROVED_ENTRY = re.compile(
    r"loopback|(?!https?:)[a-z][a-z0-9+.-]*:|https://[A-Za-z0-9.-]+(?::\d+)?/.*|http://[^*]+", re.IGNORECASE
)

RefreshVerdict = Literal["rotate", "repeat", "expired", "reused"]
ReuseVerdict = Literal["race", "theft"]


def select_resource(requested: Sequence[str], resources: Sequence[Resource]) -> Resource:
    """The one resource a request is about; without `resource`, the default or the only one.

    Never an unrestricted token: no match, several different ones, or no default is `invalid_target`.

    Spec: RFC 8707 §2 (RES-03 … RES-05, RES-08); clients.md nos. 50–52
    """
    if not requested:
        default = next((r for r in resources if r.is_default), resources[0] if len(resources) == 1 else None)
        if default is None:
            raise OAuthError(INVALID_TARGET, "Name the MCP server with the resource parameter; none is the default.")
        return default
    keys = {match_key(parse_resource(uri)) for uri in requested}
    if len(keys) > 1:
        raise OAuthError(INVALID_TARGET, "Ask for one resource at a time.")
    found = next((r for r in resources if keys & resource_keys(r)), None)
    if found is None:
        names = [name for r in resources for name in (r.uri, *r.settings.aliases)]
        known = ", ".join(names[:MAX_TOLD_NAMES]) or "none yet"
        raise OAuthError(INVALID_TARGET, f"The resource is not known here. Known: {known}.")
    return found


def resource_keys(resource: Resource) -> set[str]:
    """Every spelling under which a resource may be asked for: its own and its aliases'."""
    return {match_key(resource.uri), *(match_key(alias) for alias in resource.settings.aliases)}


def find_namesake(resource: Resource, others: Iterable[Resource]) -> Resource | None:
    """Another resource that could be meant by one of this one's names: no URI may lead to two of them."""
    names = resource_keys(resource)
    return next((o for o in others if o.resource_id != resource.resource_id and names & resource_keys(o)), None)


def asked_alias(requested: Sequence[str], resource: Resource) -> str | None:
    """The alias that a request named, as the operator spelled it; None when it named the resource itself."""
    keys = {match_key(parse_resource(uri)) for uri in requested} - {match_key(resource.uri)}
    return next((alias for alias in resource.settings.aliases if match_key(alias) in keys), None)


def select_scopes(requested: str | None, resource: Resource, client: Client) -> tuple[Scopes, Scopes]:
    """(granted at most, dropped) for a request; asking for nothing means the resource's default scopes.

    Unknown scopes are dropped, since refusing them stops clients people use; only when nothing is left of what was
    asked is it `invalid_scope`. `offline_access` is accepted and kept out of tokens. Only an operator's scope list is
    a ceiling: what a client wrote into its own registration would stop its step-up later, and protects nobody.

    Spec: SCP-04 … SCP-07; product.md, Resources, scopes, tools
    """
    known = union(resource.known_scopes, (OFFLINE_ACCESS,))
    ceiling = union(client.metadata.scope, (OFFLINE_ACCESS,)) if client.is_verified and client.metadata.scope else known
    asked = parse_scope(requested)
    if not asked:
        return narrow(resource.default_scopes, ceiling) or resource.default_scopes, ()
    granted = narrow(narrow(asked, known), ceiling)
    if not granted:
        names = " ".join(union(resource.scope_names, (OFFLINE_ACCESS,)))
        raise OAuthError(INVALID_SCOPE, f"None of the requested scopes exists here. Known: {names}.")
    if granted == (OFFLINE_ACCESS,):
        granted = union(resource.default_scopes, granted)
    return granted, missing(asked, granted)


def narrow_scopes(requested: str | None, held: Scopes) -> Scopes:
    """Scopes of a refresh: a subset when one is asked for, never more than was granted.

    Extra scopes are ignored, not refused: several clients always send more than they hold (clients.md no. 42).

    Spec: OAuth 2.1 §4.3.1 (RT-05)
    """
    asked = parse_scope(requested)
    if not asked:
        return held
    kept = narrow(asked, held)
    if not kept:
        raise OAuthError(INVALID_SCOPE, "None of the requested scopes was granted.")
    return kept


def exchange_scopes(requested: str | None, held: str, ceiling: Scopes, target: Resource) -> Scopes:
    """Scopes of an exchanged token: held by the one it came from, within the rule, and of the server it is for.

    Here more than that is refused and not ignored: a program wrote the request, and nobody sees what it was given.

    Spec: RFC 8693 §2.1, §5 (TX-06, T30)
    """
    allowed = narrow(narrow(target.known_scopes, ceiling), parse_scope(held))
    asked = parse_scope(requested)
    if not allowed and (asked or target.scopes):
        raise OAuthError(INVALID_SCOPE, "The token, the rule and the server have no scope in common.")
    if missing(asked, allowed):
        known = " ".join(allowed)
        raise OAuthError(INVALID_SCOPE, f"Only these are of the token, the rule and the server alike: {known}.")
    return asked or allowed


def mint_scopes(asked: Scopes, resource: Resource) -> Scopes:
    """Scopes that a backend asks for, without those that the server does not have."""
    kept = narrow(asked, resource.known_scopes)
    if not kept and (asked or resource.scopes):
        raise OAuthError(INVALID_SCOPE, f"None of these scopes exists here. Known: {' '.join(resource.scope_names)}.")
    return kept


def offered_grants(
    settings: ProjectSettings, *, has_exchange_rules: bool = False, trusts_issuers: bool = False
) -> tuple[str, ...]:
    """The grant types a project offers, in the order they are told.

    Exchange is offered once an operator has said who may exchange what, assertions once there is an issuer whose count.
    """
    on = {DEVICE_CODE: settings.device_flow, TOKEN_EXCHANGE: has_exchange_rules, JWT_BEARER: trusts_issuers}
    return tuple(grant for grant in GRANT_TYPES if on.get(grant, True))


def check_authorization_details(form: Form) -> None:
    """Refuse `authorization_details`: no type of them is offered, so every one there can be is unknown.

    Ignoring them would give a client a token that does not say what it asked for. Spec: RFC 9396 §5 (RAR-02)
    """
    if "authorization_details" in form:
        raise OAuthError(INVALID_AUTHORIZATION_DETAILS, "No type of authorization_details is offered here; use scope.")


def access_token_seconds(resource: Resource, settings: ProjectSettings) -> int:
    """Life of an access token for a resource."""
    return resource.settings.access_token_seconds or settings.access_token_seconds


def still_offered(held: Scopes, resource: Resource) -> Scopes:
    """The granted scopes that the resource still has: what an operator takes away ends at the next refresh (T43).

    The scope of a tool that the server does not list for the moment stays: it opens nothing, and a server that starts
    with half of its tools must not end the connections of those who chose the others. Raises `invalid_grant` when
    nothing of a grant that had scopes is left.
    """
    kept = narrow(held, union(resource.known_scopes, scopes_of_tools(resource), (OFFLINE_ACCESS,)))
    if set(held) - {OFFLINE_ACCESS} and not set(kept) - {OFFLINE_ACCESS}:
        raise invalid_grant("none of the granted scopes exists any more")
    return kept


def check_resource_within(requested: Sequence[str], granted: Resource) -> None:
    """Refuse a token request for another resource than the granted one. Spec: RFC 8707 §2.2 (RES-07, T31)"""
    if any(match_key(parse_resource(uri)) not in resource_keys(granted) for uri in requested):
        names = " or ".join((granted.uri, *granted.settings.aliases))
        raise OAuthError(INVALID_TARGET, f"The grant is for {names} only.")


def is_approved_redirect(uri: str, approved: Sequence[str]) -> bool:
    """Whether a project lets codes go to `uri`.

    An entry is a whole URI; one that ends in `/*` stands for everything below it; `loopback` for programs on the
    person's machine; `scheme:` for the links of an app.
    """
    kind = redirect_kind(uri)
    for entry in approved:
        if entry == "loopback":
            if kind == "loopback":
                return True
        elif entry.endswith("/*"):
            if uri.startswith(entry[:-1]) and ".." not in uri.lower().replace("%2e", "."):
                return True
        elif (entry.endswith(":") and uri.startswith(entry)) or match_redirect_uri(entry, uri):
            return True
    return False


def is_approved_entry(entry: str) -> bool:
    """Whether an entry says what it approves: a whole host at least, never every https address."""
    return _APPROVED_ENTRY.fullmatch(entry) is not None and "*" not in entry.removesuffix("/*")


def is_host_within(host: str, domains: Sequence[str]) -> bool:
    """Whether a host is one of the domains or below one; the dot of a root name and case make no other host."""
    name = host.lower().rstrip(".")
    return any(f".{name}".endswith(f".{domain.lower().strip('.')}") for domain in domains)


def changed_members(before: ClientMetadata, after: ClientMetadata) -> tuple[str, ...]:
    """What a client says differently of itself where it matters: its name, where codes go, how it proves itself.

    Spec: CIMD-25
    """
    names = ("client_name", "redirect_uris", "accepted_methods", "jwks", "jwks_uri")
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def build_fingerprint(metadata: ClientMetadata, *, source: str, verified_by: str | None) -> str:
    """What two registrations of the same program from the same place have in common, whatever its port of the day.

    The place is part of it: who knows what an app says of itself must not be able to replace its registration (T15).

    Spec: clients.md no. 22
    """
    said = (
        *(metadata.client_name, metadata.software_id, metadata.software_version),
        *(metadata.token_endpoint_auth_method, metadata.grant_types),
        [without_loopback_port(uri) for uri in metadata.redirect_uris],
    )
    text = json.dumps((source, verified_by, *said), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def reuse_policy(client: Client, settings: ProjectSettings, *, is_bound: bool = False) -> ReusePolicy:
    """Public clients race themselves and lose answers; confidential ones are held to strict single use.

    So are those whose tokens are bound to a key: whoever replays one of theirs holds the key as well.
    """
    if is_bound:
        return "strict"
    return settings.public_refresh_policy if client.is_public else settings.confidential_refresh_policy


def judge_reuse(family: RefreshFamily, *, source: str, agent: str, now: int) -> ReuseVerdict:
    """What the return of a spent token looks like to whoever reads the incident; the answer is the same for both.

    The same program on the same network just raced itself or went back to an old copy of its state. Anybody else who
    holds a token that was spent by another got it from somewhere.
    """
    same = (source, agent) == (family.last_source, family.last_agent)
    return "race" if same or (agent == family.last_agent and now - family.rotated_at < RACE_MS) else "theft"


def judge_refresh(family: RefreshFamily, generation: int, *, now: int, access_token_ms: int) -> RefreshVerdict:
    """What presenting the token of `generation` means.

    `rotate`: it is the current one. `repeat`: a predecessor inside its window, whose same successor is sent again.
    `expired`: the family is over. `reused`: theft or a broken client; the caller revokes the family.

    The predecessor works until its successor was used once, at most one access-token lifetime, and 30 s beyond
    that use.

    Spec: OAuth 2.1 §4.3.1 (RT-03, RT-10); security defaults, refresh token
    """
    if family.revoked_at is not None or now >= family.absolute_expires_at or now >= family.idle_expires_at:
        return "expired"
    behind = family.generation - generation
    if behind == 0:
        return "rotate"
    if behind == 1 and family.policy == "until_used":
        return "repeat" if now < family.rotated_at + access_token_ms else "reused"
    if behind == 1 and family.policy == "overlap":
        return "repeat" if now < family.rotated_at + OVERLAP_MS else "reused"
    if behind == 2 and family.policy == "until_used":
        successor_just_used = now < family.rotated_at + OVERLAP_MS
        within_lifetime = now < family.previous_rotated_at + access_token_ms
        return "repeat" if successor_just_used and within_lifetime else "reused"
    return "reused"
