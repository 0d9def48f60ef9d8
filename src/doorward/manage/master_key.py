"""The master key: another one in its place while servers run, without a moment in which the folder cannot be opened.

What is encrypted and the keys that decrypt it are never changed together: first the new key is known beside the old,
then everything is encrypted under it in one transaction, then the old one is forgotten. Where that breaks off, the
folder opens, and doing it again ends it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from doorward.core import audit
from doorward.core.models import AuditEvent, Project
from doorward.core.vault import MASTER_KEY_BYTES
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.encryption import rewrap as rewrap_everything
from doorward.storage.master_keys import Held, KeyFile

from .operator import ActionRefused, Operator


async def rotate(operator: Operator, project: Project, file: KeyFile | None) -> int:
    """Put a fresh master key in place of those in the folder's file; how many secrets it encrypts anew.

    Raises `ActionRefused` when the settings give the keys, or another rotation is on its way.
    """
    if file is None:
        raise ActionRefused(
            "DOORWARD_MASTER_KEY gives the master key. Put a new one before it (NEW,OLD) wherever a server runs, "
            "restart, then run: doorward admin master-key rewrap"
        )
    with _held(file):
        keys = (os.urandom(MASTER_KEY_BYTES), *file.read())
        file.replace(keys)
        operator.vault.learn(keys)
        count = await operator.database.write(_rewrap, operator, project, operator.clock())
        file.replace(keys[:1])
    return count


async def rewrap(operator: Operator, project: Project, file: KeyFile | None) -> int:
    """Encrypt everything under the first of the master keys that are known; how many secrets were under another.

    Keys of the folder's file that are then of no use leave it: this ends a rotation that broke off. Raises
    `ActionRefused` when a rotation is on its way.
    """
    if file is None:
        return await operator.database.write(_rewrap, operator, project, operator.clock())
    with _held(file):
        keys = file.read()
        operator.vault.learn(keys)
        count = await operator.database.write(_rewrap, operator, project, operator.clock())
        file.replace(keys[:1])
    return count


@contextmanager
def _held(file: KeyFile) -> Iterator[None]:
    try:
        with file.held():
            yield
    except Held:
        raise ActionRefused("The master key is being changed by another command.") from None


async def _rewrap(tx: Transaction, operator: Operator, project: Project, now: int) -> int:
    count = await rewrap_everything(tx, operator.vault)
    event = AuditEvent(audit.MASTER_KEY_CHANGED, operator.actor, "master-key", {"secrets": count})
    await record(tx, project.project_id, event, now)
    return count
