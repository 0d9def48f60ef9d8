"""Putting signing keys in place: the first of an algorithm, the next one in time, and another one at once.

Operators and the periodic job do the same here. The key pair is made before the transaction, since an RSA one takes
long; its private part is encrypted inside it.

Spec: AT-06, I8, T34; threats, finding 17
"""

import json

from doorward.core.rotation import PUBLISH_BEFORE_SIGNING_MS, VERIFY_AFTER_SIGNING_MS, signing_key_purpose
from doorward.core.vault import Vault
from doorward.oauth.ids import ProjectId
from doorward.oauth.jwt import SigningKey

from .database import Transaction
from .encryption import encrypt_at_rest
from .signing_keys import (
    StoredSigningKey,
    add_first_signing_key,
    add_signing_key,
    remove_signing_keys,
    retire_signing_keys,
)

ANY_AGE = 2**62


async def publish_first_key(
    tx: Transaction, vault: Vault, project_id: ProjectId, key: SigningKey, now: int
) -> StoredSigningKey | None:
    """Publish a key of an algorithm that has none; None when it has one. The caller holds the project."""
    stored = await _encrypt(tx, vault, project_id, key, now=now, signs_from=now + PUBLISH_BEFORE_SIGNING_MS)
    return stored if await add_first_signing_key(tx, project_id, stored) else None


async def publish_next_key(
    tx: Transaction, vault: Vault, project_id: ProjectId, key: SigningKey, *, now: int, made_before: int = ANY_AGE
) -> StoredSigningKey | None:
    """Publish the key that follows on one made up to `made_before`; None when somebody else did it first.

    It signs once every cache can hold it, and the one before it stays as long as a token of its own can live.
    """
    signs_from = now + PUBLISH_BEFORE_SIGNING_MS
    leaves_at = signs_from + VERIFY_AFTER_SIGNING_MS
    if not await retire_signing_keys(tx, project_id, key.alg, leaves_at, made_before=made_before):
        return None
    stored = await _encrypt(tx, vault, project_id, key, now=now, signs_from=signs_from)
    await add_signing_key(tx, project_id, stored)
    return stored


async def publish_key_at_once(
    tx: Transaction, vault: Vault, project_id: ProjectId, key: SigningKey, now: int
) -> tuple[StoredSigningKey, list[str]]:
    """Let a key sign from now on, and take all others of its algorithm out of the JWKS: (the key, theirs `kid`s)."""
    removed = await remove_signing_keys(tx, project_id, key.alg, now)
    stored = await _encrypt(tx, vault, project_id, key, now=now, signs_from=now)
    await add_signing_key(tx, project_id, stored)
    return stored, removed


async def _encrypt(
    tx: Transaction, vault: Vault, project_id: ProjectId, key: SigningKey, *, now: int, signs_from: int
) -> StoredSigningKey:
    private = json.dumps(key.private_jwk()).encode()
    return StoredSigningKey(
        kid=key.kid,
        alg=key.alg,
        public_jwk=json.dumps(key.public_jwk()),
        private_ciphertext=await encrypt_at_rest(tx, vault, private, signing_key_purpose(project_id, key.kid)),
        created_at=now,
        signs_from=signs_from,
        removed_at=None,
    )
