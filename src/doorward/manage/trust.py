"""Issuers that a project trusts: who may say for whom, or for which workload, tokens are given, and how far."""

import json
from dataclasses import asdict, replace
from typing import Any

from doorward.core import audit
from doorward.core.models import AuditEvent, Project, User
from doorward.core.sealing import is_sealed
from doorward.core.secrets import new_id
from doorward.core.trust import SUBJECT_BY, TRUST_PREFIX, TrustedIssuer, TrustPolicy, dump_policy, issuer_key
from doorward.oauth.client_documents import is_document_url
from doorward.oauth.errors import OAuthError
from doorward.oauth.grant_assertions import AssertionKind
from doorward.oauth.jwt import parse_jwks
from doorward.oauth.resources import same_resource
from doorward.oauth.scopes import OFFLINE_ACCESS, parse_scope
from doorward.storage.audit import record
from doorward.storage.clients import find_client
from doorward.storage.database import Transaction
from doorward.storage.identities import LinkedIdentity, link_identity, list_identities, unlink_identity
from doorward.storage.resources import list_resources
from doorward.storage.trusted_issuers import (
    add_trusted_issuer,
    find_trusted_issuer,
    list_trusted_issuers,
    remove_trusted_issuer,
    void_trusted_issuer,
)

from .operator import ActionRefused, Conflict, NotFound, Operator

KINDS: tuple[AssertionKind, ...] = ("id-jag", "workload")
MAX_TRUSTS = 100
MAX_ISSUER_LENGTH = 1024
MAX_RULES = 20


async def add(
    operator: Operator,
    project: Project,
    issuer: str,
    kind: AssertionKind,
    *,
    policy: TrustPolicy,
    jwks: Any = None,
    jwks_uri: str = "",
) -> TrustedIssuer:
    """Trust an issuer, by its keys or by the one place where it publishes them. Raises `ActionRefused`.

    An issuer may be trusted several times, with different policies; the oldest that fits an assertion counts.
    """
    if kind not in KINDS:
        raise ActionRefused(f"A kind is one of {', '.join(KINDS)}.")
    _check_issuer(issuer)
    _check_keys(jwks, jwks_uri)
    _check_kind(kind, policy)
    policy = await operator.database.read(_complete, project, policy)
    trust = TrustedIssuer(
        project_id=project.project_id,
        trust_id=new_id(TRUST_PREFIX),
        issuer=issuer,
        kind=kind,
        policy=policy,
        created_at=operator.clock(),
        jwks=jwks,
        jwks_uri=jwks_uri or None,
    )
    await operator.database.write(_add, trust, operator.actor)
    return trust


async def list_all(operator: Operator, project: Project) -> list[TrustedIssuer]:
    """The trusts of a project, oldest first."""
    return await operator.database.read(list_trusted_issuers, project.project_id)


async def get(operator: Operator, project: Project, trust_id: str) -> TrustedIssuer:
    """A trust by its id, or by its issuer where that has only one. Raises `ActionRefused`."""
    trust = await operator.database.read(find_trusted_issuer, project.project_id, trust_id)
    if trust is not None:
        return trust
    named = [trust for trust in await list_all(operator, project) if trust.issuer == trust_id]
    if len(named) > 1:
        raise ActionRefused(f"{trust_id} is trusted {len(named)} times: name one by its id.")
    if not named:
        raise NotFound(f"There is no trust {trust_id}.")
    return named[0]


async def remove(operator: Operator, trust: TrustedIssuer) -> None:
    """Stop trusting; every connection and token that the trust gave ends. Whom its subjects stand for is kept."""
    await operator.database.write(_remove, trust, operator)


async def revoke_everything(operator: Operator, trust: TrustedIssuer) -> None:
    """End every connection and token that the trust ever gave, however many: one number on it.

    It is trusted as before: a new assertion gives a new token, one that was made by now does not.
    """
    await operator.database.write(_revoke_everything, trust, operator)


async def link(operator: Operator, user: User, issuer: str, subject: str, *, tenant: str = "") -> None:
    """Make a subject of an issuer stand for a person. Raises `ActionRefused`."""
    if not subject or not subject.isprintable():
        raise ActionRefused("A subject is printable text.")
    _check_issuer(issuer)
    key = issuer_key(issuer, tenant or None)
    if not await operator.database.write(_link, user, key, subject, operator.actor, operator.clock()):
        raise Conflict(f"{subject} stands for somebody already; unlink it first.")


async def list_links(operator: Operator, project: Project) -> list[LinkedIdentity]:
    """Which subjects stand for which people, oldest first."""
    return await operator.database.read(list_identities, project.project_id)


async def unlink(operator: Operator, project: Project, issuer: str, subject: str, *, tenant: str = "") -> None:
    """Forget whom a subject stands for; connections that it gave stay until they are ended. Raises `ActionRefused`."""
    key = issuer_key(issuer, tenant or None)
    if not await operator.database.write(_unlink, project, key, subject, operator.actor, operator.clock()):
        raise NotFound(f"{subject} of {key} stands for nobody.")


def describe(trust: TrustedIssuer) -> dict[str, Any]:
    """A trust as operators see it."""
    policy = asdict(trust.policy)
    return {
        "trust_id": trust.trust_id,
        "issuer": trust.issuer,
        "kind": trust.kind,
        "keys": trust.jwks_uri or "given",
        **{name: list(value) if isinstance(value, tuple) else value for name, value in policy.items()},
        "claims": [f"{name}={value}" for name, value in trust.policy.claims],
        "created_at": trust.created_at,
        "revoked_at": trust.void_before or None,
    }


