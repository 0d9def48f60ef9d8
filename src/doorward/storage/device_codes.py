"""Devices that wait for a person: who may decide, what was decided, and the one answer that gives tokens."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, bindparam, delete, or_, select, update

from doorward.core.models import DeviceCode, DeviceDecision
from doorward.oauth.ids import ClientId, GrantId, ProjectId, TokenHash, UserId

from .database import Row, Transaction
from .schema import device_codes
from .statements import Statement

SLOW_DOWN_MS = 5_000
LENIENCY_MS = 500
"""How much too early a device may ask: one that waits exactly its interval is early when the network is quicker."""
MEMORY_MS = 600_000
"""How long a code is remembered once it is over, so that a device is told why instead of that it is unknown."""

_COLUMNS = tuple(device_codes.columns)
_now = bindparam("now", type_=BigInteger)
_OF_PROJECT = device_codes.c.project_id == bindparam("of_project")
_THIS_DEVICE = (_OF_PROJECT, device_codes.c.device_hash == bindparam("of_device"))
_THIS_USER_CODE = (_OF_PROJECT, device_codes.c.user_code_hash == bindparam("of_user_code"))
_UNEXPIRED = device_codes.c.expires_at > _now
_WAITS = (device_codes.c.decision == "waiting", _UNEXPIRED)
_IS_CLIENTS = device_codes.c.client_id == bindparam("of_client")
_ADD = Statement(
    lambda insert: (
        insert(device_codes)
        .values({column.name: bindparam(column.name) for column in device_codes.columns})
        .on_conflict_do_nothing()
        .returning(device_codes.c.project_id)
    )
)
_FIND = Statement(select(*_COLUMNS).where(*_THIS_DEVICE))
_FIND_WAITING = Statement(select(*_COLUMNS).where(*_THIS_USER_CODE, *_WAITS))
_CLAIM = Statement(
    update(device_codes)
    .where(
        *_THIS_USER_CODE,
        *_WAITS,
        or_(device_codes.c.user_id.is_(None), device_codes.c.user_id == bindparam("of_user")),
    )
    .values(user_id=bindparam("of_user"))
    .returning(*_COLUMNS)
)
_DECIDE = Statement(
    update(device_codes)
    .where(*_THIS_USER_CODE, *_WAITS, device_codes.c.user_id == bindparam("of_user"))
    .values(decision=bindparam("new_decision"), grant_id=bindparam("new_grant"))
    .returning(*_COLUMNS)
)
_POLL = Statement(
    update(device_codes)
    .where(
        *_THIS_DEVICE,
        *_WAITS,
        _IS_CLIENTS,
        or_(
            device_codes.c.polled_at.is_(None),
            device_codes.c.polled_at + device_codes.c.interval_ms <= _now + LENIENCY_MS,
        ),
    )
    .values(polled_at=_now)
    .returning(device_codes.c.interval_ms)
)
_SLOW_DOWN = Statement(
    update(device_codes)
    .where(*_THIS_DEVICE, *_WAITS, _IS_CLIENTS)
    .values(polled_at=_now, interval_ms=device_codes.c.interval_ms + SLOW_DOWN_MS)
    .returning(device_codes.c.interval_ms)
)
_CONSUME = Statement(
    update(device_codes)
    .where(
        *_THIS_DEVICE,
        _IS_CLIENTS,
        device_codes.c.decision == "allowed",
        device_codes.c.used_at.is_(None),
        _UNEXPIRED,
    )
    .values(used_at=_now)
    .returning(*_COLUMNS)
)
_AWAITED = Statement(
    select(device_codes.c.client_id)
    .where(_OF_PROJECT, _IS_CLIENTS, device_codes.c.used_at.is_(None), _UNEXPIRED)
    .limit(1)
)
_SWEEP = Statement(delete(device_codes).where(device_codes.c.expires_at <= bindparam("forget_expired_before")))


@dataclass(frozen=True, slots=True)
class Claimed:
    """This person, and nobody else, may decide about the device."""

    code: DeviceCode


@dataclass(frozen=True, slots=True)
class ClaimedByAnother:
    """Somebody else entered the code first."""


@dataclass(frozen=True, slots=True)
class NotWaiting:
    """No device waits with this code: never given out, decided, or run out."""


ClaimOutcome = Claimed | ClaimedByAnother | NotWaiting


async def add_device_code(tx: Transaction, code: DeviceCode) -> bool:
    """Store a waiting device; False when its user code is in use, which another one mends."""
    row = await tx.one(
        _ADD,
        project_id=code.project_id,
        device_hash=code.device_hash,
        user_code_hash=code.user_code_hash,
        client_id=code.client_id,
        resource_id=code.resource_id,
        scope=" ".join(code.scope),
        alias=code.alias,
        source=code.source,
        agent=code.agent,
        dpop_jkt=code.dpop_jkt,
        created_at=code.created_at,
        expires_at=code.expires_at,
        interval_ms=code.interval_ms,
        polled_at=code.polled_at,
        user_id=code.user_id,
        decision=code.decision,
        grant_id=code.grant_id,
        used_at=code.used_at,
    )
    return row is not None


async def find_device_code(tx: Transaction, project_id: ProjectId, device_hash: TokenHash) -> DeviceCode | None:
    """A device's code as stored, whatever became of it."""
    row = await tx.one(_FIND, of_project=project_id, of_device=device_hash)
    return _load(row) if row else None


