"""Passkeys of people."""

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from doorward.core.factors import Passkey
from doorward.oauth.ids import ProjectId, UserId

from .database import Row, Transaction
from .schema_factors import passkeys
from .statements import Statement

_COLUMNS = tuple(passkeys.columns)
_OF_PERSON = (
    passkeys.c.project_id == bindparam("project_id"),
    passkeys.c.user_id == bindparam("user_id"),
)
_THIS = (
    passkeys.c.project_id == bindparam("of_project"),
    passkeys.c.user_id == bindparam("of_user"),
    passkeys.c.passkey_id == bindparam("of_passkey"),
)
_INSERT = Statement(
    lambda insert: (
        insert(passkeys)
        .values({column.name: bindparam(column.name) for column in passkeys.columns})
        .on_conflict_do_nothing()
        .returning(passkeys.c.passkey_id)
    )
)
_FIND = Statement(
    select(*_COLUMNS).where(
        passkeys.c.project_id == bindparam("project_id"), passkeys.c.credential_id == bindparam("credential_id")
    )
)
_LIST = Statement(select(*_COLUMNS).where(*_OF_PERSON).order_by(passkeys.c.created_at, passkeys.c.passkey_id))
_COUNTS = Statement(
    select(passkeys.c.user_id, func.count())
    .where(passkeys.c.project_id == bindparam("project_id"))
    .group_by(passkeys.c.user_id)
)
_RENAME = Statement(update(passkeys).where(*_THIS).values(name=bindparam("new_name")))
# A counter only grows; one that stays behind is of a copy. Those that do not count say 0 for ever.
_USE = Statement(
    update(passkeys)
    .where(
        *_THIS,
        or_(
            passkeys.c.sign_count < bindparam("new_count"),
            and_(passkeys.c.sign_count == 0, bindparam("new_count") == 0),
        ),
    )
    .values(sign_count=bindparam("new_count"), is_backed_up=bindparam("new_backed_up"), last_used_at=bindparam("now"))
    .returning(passkeys.c.passkey_id)
)
_DELETE = Statement(
    delete(passkeys).where(*_OF_PERSON, passkeys.c.passkey_id == bindparam("passkey_id")).returning(passkeys.c.name)
)
_DELETE_ALL = Statement(delete(passkeys).where(*_OF_PERSON))


async def add_passkey(tx: Transaction, passkey: Passkey) -> bool:
    """Store a passkey; False when it is one of the project already, whoever has it."""
    row = await tx.one(
        _INSERT,
        project_id=passkey.project_id,
        passkey_id=passkey.passkey_id,
        user_id=passkey.user_id,
        credential_id=passkey.credential_id,
        credential=passkey.credential,
        sign_count=passkey.sign_count,
        is_backup_eligible=int(passkey.is_backup_eligible),
        is_backed_up=int(passkey.is_backed_up),
        name=passkey.name,
        created_at=passkey.created_at,
        last_used_at=passkey.last_used_at,
    )
    return row is not None


async def find_passkey(tx: Transaction, project_id: ProjectId, credential_id: bytes) -> Passkey | None:
    """The passkey that calls itself so."""
    row = await tx.one(_FIND, project_id=project_id, credential_id=credential_id)
    return _load(row) if row else None


async def list_passkeys(tx: Transaction, project_id: ProjectId, user_id: UserId) -> list[Passkey]:
    """A person's passkeys, oldest first."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id, user_id=user_id)]


async def count_passkeys(tx: Transaction, project_id: ProjectId) -> dict[UserId, int]:
    """How many passkeys each person of a project has who has any."""
    return {UserId(user_id): count for user_id, count in await tx.all(_COUNTS, project_id=project_id)}


async def rename_passkey(
    tx: Transaction, project_id: ProjectId, user_id: UserId, passkey_id: str, *, name: str
) -> bool:
    """Give a person's passkey another name; False when it is not theirs."""
    return await tx.run(_RENAME, of_project=project_id, of_user=user_id, of_passkey=passkey_id, new_name=name) == 1


async def use_passkey(tx: Transaction, passkey: Passkey, *, sign_count: int, is_backed_up: bool, now: int) -> bool:
    """Note that a passkey signed; False when its counter went back, or it was removed: of two copies one is let in."""
    row = await tx.one(
        _USE,
        of_project=passkey.project_id,
        of_user=passkey.user_id,
        of_passkey=passkey.passkey_id,
        new_count=sign_count,
        new_backed_up=int(is_backed_up),
        now=now,
    )
    return row is not None


async def remove_passkey(tx: Transaction, project_id: ProjectId, user_id: UserId, passkey_id: str) -> bool:
    """Remove a person's passkey; False when it is not theirs."""
    return await tx.one(_DELETE, project_id=project_id, user_id=user_id, passkey_id=passkey_id) is not None


async def remove_passkeys(tx: Transaction, project_id: ProjectId, user_id: UserId) -> int:
    """Remove every passkey of a person; how many there were."""
    return await tx.run(_DELETE_ALL, project_id=project_id, user_id=user_id)


def _load(row: Row) -> Passkey:
    members = {column.name: value for column, value in zip(_COLUMNS, row, strict=True)}
    members["is_backup_eligible"] = bool(members["is_backup_eligible"])
    members["is_backed_up"] = bool(members["is_backed_up"])
    return Passkey(**members)
