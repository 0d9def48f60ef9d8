"""Signing keys in time: the next one of each algorithm in use when the newest has grown old, and none too many.

Spec: AT-06, I8; security defaults, keys
"""

import asyncio

from doorward.core import audit
from doorward.core.models import AuditEvent, Project
from doorward.core.rotation import VERIFY_AFTER_SIGNING_MS, algorithms_in_use, due_before
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.key_rotation import publish_next_key
from doorward.storage.projects import hold_project, list_projects
from doorward.storage.resources import list_resources
from doorward.storage.signing_keys import list_signing_keys, retire_signing_keys

from .context import Context


async def rotate_due_keys(context: Context) -> int:
    """Replace the signing keys that are due, of every project; how many were published or taken back.

    Safe on every node at once: whoever takes the old key's place in the database is the one whose new key it is.
    """
    count = 0
    for project in await context.database.read(list_projects):
        await asyncio.sleep(0)  # with many projects, requests go in between
        made_before = due_before(project.settings, context.clock())
        if made_before is not None:
            count += await _rotate_project(context, project, made_before)
    return count


async def _rotate_project(context: Context, project: Project, made_before: int) -> int:
    now, database = context.clock(), context.database
    keys = await database.read(list_signing_keys, project.project_id, now)
    due = sorted({key.alg for key in keys if key.removed_at is None and key.created_at <= made_before})
    if not due:
        return 0
    used = algorithms_in_use(await database.read(list_resources, project.project_id))
    count = 0
    for alg in due:
        if alg in used:
            pair = await asyncio.to_thread(generate_signing_key, alg)
            count += await database.write(_publish, context, project, pair, made_before, now)
        else:
            count += await database.write(_take_back, project, alg, made_before, now)
    return count


async def _publish(
    tx: Transaction, context: Context, project: Project, pair: SigningKey, made_before: int, now: int
) -> bool:
    key = await publish_next_key(tx, context.vault, project.project_id, pair, now=now, made_before=made_before)
    if key is None:
        return False
    event = AuditEvent(audit.SIGNING_KEY_ADDED, audit.SYSTEM, key.kid, {"alg": key.alg, "signs_from": key.signs_from})
    await record(tx, project.project_id, event, now)
    return True


async def _take_back(tx: Transaction, project: Project, alg: str, made_before: int, now: int) -> bool:
    """Let the key of an algorithm that no resource asks for any more leave, without another in its place."""
    await hold_project(tx, project.project_id)
    if alg in algorithms_in_use(await list_resources(tx, project.project_id)):
        return False
    leaves_at = now + VERIFY_AFTER_SIGNING_MS
    removed = await retire_signing_keys(tx, project.project_id, alg, leaves_at, made_before=made_before)
    if not removed:
        return False
    event = AuditEvent(audit.SIGNING_KEY_REMOVED, audit.SYSTEM, alg, {"removed": removed, "removed_at": leaves_at})
    await record(tx, project.project_id, event, now)
    return True