async def find_waiting_device(
    tx: Transaction, project_id: ProjectId, user_code_hash: TokenHash, now: int
) -> DeviceCode | None:
    """The device that waits with this user code."""
    row = await tx.one(_FIND_WAITING, of_project=project_id, of_user_code=user_code_hash, now=now)
    return _load(row) if row else None


async def claim_user_code(
    tx: Transaction, project_id: ProjectId, user_code_hash: TokenHash, user_id: UserId, now: int
) -> ClaimOutcome:
    """Bind a waiting device to the first person who enters its code; for them it may be repeated (T42)."""
    row = await tx.one(_CLAIM, of_project=project_id, of_user_code=user_code_hash, of_user=user_id, now=now)
    if row is not None:
        return Claimed(_load(row))
    waiting = await find_waiting_device(tx, project_id, user_code_hash, now)
    return NotWaiting() if waiting is None else ClaimedByAnother()


async def decide_device_code(
    tx: Transaction,
    project_id: ProjectId,
    user_code_hash: TokenHash,
    user_id: UserId,
    decision: DeviceDecision,
    grant_id: GrantId | None,
    now: int,
) -> DeviceCode | None:
    """Settle a waiting device: one decision, by the person it is bound to, or None (I1, T42)."""
    row = await tx.one(
        _DECIDE,
        of_project=project_id,
        of_user_code=user_code_hash,
        of_user=user_id,
        new_decision=decision,
        new_grant=grant_id,
        now=now,
    )
    return _load(row) if row else None


async def poll_device_code(
    tx: Transaction, project_id: ProjectId, device_hash: TokenHash, client_id: ClientId, now: int
) -> bool:
    """Note that a waiting device asked; False when it was too early, and its interval has grown for good (DEV-06)."""
    key = {"of_project": project_id, "of_device": device_hash, "of_client": client_id, "now": now}
    if await tx.one(_POLL, **key) is not None:
        return True
    return await tx.one(_SLOW_DOWN, **key) is None  # decided in this very moment: the next question has the answer


async def consume_device_code(
    tx: Transaction, project_id: ProjectId, device_hash: TokenHash, client_id: ClientId, now: int
) -> DeviceCode | None:
    """Spend an allowed device's code: exactly one caller ever gets it (I1, DEV-07)."""
    row = await tx.one(_CONSUME, of_project=project_id, of_device=device_hash, of_client=client_id, now=now)
    return _load(row) if row else None


async def is_client_awaited(tx: Transaction, project_id: ProjectId, client_id: str, now: int) -> bool:
    """Whether a device of this client waits, or was let in and has not come for its tokens yet."""
    return await tx.one(_AWAITED, of_project=project_id, of_client=client_id, now=now) is not None


async def sweep_device_codes(tx: Transaction, now: int) -> int:
    """Forget codes that have been over for a while, of every project."""
    return await tx.run(_SWEEP, forget_expired_before=now - MEMORY_MS)


def _load(row: Row) -> DeviceCode:
    values = dict(zip((column.name for column in _COLUMNS), row, strict=True))
    values["scope"] = tuple(values["scope"].split())
    return DeviceCode(**values)
