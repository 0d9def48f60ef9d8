"""Issuers that a project trusts to say for whom, or for which workload, tokens may be given, and how far.

Trust is two decisions: that an issuer's signature counts, and what it can give. Both are the operator's, written down
here; what an assertion says of itself only ever narrows them.

Spec: WIF draft, Trust Relationships; JAG-06, JAG-10, JAG-11, WIF-03
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from doorward.oauth.errors import INVALID_SCOPE, INVALID_TARGET, OAuthError
from doorward.oauth.grant_assertions import AssertionKind
from doorward.oauth.ids import ProjectId
from doorward.oauth.jwt import InvalidToken
from doorward.oauth.resources import match_key, parse_resource
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes, narrow, parse_scope

from .models import Client, Resource
from .policy import asked_alias, narrow_scopes, resource_keys, select_resource

TRUST_PREFIX = "tru"
WORKLOAD_SUBJECT = "workload:"
"""What the `sub` of every workload starts with, and that of no person."""
SubjectBy = Literal["sub", "email"]
SUBJECT_BY: tuple[SubjectBy, ...] = ("sub", "email")


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """How far an issuer is trusted. Every field has a default that gives the least."""

    clients: tuple[str, ...] = ()
    """The only clients that may present its assertions of people, whatever way the project lets clients in; empty is
    any that the project lets in."""
    resources: tuple[str, ...] = ()
    """URIs of the only MCP servers it opens; empty is every one. When there is one, it is the one that is meant where
    nothing else is said."""
    scopes: Scopes = ()
    """The most that it gives; empty is what an assertion of a person names, or the server's default scopes."""
    subject_by: SubjectBy = "sub"
    """How people are known: `sub` by a subject that was linked to them before; `email` also by our own id of them or
    their address, once, which links the subject."""
    claims: tuple[tuple[str, str], ...] = ()
    """(name, value) of claims that an assertion must have, all of them: which customer of a shared issuer, which
    repository of a platform."""
    reusable: bool = False
    """Whether an assertion works until it expires, and not once only."""
    create_people: bool = False
    """Whether somebody nobody knows becomes a person of the project, by an address that nobody has."""
    public_clients: bool = False
    """Whether clients may present its assertions that are only identified, and not authenticated."""


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One trust in one issuer, for one kind of assertion. There may be several, with different policies."""

    project_id: ProjectId
    trust_id: str
    """What tokens of its workloads carry as their client_id."""
    issuer: str
    kind: AssertionKind
    policy: TrustPolicy
    created_at: int
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    """Where its keys are published, when they were not given once."""
    void_before: int = 0
    """Everything it gave up to then is over, and so is every assertion that was made by then."""


def dump_policy(policy: TrustPolicy) -> str:
    """The stored form: only what differs from the defaults, so that a safer default reaches old trusts."""
    defaults = asdict(TrustPolicy())
    chosen = {name: value for name, value in asdict(policy).items() if value != defaults[name]}
    return json.dumps(chosen, ensure_ascii=False)


def load_policy(text: str) -> TrustPolicy:
    """Read back what `dump_policy` wrote."""
    members: dict[str, Any] = json.loads(text)
    for name in ("clients", "resources", "scopes"):
        members[name] = tuple(members.get(name, ()))
    return TrustPolicy(**{**members, "claims": tuple((name, value) for name, value in members.get("claims", ()))})


def issuer_key(issuer: str, tenant: str | None) -> str:
    """Under what a subject is unique: its issuer, or its customer at a shared one. No issuer has a space in it."""
    return issuer if tenant is None else f"{issuer} {tenant}"


def check_trust(trust: TrustedIssuer, claims: Mapping[str, Any], issued_at: int) -> None:
    """Whether this trust is about such an assertion at all. Raises `InvalidToken` saying which rule does not hold.

    `issued_at` is the assertion's `iat` in seconds: what was made before an operator ended everything stays out.
    """
    if issued_at * 1000 <= trust.void_before:
        raise InvalidToken("it was made before everything of its issuer was revoked")
    for name, value in trust.policy.claims:
        if not _claim_holds(claims.get(name), value):
            raise InvalidToken(f"the claim {name} is not {value}")


def select_asserted_resource(
    trust: TrustedIssuer, named: Sequence[str], requested: Sequence[str], resources: Sequence[Resource]
) -> tuple[Resource, str | None]:
    """(the one MCP server that an ID-JAG is for, the alias it was named by), out of those that its issuer opens.

    `named` are the URIs in the assertion. One that names none is for the only server that the trust names, never for
    whichever there is. Raises `InvalidToken`, and `invalid_target` for a request that asks for anything else than what
    the assertion is for.

    Spec: JAG-10, choice C9; RFC 8707 §2.2
    """
    opened = _opened(trust, resources)
    if named:
        meant = [resource for resource in opened if _spellings(resource, named)]
    else:
        meant = opened if len(trust.policy.resources) == 1 else []
    if not meant:
        raise InvalidToken("it is for no MCP server that its issuer opens")
    if requested:
        meant = [resource for resource in meant if len(_spellings(resource, requested)) == len(requested)]
        if not meant:
            raise OAuthError(INVALID_TARGET, "The assertion is for another resource than the request.")
    if len(meant) > 1:
        raise OAuthError(INVALID_TARGET, "The assertion is for several resources: ask for one of them.")
    return meant[0], asked_alias(_spellings(meant[0], requested or named), meant[0])


def select_workload_resource(trust: TrustedIssuer, requested: Sequence[str], resources: Sequence[Resource]) -> Resource:
    """The MCP server that a workload asks for; the only one that its trust names, where it asks for none.

    Raises `invalid_target` for what is not known here, `InvalidToken` for what is not opened. Spec: WIF-01, WIF-03
    """
    opened = _opened(trust, resources)
    if not requested:
        if len(trust.policy.resources) != 1 or not opened:
            raise OAuthError(INVALID_TARGET, "Name the MCP server with the resource parameter.")
        return opened[0]
    resource = select_resource(requested, resources)
    if resource not in opened:
        raise InvalidToken("its issuer does not open this MCP server")
    return resource


def select_asserted_scopes(
    trust: TrustedIssuer, client: Client, resource: Resource, asserted: Scopes | None, requested: str | None
) -> Scopes:
    """What every side allows: the assertion, the request, the trust, the client's operator, the server as it is now.

    Where the assertion says nothing of scopes, it is for what the trust names, or the server's default scopes.

    Raises `invalid_scope` when nothing is left. Spec: JAG-11, JAG-17
    """
    ceiling = trust.policy.scopes or (resource.default_scopes if asserted is None else resource.scope_names)
    held = narrow(ceiling if asserted is None else asserted, narrow(ceiling, resource.known_scopes))
    if client.is_verified and client.metadata.scope:
        held = narrow(held, client.metadata.scope)
    return _narrow(requested, held, resource)


def select_workload_scopes(trust: TrustedIssuer, resource: Resource, requested: str | None) -> Scopes:
    """What the trust names, or the server's default scopes, and no more than was asked for. Raises `invalid_scope`."""
    held = narrow(trust.policy.scopes, resource.known_scopes) if trust.policy.scopes else resource.default_scopes
    return _narrow(requested, held, resource)


