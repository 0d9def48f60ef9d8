"""Which clients may exchange which tokens: nothing, until a rule says so.

Spec: RFC 8693 §5 (TX-06, T30)
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from doorward.core import audit
from doorward.core.models import (
    EXCHANGE_MODES,
    TOKEN_EXCHANGE,
    AuditEvent,
    Client,
    ExchangeMode,
    ExchangeRule,
    Project,
    Resource,
)
from doorward.oauth.errors import OAuthError
from doorward.oauth.scopes import Scopes, missing, parse_scope
from doorward.storage.audit import record
from doorward.storage.clients import find_client, update_client_metadata
from doorward.storage.database import Transaction
from doorward.storage.exchange_rules import add_exchange_rule, list_exchange_rules, remove_exchange_rule

from .operator import ActionRefused, Conflict, NotFound, Operator


async def add(
    operator: Operator,
    client: Client,
    *,
    source: Resource | None,
    target: Resource,
    scope: str,
    mode: ExchangeMode = "delegation",
) -> ExchangeRule:
    """Let a client make tokens for `target` of those for `source`, or of any when that is None.

    A client that was not added for exchanges is from then on. Raises `ActionRefused`.
    """
    if client.kind != "manual" or client.is_public:
        raise ActionRefused("Only clients that an operator added, with a secret or keys, exchange tokens.")
    if mode not in EXCHANGE_MODES:
        raise ActionRefused(f"A mode is one of {', '.join(EXCHANGE_MODES)}.")
    now = operator.clock()
    rule = ExchangeRule(
        project_id=client.project_id,
        rule_id=_rule_id(client, source, target),
        client_id=client.client_id,
        from_resource_id=source.resource_id if source else None,
        to_resource_id=target.resource_id,
        mode=mode,
        scope=_check_scope(scope, target),
        created_at=now,
    )
    if not await operator.database.write(_add, rule, operator.actor, now):
        raise Conflict("There is a rule for this client and these servers already; remove it first.")
    return rule


async def list_all(operator: Operator, project: Project) -> list[ExchangeRule]:
    """The rules of a project, oldest first."""
    return await operator.database.read(list_exchange_rules, project.project_id)


async def remove(operator: Operator, project: Project, rule_id: str) -> None:
    """Take a rule back; what was exchanged by it lives as long as it would have. Raises `ActionRefused`."""
    if not await operator.database.write(_remove, project, rule_id, operator.actor, operator.clock()):
        raise NotFound(f"There is no rule {rule_id}.")


def describe(rule: ExchangeRule, resources: Iterable[Resource]) -> dict[str, Any]:
    """A rule as operators see it; a server that was removed is told by its id."""
    uris = {resource.resource_id: resource.uri for resource in resources}
    source = rule.from_resource_id
    return {
        "rule_id": rule.rule_id,
        "client_id": rule.client_id,
        "from": uris.get(source, source) if source else "any",
        "to": uris.get(rule.to_resource_id, rule.to_resource_id),
        "mode": rule.mode,
        "scope": " ".join(rule.scope),
        "created_at": rule.created_at,
    }


def _rule_id(client: Client, source: Resource | None, target: Resource) -> str:
    """The same for the same client and servers, so that two operators at once cannot make two rules that differ."""
    about = "\x00".join((client.client_id, source.resource_id if source else "", target.resource_id))
    digest = hashlib.sha256(about.encode()).digest()[:12]
    return f"exr_{urlsafe_b64encode(digest).decode()}"


def _check_scope(scope: str, target: Resource) -> Scopes:
    """The ceiling of a rule: scopes that the server has, so that a slip of the pen is found now."""
    try:
        named = parse_scope(scope)
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    known = " ".join(target.scope_names) or "none"
    if unknown := missing(named, target.known_scopes):
        raise ActionRefused(f"{target.uri} does not have {' '.join(unknown)}. It has: {known}.")
    if target.scopes and not named:
        raise ActionRefused(f"Name the scopes that may be asked for at most, out of: {known}.")
    return named


async def _add(tx: Transaction, rule: ExchangeRule, actor: str, now: int) -> bool:
    client = await find_client(tx, rule.project_id, rule.client_id)
    if client is None:
        raise NotFound(f"{rule.client_id} was removed meanwhile.")
    if not await add_exchange_rule(tx, rule):
        return False
    held = client.metadata.grant_types
    if TOKEN_EXCHANGE not in held:
        metadata = replace(client.metadata, grant_types=(*held, TOKEN_EXCHANGE))
        await update_client_metadata(tx, client, metadata, proposed=client.proposed, fresh_until=client.fresh_until)
    event = AuditEvent(audit.EXCHANGE_RULE_ADDED, actor, audit.client_actor(rule.client_id), _detail(rule))
    await record(tx, rule.project_id, event, now)
    return True


async def _remove(tx: Transaction, project: Project, rule_id: str, actor: str, now: int) -> bool:
    rule = await remove_exchange_rule(tx, project.project_id, rule_id)
    if rule is None:
        return False
    event = AuditEvent(audit.EXCHANGE_RULE_REMOVED, actor, audit.client_actor(rule.client_id), _detail(rule))
    await record(tx, project.project_id, event, now)
    return True


def _detail(rule: ExchangeRule) -> dict[str, Any]:
    return {
        "rule": rule.rule_id,
        "from": rule.from_resource_id,
        "to": rule.to_resource_id,
        "mode": rule.mode,
        "scope": " ".join(rule.scope),
    }