def _check_issuer(issuer: str) -> None:
    if not issuer.isascii() or not issuer.isprintable() or " " in issuer or not 0 < len(issuer) <= MAX_ISSUER_LENGTH:
        raise ActionRefused("An issuer is what its assertions carry as iss: a URI, without spaces.")


def _check_keys(jwks: Any, jwks_uri: str) -> None:
    """Keys are given, or fetched from an https address that the operator wrote down. Spec: JAG-06, WIF-03"""
    if (jwks is None) == (not jwks_uri):
        raise ActionRefused("Give the issuer's keys, or the address where it publishes them.")
    if jwks_uri and not (is_document_url(jwks_uri) and jwks_uri.isascii() and len(jwks_uri) <= MAX_ISSUER_LENGTH):
        raise ActionRefused("Keys are fetched from https addresses only.")
    if jwks_uri:
        return
    try:
        keys = parse_jwks(jwks)
    except ValueError:
        raise ActionRefused("This is not a JWK set.") from None
    if not keys:
        raise ActionRefused("The key set holds no public key that can verify a signature.")


def _check_kind(kind: AssertionKind, policy: TrustPolicy) -> None:
    """What belongs to people is refused for workloads, and for them something has to say which ones are meant."""
    if policy.subject_by not in SUBJECT_BY:
        raise ActionRefused(f"People are known by one of {', '.join(SUBJECT_BY)}.")
    if len(policy.claims) > MAX_RULES or any(not name or not value for name, value in policy.claims):
        raise ActionRefused(f"A rule for a claim is NAME=VALUE, and there are at most {MAX_RULES}.")
    if kind != "workload":
        return
    if policy.clients or policy.public_clients or policy.create_people or policy.subject_by != "sub":
        raise ActionRefused("Clients and people are for the kind id-jag: a workload is neither.")
    if not policy.claims:
        raise ActionRefused(
            "Say which workloads of the issuer are meant with rules for their claims; on shared platforms it is "
            "everybody's issuer."
        )


async def _complete(tx: Transaction, project: Project, policy: TrustPolicy) -> TrustPolicy:
    """The policy with resources as they are registered, once everything that it names is known here."""
    known = await list_resources(tx, project.project_id)
    uris: list[str] = []
    for uri in policy.resources:
        found = [r.uri for r in known if uri == r.resource_id or same_resource(uri, r.uri)]
        if not found:
            raise NotFound(f"There is no resource {uri}.")
        uris += found
    for scope in policy.scopes:
        _check_scope(scope)
        if not any(scope in resource.known_scopes for resource in known if not uris or resource.uri in uris):
            raise ActionRefused(f"No MCP server that is meant has the scope {scope}.")
    for client_id in policy.clients:
        speaks_for_itself = is_document_url(client_id) or is_sealed(client_id)
        if not speaks_for_itself and await find_client(tx, project.project_id, client_id) is None:
            raise NotFound(f"There is no client {client_id}.")
    return replace(policy, resources=tuple(uris))


def _check_scope(scope: str) -> None:
    try:
        is_token = parse_scope(scope) == (scope,)
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    if not is_token or scope == OFFLINE_ACCESS:
        raise ActionRefused(f"{scope!r} is not a scope that a token can have.")


async def _add(tx: Transaction, trust: TrustedIssuer, actor: str) -> None:
    if len(await list_trusted_issuers(tx, trust.project_id)) >= MAX_TRUSTS:
        raise ActionRefused(f"A project has at most {MAX_TRUSTS} trusts.")
    await add_trusted_issuer(tx, trust)
    detail = {"issuer": trust.issuer, "kind": trust.kind, "policy": json.loads(dump_policy(trust.policy))}
    event = AuditEvent(audit.TRUST_ADDED, actor, audit.trust_actor(trust.trust_id), detail)
    await record(tx, trust.project_id, event, trust.created_at)


async def _remove(tx: Transaction, trust: TrustedIssuer, operator: Operator) -> None:
    now = operator.clock()  # inside: no token that was issued before is dated later than what ends it
    if await remove_trusted_issuer(tx, trust.project_id, trust.trust_id, now):
        detail = {"issuer": trust.issuer, "kind": trust.kind}
        event = AuditEvent(audit.TRUST_REMOVED, operator.actor, audit.trust_actor(trust.trust_id), detail)
        await record(tx, trust.project_id, event, now)


async def _revoke_everything(tx: Transaction, trust: TrustedIssuer, operator: Operator) -> None:
    now = operator.clock()  # inside: nothing that was committed before carries a later time
    if await void_trusted_issuer(tx, trust.project_id, trust.trust_id, now):
        event = AuditEvent(
            audit.TRUST_REVOKED, operator.actor, audit.trust_actor(trust.trust_id), {"issuer": trust.issuer}
        )
        await record(tx, trust.project_id, event, now)


async def _link(tx: Transaction, user: User, key: str, subject: str, actor: str, now: int) -> bool:
    if not await link_identity(tx, user.project_id, key, subject, user.user_id, now):
        return False
    detail = {"issuer": key, "subject": subject}
    event = AuditEvent(audit.IDENTITY_LINKED, actor, audit.user_actor(user.user_id), detail)
    await record(tx, user.project_id, event, now)
    return True


async def _unlink(tx: Transaction, project: Project, key: str, subject: str, actor: str, now: int) -> bool:
    user_id = await unlink_identity(tx, project.project_id, key, subject)
    if user_id is None:
        return False
    detail = {"issuer": key, "subject": subject}
    event = AuditEvent(audit.IDENTITY_UNLINKED, actor, audit.user_actor(user_id), detail)
    await record(tx, project.project_id, event, now)
    return True
