"""The server's own sealing keys: what makes sealed client ids ours.

A new key seals from the next start on; ids of the old one stay good until it is dropped. Then the clients that it
sealed register again, but for those that somebody let in: they have a row of their own.
"""

import os

from doorward.core import audit
from doorward.core.models import AuditEvent, Project
from doorward.core.sealing import SECRET_PREFIX
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.encryption import encrypt_at_rest
from doorward.storage.projects import add_server_secret, list_server_secrets, remove_server_secret

from .operator import ActionRefused, Operator

MAX_NUMBER = 255


async def rotate(operator: Operator, project: Project) -> int:
    """Add a sealing key; its number. Raises `ActionRefused` when every number was used."""
    return await operator.database.write(_rotate, operator, project, operator.clock())


async def list_numbers(operator: Operator) -> list[int]:
    """The numbers of the keys that are accepted, the sealing one last."""
    return sorted(_numbers(await operator.database.read(list_server_secrets)))


async def drop(operator: Operator, project: Project, number: int) -> None:
    """Stop accepting ids of a key. Raises `ActionRefused` for the newest one."""
    numbers = await list_numbers(operator)
    if number not in numbers:
        raise ActionRefused(f"There is no sealing key {number}.")
    if number == numbers[-1]:
        raise ActionRefused("This key seals new ids; rotate first.")
    await operator.database.write(_drop, operator, project, number, operator.clock())


def _numbers(secrets: dict[str, bytes]) -> list[int]:
    return [int(name.removeprefix(SECRET_PREFIX)) for name in secrets if name.startswith(SECRET_PREFIX)]


async def _rotate(tx: Transaction, operator: Operator, project: Project, now: int) -> int:
    number = max(_numbers(await list_server_secrets(tx))) + 1
    if number > MAX_NUMBER:
        raise ActionRefused("Every number of a sealing key was used.")
    purpose = f"{SECRET_PREFIX}{number}"
    await add_server_secret(tx, purpose, await encrypt_at_rest(tx, operator.vault, os.urandom(32), purpose), now)
    event = AuditEvent(audit.SEALING_KEY_ADDED, operator.actor, purpose)
    await record(tx, project.project_id, event, now)
    return number


async def _drop(tx: Transaction, operator: Operator, project: Project, number: int, now: int) -> None:
    if await remove_server_secret(tx, f"{SECRET_PREFIX}{number}"):
        event = AuditEvent(audit.SEALING_KEY_DROPPED, operator.actor, f"{SECRET_PREFIX}{number}")
        await record(tx, project.project_id, event, now)
