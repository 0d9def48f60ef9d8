"""What the verbs of the admin API and the dashboard are called with to change and to see a filled project."""

from collections.abc import Awaitable, Callable
from typing import Any

from doorward.oauth.ids import TokenHash
from doorward.storage import admin_tokens, audit, clients, grants, idempotency, timeline
from doorward.storage.database import Transaction
from tests.storage.rows import (
    ADMIN_HASH,
    ADMIN_TOKEN,
    ASKED_HASH,
    DAY,
    NOW,
    UNANSWERED_HASH,
    Tenant,
    make_admin_token,
)

Act = Callable[[Transaction, Tenant], Awaitable[Any]]

CHANGES: dict[Callable[..., Any], Act] = {
    admin_tokens.add_admin_token: lambda tx, t: admin_tokens.add_admin_token(
        tx, make_admin_token(t.project, "adt_new"), TokenHash(b"new")
    ),
    admin_tokens.touch_admin_token: lambda tx, t: admin_tokens.touch_admin_token(tx, t.project_id, ADMIN_TOKEN, NOW),
    admin_tokens.revoke_admin_token: lambda tx, t: admin_tokens.revoke_admin_token(tx, t.project_id, ADMIN_TOKEN, NOW),
    idempotency.claim_idempotency_key: lambda tx, t: idempotency.claim_idempotency_key(
        tx, t.project_id, ASKED_HASH, TokenHash(b"new"), now=NOW + DAY, until=NOW + 2 * DAY
    ),
    idempotency.keep_idempotent_answer: lambda tx, t: idempotency.keep_idempotent_answer(
        tx, t.project_id, UNANSWERED_HASH, "{}"
    ),
    idempotency.release_idempotency_key: lambda tx, t: idempotency.release_idempotency_key(
        tx, t.project_id, UNANSWERED_HASH
    ),
}
DAYS = {"since": 0, "day_ms": DAY}
LOOKS: dict[Callable[..., Any], tuple[Act, Any]] = {
    audit.search_events: (lambda tx, t: audit.search_events(tx, t.project_id), []),
    audit.count_events_by_day: (lambda tx, t: audit.count_events_by_day(tx, t.project_id, **DAYS), []),
    timeline.count_refusals_by_day: (lambda tx, t: timeline.count_refusals_by_day(tx, t.project_id, **DAYS), []),
    clients.count_clients_by_day: (lambda tx, t: clients.count_clients_by_day(tx, t.project_id, **DAYS), []),
    grants.list_everybodys_connections: (
        lambda tx, t: grants.list_everybodys_connections(tx, t.project_id, now=NOW),
        [],
    ),
    audit.find_events: (lambda tx, t: audit.find_events(tx, t.project_id, only={}, at_most=10), []),
    admin_tokens.find_admin_token: (
        lambda tx, t: admin_tokens.find_admin_token(tx, t.project_id, ADMIN_HASH, NOW),
        None,
    ),
    admin_tokens.list_admin_tokens: (lambda tx, t: admin_tokens.list_admin_tokens(tx, t.project_id), []),
    idempotency.find_idempotency_key: (
        lambda tx, t: idempotency.find_idempotency_key(tx, t.project_id, ASKED_HASH, NOW),
        None,
    ),
}
