"""Who may exchange which tokens for which: a matrix that denies whatever is not in it."""

from sqlalchemy import bindparam, delete, or_, select

from doorward.core.models import ExchangeRule
from doorward.oauth.ids import ClientId, ProjectId, ResourceId

from .database import Row, Transaction
from .schema import exchange_rules
from .statements import Statement

_COLUMNS = tuple(exchange_rules.columns)
_OF_PROJECT = exchange_rules.c.project_id == bindparam("project_id")
_ADD = Statement(
    lambda insert: (
        insert(exchange_rules)
        .values({column.name: bindparam(column.name) for column in exchange_rules.columns})
        .on_conflict_do_nothing()
        .returning(exchange_rules.c.rule_id)
    )
)
_LIST = Statement(select(*_COLUMNS).where(_OF_PROJECT).order_by(exchange_rules.c.created_at, exchange_rules.c.rule_id))
_ANY = Statement(select(exchange_rules.c.rule_id).where(_OF_PROJECT).limit(1))
_APPLYING = Statement(
    select(*_COLUMNS).where(
        _OF_PROJECT,
        exchange_rules.c.client_id == bindparam("client_id"),
        exchange_rules.c.to_resource_id == bindparam("to_resource_id"),
        or_(
            exchange_rules.c.from_resource_id == bindparam("from_resource_id"),
            exchange_rules.c.from_resource_id.is_(None),
        ),
    )
)
_REMOVE = Statement(
    delete(exchange_rules).where(_OF_PROJECT, exchange_rules.c.rule_id == bindparam("rule_id")).returning(*_COLUMNS)
)


async def add_exchange_rule(tx: Transaction, rule: ExchangeRule) -> bool:
    """Store a rule; False when there is one for the same client and servers, which its id says."""
    row = await tx.one(
        _ADD,
        project_id=rule.project_id,
        rule_id=rule.rule_id,
        client_id=rule.client_id,
        from_resource_id=rule.from_resource_id,
        to_resource_id=rule.to_resource_id,
        mode=rule.mode,
        scope=" ".join(rule.scope),
        created_at=rule.created_at,
    )
    return row is not None


async def list_exchange_rules(tx: Transaction, project_id: ProjectId) -> list[ExchangeRule]:
    """The rules of a project, oldest first."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id)]


async def has_exchange_rules(tx: Transaction, project_id: ProjectId) -> bool:
    """Whether anybody may exchange anything."""
    return await tx.one(_ANY, project_id=project_id) is not None


async def find_exchange_rule(
    tx: Transaction,
    project_id: ProjectId,
    client_id: ClientId,
    *,
    from_resource_id: ResourceId,
    to_resource_id: ResourceId,
) -> ExchangeRule | None:
    """The rule for a client and two servers: the one that names the first server, before the one for any."""
    rows = await tx.all(
        _APPLYING,
        project_id=project_id,
        client_id=client_id,
        from_resource_id=from_resource_id,
        to_resource_id=to_resource_id,
    )
    rules = [_load(row) for row in rows]
    return next((rule for rule in rules if rule.from_resource_id is not None), rules[0] if rules else None)


async def remove_exchange_rule(tx: Transaction, project_id: ProjectId, rule_id: str) -> ExchangeRule | None:
    """Take a rule back; what it was, for the call that did."""
    row = await tx.one(_REMOVE, project_id=project_id, rule_id=rule_id)
    return _load(row) if row else None


def _load(row: Row) -> ExchangeRule:
    project_id, rule_id, client_id, from_resource_id, to_resource_id, mode, scope, created_at = row
    return ExchangeRule(
        project_id=ProjectId(project_id),
        rule_id=rule_id,
        client_id=ClientId(client_id),
        from_resource_id=ResourceId(from_resource_id) if from_resource_id else None,
        to_resource_id=ResourceId(to_resource_id),
        mode=mode,
        scope=tuple(scope.split()),
        created_at=created_at,
    )
