"""Work nobody asks for: forgetting what is over, and new signing keys in time.

Each step is a verb of its own, safe to run on every node at once.
"""

import asyncio
import itertools

from doorward.core.vault import UnknownMasterKey
from doorward.logs import log
from doorward.storage.access_tokens import sweep_access_tokens
from doorward.storage.audit import sweep_audit
from doorward.storage.clients import sweep_clients
from doorward.storage.codes import sweep_codes
from doorward.storage.database import StorageUnavailable
from doorward.storage.device_codes import sweep_device_codes
from doorward.storage.grants import sweep_grants
from doorward.storage.idempotency import sweep_idempotency_keys
from doorward.storage.interactions import sweep_interactions
from doorward.storage.pending_sign_ins import sweep_pending_sign_ins
from doorward.storage.pushed_requests import sweep_pushed_requests
from doorward.storage.registrations import sweep_registrations
from doorward.storage.revocations import sweep_revocations
from doorward.storage.signing_keys import sweep_signing_keys
from doorward.storage.spent_ids import sweep_spent_ids
from doorward.storage.throttles import sweep_throttles
from doorward.storage.timeline import sweep_timeline
from doorward.storage.tokens import sweep_tokens
from doorward.storage.upstream import sweep_upstream_sign_ins
from doorward.storage.users import sweep_sessions

from .context import Context
from .key_rotation import rotate_due_keys

SWEEP_EVERY_SECONDS = 60
ROTATE_EVERY_SWEEPS = 60
DAY_MS = 86_400_000
AUDIT_LIFE_MS = 400 * DAY_MS
TIMELINE_LIFE_MS = 7 * DAY_MS
ASSERTED_IDLE_MS = 90 * DAY_MS
"""How long a connection that an issuer's assertions gave is listed after its last use; every use gives it anew."""


async def sweep(context: Context) -> int:
    """Forget everything that is over, of every project; returns how many rows. Bounds the database (I13)."""
    now = context.clock()
    database = context.database
    swept = await database.write(sweep_interactions, now)
    swept += await database.write(sweep_pushed_requests, now)
    swept += await database.write(sweep_codes, now)
    swept += await database.write(sweep_device_codes, now)
    swept += await database.write(sweep_tokens, now, revoked_before=now - DAY_MS)
    swept += await database.write(sweep_grants, now - DAY_MS, unused_since=now - ASSERTED_IDLE_MS)
    swept += await database.write(sweep_sessions, now)
    swept += await database.write(sweep_pending_sign_ins, now)
    swept += await database.write(sweep_upstream_sign_ins, now)
    swept += await database.write(sweep_clients, now)
    swept += await database.write(sweep_registrations, now)
    swept += await database.write(sweep_spent_ids, now)
    swept += await database.write(sweep_idempotency_keys, now)
    swept += await database.write(sweep_access_tokens, now)
    swept += await database.write(sweep_revocations, now)
    swept += await database.write(sweep_audit, now - AUDIT_LIFE_MS)
    swept += await database.write(sweep_throttles, now)
    swept += await database.write(sweep_timeline, now - TIMELINE_LIFE_MS)
    return swept + await database.write(sweep_signing_keys, now)


async def run_jobs(context: Context) -> None:
    """Sweep every minute and see to the signing keys every hour, until cancelled."""
    for turn in itertools.count():
        await asyncio.sleep(SWEEP_EVERY_SECONDS)
        try:
            await sweep(context)
            if turn % ROTATE_EVERY_SWEEPS == 0:
                await rotate_due_keys(context)
        except StorageUnavailable as error:
            log.warning("sweep skipped", reason=str(error))
        except UnknownMasterKey as error:
            log.error("signing keys cannot be rotated", reason=f"DOORWARD_MASTER_KEY: {error}")
