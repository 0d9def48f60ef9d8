"""Clients with a row: added, registered with a secret, or let in by somebody. A live grant keeps its client.

Every change of a row takes its fingerprint away; see `superseding`.
"""

import json
from functools import lru_cache

from sqlalchemy import BigInteger, and_, bindparam, case, delete, exists, func, null, or_, select, update

from doorward.core.models import Client, ClientStatus
from doorward.oauth.ids import ClientId, ProjectId, TokenHash
from doorward.oauth.metadata import ClientMetadata, load_client_metadata

from .database import Row, Transaction
from .registrations import bury_client
from .revocations import announce
from .schema import clients, grants
from .statements import Statement, insert_row, later_of

_encode = json.JSONEncoder(ensure_ascii=False).encode
_COLUMNS = tuple(clients.columns)
_NAMES = tuple(column.name for column in _COLUMNS)
_THIS_CLIENT = (clients.c.project_id == bindparam("of_project"), clients.c.client_id == bindparam("of_client"))
_INSERT = Statement(insert_row(clients))
_ENSURE = Statement(
    lambda insert: (
        insert(clients)
        .values({column.name: bindparam(column.name) for column in clients.columns})
        .on_conflict_do_nothing()
        .returning(clients.c.client_id)
    )
)
_FIND = Statement(select(*_COLUMNS).where(*_THIS_CLIENT))
_LIST = Statement(
    select(*_COLUMNS)
    .where(clients.c.project_id == bindparam("of_project"))
    .order_by(clients.c.created_at.desc(), clients.c.client_id)
    .limit(bindparam("at_most"))
)
_LIST_AFTER = Statement(
    select(*_COLUMNS)
    .where(
        clients.c.project_id == bindparam("of_project"),
        or_(
            clients.c.created_at < bindparam("after_at", type_=BigInteger),
            and_(clients.c.created_at == bindparam("after_at"), clients.c.client_id > bindparam("after_id")),
        ),
    )
    .order_by(clients.c.created_at.desc(), clients.c.client_id)
    .limit(bindparam("at_most"))
)
_COUNT = Statement(select(func.count()).where(clients.c.project_id == bindparam("of_project")))
_came = (
    select((clients.c.created_at // bindparam("day_ms")).label("day"))
    .where(clients.c.project_id == bindparam("of_project"), clients.c.created_at >= bindparam("since"))
    .subquery()
)
_BY_DAY = Statement(select(_came.c.day, func.count()).group_by(_came.c.day))
_DELETE = Statement(delete(clients).where(*_THIS_CLIENT).returning(clients.c.status))
_TOUCH = Statement(
    update(clients)
    .where(*_THIS_CLIENT)
    .values(
        fingerprint=null(),
        activated_at=func.coalesce(clients.c.activated_at, bindparam("now")),
        last_used_at=bindparam("now"),
        expires_at=bindparam("new_expires_at"),
    )
)
_SET_STATUS = Statement(
    update(clients)
    .where(*_THIS_CLIENT)
    .values(fingerprint=null(), status=bindparam("new_status"))
    .returning(clients.c.client_id)
)
_VOID = Statement(
    update(clients)
    .where(*_THIS_CLIENT)
    .values(void_before=later_of(clients.c.void_before, "now"))
    .returning(clients.c.client_id)
)
_SET_METADATA = Statement(
    update(clients)
    .where(*_THIS_CLIENT)
    .values(
        fingerprint=null(),
        metadata=bindparam("new_metadata"),
        proposed=bindparam("new_proposed"),
        status=case((and_(clients.c.status == "pending", bindparam("admit") == 1), "active"), else_=clients.c.status),
        fresh_until=bindparam("new_fresh_until"),
    )
    .returning(clients.c.client_id)
)
_overlap_until = bindparam("overlap_until", type_=BigInteger)
_ROTATE_SECRET = Statement(
    update(clients)
    .where(*_THIS_CLIENT, clients.c.secret_hash == bindparam("from_hash"))
    .values(
        fingerprint=null(),
        secret_hash=bindparam("new_hash"),
        secret_expires_at=bindparam("new_expires_at"),
        previous_secret_hash=clients.c.secret_hash,
        # An overlap never brings a secret back that has expired, nor makes one last longer than it was given.
        previous_secret_expires_at=case(
            (clients.c.secret_expires_at < _overlap_until, clients.c.secret_expires_at), else_=_overlap_until
        ),
    )
    .returning(clients.c.client_id)
)
_SET_REGISTRATION_TOKEN = Statement(
    update(clients)
    .where(*_THIS_CLIENT, clients.c.registration_token_hash == bindparam("from_hash"))
    .values(registration_token_hash=bindparam("new_hash"))
    .returning(clients.c.client_id)
)
_SWEEP = Statement(
    delete(clients)
    .where(
        clients.c.expires_at.is_not(None),
        clients.c.expires_at <= bindparam("now"),
        clients.c.status != "suspended",
        ~exists().where(
            grants.c.project_id == clients.c.project_id,
            grants.c.client_id == clients.c.client_id,
            or_(grants.c.revoked_at.is_(None), grants.c.kind == "assertion"),
        ),
    )
    .returning(clients.c.project_id, clients.c.client_id, clients.c.kind)
)


async def add_client(tx: Transaction, client: Client) -> None:
    """Store a new client. Its id is random, so it cannot be taken."""
    await tx.run(_INSERT, **_values(client))


async def ensure_client(tx: Transaction, client: Client) -> bool:
    """Store a client that had no row yet; False when it has one, which is left as it is."""
    return await tx.one(_ENSURE, **_values(client)) is not None


async def find_client(tx: Transaction, project_id: ProjectId, client_id: str) -> Client | None:
    """The client of a project with this id."""
    row = await tx.one(_FIND, of_project=project_id, of_client=client_id)
    return _load(row) if row else None


async def list_clients(
    tx: Transaction, project_id: ProjectId, *, at_most: int = 200, after: tuple[int, str] | None = None
) -> list[Client]:
    """The newest clients of a project; with `after`, a time and id, those that come after it in that order."""
    if after is not None:
        at, client_id = after
        rows = await tx.all(_LIST_AFTER, of_project=project_id, after_at=at, after_id=client_id, at_most=at_most)
        return [_load(row) for row in rows]
    return [_load(row) for row in await tx.all(_LIST, of_project=project_id, at_most=at_most)]


async def count_clients(tx: Transaction, project_id: ProjectId) -> int:
    """How many clients a project holds, for its quota."""
    row = await tx.one(_COUNT, of_project=project_id)
    return int(row[0]) if row else 0


async def count_clients_by_day(
    tx: Transaction, project_id: ProjectId, *, since: int, day_ms: int
) -> list[tuple[int, int]]:
    """(day since 1970, how many clients came then and are still there)."""
    rows = await tx.all(_BY_DAY, of_project=project_id, since=since, day_ms=day_ms)
    return [(int(day), int(count)) for day, count in rows]


async def touch_client(
    tx: Transaction, project_id: ProjectId, client_id: ClientId, now: int, expires_at: int | None
) -> None:
    """Record a use: the first one activates the client, each one renews its life."""
    await tx.run(_TOUCH, of_project=project_id, of_client=client_id, now=now, new_expires_at=expires_at)


async def set_client_status(
    tx: Transaction, project_id: ProjectId, client_id: ClientId, status: ClientStatus, now: int
) -> bool:
    """Let a client in or keep it out, and announce it; its tokens follow at once."""
    if await tx.one(_SET_STATUS, of_project=project_id, of_client=client_id, new_status=status) is None:
        return False
    await announce(tx, project_id, "client", client_id, "free" if status == "active" else "hold", now, now)
    return True


async def void_client_grants(tx: Transaction, project_id: ProjectId, client_id: ClientId, now: int) -> bool:
    """End every grant the client holds, however many there are, in one step, and announce it."""
    if await tx.one(_VOID, of_project=project_id, of_client=client_id, now=now) is None:
        return False
    await announce(tx, project_id, "client", client_id, "void", now, now)
    return True


async def update_client_metadata(
    tx: Transaction,
    client: Client,
    metadata: ClientMetadata,
    *,
    admit: bool = False,
    proposed: ClientMetadata | None = None,
    fresh_until: int | None = None,
) -> bool:
    """Store what a client says of itself now, and what of it waits for approval.

    `admit` lets a client in that waits; one that was suspended meanwhile stays out.
    """
    row = await tx.one(
        _SET_METADATA,
        of_project=client.project_id,
        of_client=client.client_id,
        new_metadata=_dump(metadata),
        new_proposed=_dump(proposed) if proposed else None,
        admit=int(admit),
        new_fresh_until=fresh_until,
    )
    return row is not None


async def rotate_client_secret(
    tx: Transaction,
    client: Client,
    secret_hash: TokenHash,
    *,
    expires_at: int | None,
    overlap_until: int,
) -> bool:
    """Give a client a new secret; the old one works until `overlap_until`, or until it expires by itself.

    False when another caller was first.
    """
    row = await tx.one(
        _ROTATE_SECRET,
        of_project=client.project_id,
        of_client=client.client_id,
        from_hash=client.secret_hash,
        new_hash=secret_hash,
        new_expires_at=expires_at,
        overlap_until=overlap_until,
    )
    return row is not None


async def rotate_registration_token(tx: Transaction, client: Client, token_hash: TokenHash) -> bool:
    """Replace the token that manages a registration; False when another caller was first."""
    row = await tx.one(
        _SET_REGISTRATION_TOKEN,
        of_project=client.project_id,
        of_client=client.client_id,
        from_hash=client.registration_token_hash,
        new_hash=token_hash,
    )
    return row is not None


async def remove_client(tx: Transaction, project_id: ProjectId, client_id: ClientId, now: int) -> bool:
    """Remove a client with every grant it holds, and so every token, and announce it."""
    row = await tx.one(_DELETE, of_project=project_id, of_client=client_id)
    if row is None:
        return False
    await announce(tx, project_id, "client", client_id, "void", now, now)
    if row[0] != "active":  # the same id may come back, and is not held then
        await announce(tx, project_id, "client", client_id, "free", now, now)
    return True


async def sweep_clients(tx: Transaction, now: int) -> int:
    """Remove expired clients without a live grant, of every project; returns how many.

    What somebody ended so that no assertion brings it back (storage/asserted_grants) keeps its client, too.

    A tombstone is for those that are unknown from then on: a sealed id still speaks for itself, and a document can
    be fetched again (complaint 2).
    """
    removed = await tx.all(_SWEEP, now=now)
    for project_id, client_id, kind in removed:
        if kind == "registered":
            await bury_client(tx, project_id, client_id, "expired", now)
    return len(removed)


def _values(client: Client) -> dict[str, object]:
    return {
        "project_id": client.project_id,
        "client_id": client.client_id,
        "kind": client.kind,
        "metadata": _dump(client.metadata),
        "secret_hash": client.secret_hash,
        "created_at": client.created_at,
        "activated_at": client.activated_at,
        "last_used_at": client.last_used_at,
        "expires_at": client.expires_at,
        "status": client.status,
        "void_before": client.void_before,
        "secret_expires_at": client.secret_expires_at,
        "previous_secret_hash": client.previous_secret_hash,
        "previous_secret_expires_at": client.previous_secret_expires_at,
        "registration_token_hash": client.registration_token_hash,
        "verified_by": client.verified_by,
        "fresh_until": client.fresh_until,
        "proposed": _dump(client.proposed) if client.proposed else None,
        "fingerprint": client.fingerprint,
    }


def _dump(metadata: ClientMetadata) -> str:
    return _encode(metadata.document())


def _load(row: Row) -> Client:
    values = dict(zip(_NAMES, row, strict=True))
    values["metadata"] = _load_metadata(values["metadata"])
    if values["proposed"] is not None:
        values["proposed"] = _load_metadata(values["proposed"])
    return Client(**values)


@lru_cache(maxsize=2048)
def _load_metadata(text: str) -> ClientMetadata:
    """Read once for as long as it says the same: every request of a client reads its row."""
    return load_client_metadata(json.loads(text))
