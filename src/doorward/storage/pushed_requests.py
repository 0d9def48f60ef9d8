"""Authorization requests that clients pushed ahead: of one browser once it was seen, and spent by one decision."""

import json

from sqlalchemy import bindparam, delete, select, update

from doorward.core.models import PushedRequest
from doorward.oauth.ids import ClientId, ProjectId, TokenHash

from .database import Row, Transaction
from .schema import pushed_requests
from .statements import Statement, insert_row

_COLUMNS = (
    pushed_requests.c.project_id,
    pushed_requests.c.request_hash,
    pushed_requests.c.client_id,
    pushed_requests.c.parameters,
    pushed_requests.c.dpop_jkt,
    pushed_requests.c.browser_hash,
    pushed_requests.c.expires_at,
)
_THIS_REQUEST = (
    pushed_requests.c.project_id == bindparam("of_project"),
    pushed_requests.c.request_hash == bindparam("of_request"),
    pushed_requests.c.used_at.is_(None),
    pushed_requests.c.expires_at > bindparam("now"),
)
_OF_CLIENT = pushed_requests.c.client_id == bindparam("of_client")
_INSERT = Statement(insert_row(pushed_requests))
_FIND = Statement(select(*_COLUMNS).where(*_THIS_REQUEST, _OF_CLIENT))
_BIND = Statement(
    update(pushed_requests)
    .where(*_THIS_REQUEST, _OF_CLIENT, pushed_requests.c.browser_hash.is_(None))
    .values(browser_hash=bindparam("to_browser"), expires_at=bindparam("until"))
    .returning(*_COLUMNS)
)
_CONSUME = Statement(
    update(pushed_requests)
    .where(*_THIS_REQUEST)
    .values(used_at=bindparam("now"))
    .returning(pushed_requests.c.request_hash)
)
_SWEEP = Statement(delete(pushed_requests).where(pushed_requests.c.expires_at <= bindparam("now")))


async def add_pushed_request(tx: Transaction, pushed: PushedRequest, now: int) -> None:
    """Store a request that a client pushed."""
    await tx.run(
        _INSERT,
        project_id=pushed.project_id,
        request_hash=pushed.request_hash,
        client_id=pushed.client_id,
        parameters=json.dumps({"values": pushed.values, "resources": pushed.resources}, ensure_ascii=False),
        dpop_jkt=pushed.dpop_jkt,
        browser_hash=pushed.browser_hash,
        created_at=now,
        expires_at=pushed.expires_at,
        used_at=None,
    )


async def find_pushed_request(
    tx: Transaction, project_id: ProjectId, request_hash: TokenHash, client_id: ClientId, now: int
) -> PushedRequest | None:
    """A request of this client that still waits. Spec: RFC 9126 §2.2 (PAR-06)"""
    row = await tx.one(_FIND, of_project=project_id, of_request=request_hash, of_client=client_id, now=now)
    return _load(row) if row else None


async def bind_pushed_request(
    tx: Transaction,
    project_id: ProjectId,
    request_hash: TokenHash,
    client_id: ClientId,
    browser_hash: TokenHash,
    *,
    now: int,
    until: int,
) -> PushedRequest | None:
    """The request for the browser that asks: the first one has it until `until`, any other is told there is none."""
    keys = {"of_project": project_id, "of_request": request_hash, "of_client": client_id, "now": now}
    row = await tx.one(_BIND, **keys, to_browser=browser_hash, until=until) or await tx.one(_FIND, **keys)
    found = _load(row) if row else None
    return found if found is not None and found.browser_hash == browser_hash else None


async def consume_pushed_request(tx: Transaction, project_id: ProjectId, request_hash: TokenHash, now: int) -> bool:
    """Spend a request: of all decisions on it, in however many tabs, one counts (I1). Spec: RFC 9126 §4, §7.3"""
    return await tx.one(_CONSUME, of_project=project_id, of_request=request_hash, now=now) is not None


async def sweep_pushed_requests(tx: Transaction, now: int) -> int:
    """Forget requests that nobody can use any more, of every project."""
    return await tx.run(_SWEEP, now=now)


def _load(row: Row) -> PushedRequest:
    project_id, request_hash, client_id, parameters, dpop_jkt, browser_hash, expires_at = row
    members = json.loads(parameters)
    return PushedRequest(
        project_id=ProjectId(project_id),
        request_hash=TokenHash(request_hash),
        client_id=ClientId(client_id),
        values=members["values"],
        resources=tuple(members["resources"]),
        dpop_jkt=dpop_jkt,
        browser_hash=TokenHash(browser_hash) if browser_hash else None,
        expires_at=expires_at,
    )