def _narrow(requested: str | None, held: Scopes, resource: Resource) -> Scopes:
    """There is no refresh token to ask for, so `offline_access` asks for nothing (JAG-12)."""
    held = tuple(scope for scope in held if scope != OFFLINE_ACCESS)
    if not held and resource.scopes:
        raise OAuthError(INVALID_SCOPE, "None of the scopes that the assertion gives exists here.")
    asked = " ".join(scope for scope in parse_scope(requested) if scope != OFFLINE_ACCESS)
    return narrow_scopes(asked, held)


def _opened(trust: TrustedIssuer, resources: Sequence[Resource]) -> list[Resource]:
    named = trust.policy.resources
    return [resource for resource in resources if not named or resource.uri in named]


def _spellings(resource: Resource, uris: Sequence[str]) -> list[str]:
    """The URIs that spell the resource; what is no URI spells none."""
    return [uri for uri in uris if _key(uri) in resource_keys(resource)]


def _key(uri: str) -> str | None:
    try:
        return match_key(parse_resource(uri))
    except OAuthError:
        return None


def _claim_holds(claim: Any, value: str) -> bool:
    """Whether a claim is the value, or a list that has it. Truth and numbers are compared as JSON spells them."""
    if isinstance(claim, list):
        return any(_claim_holds(entry, value) for entry in claim if not isinstance(entry, list))
    if isinstance(claim, bool | int):
        return json.dumps(claim) == value
    return isinstance(claim, str) and claim == value
