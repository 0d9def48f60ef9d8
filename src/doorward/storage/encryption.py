"""What is encrypted at rest, and that all of it is under one master key.

Which of the master keys that is, the database itself says: what is added takes the key of what is there, in the
transaction that adds it. So a process that learned the keys before they were changed cannot leave behind a secret
that nobody can read once the old key is gone.
"""

from sqlalchemy import select

from doorward.core.factors import totp_purpose
from doorward.core.rotation import signing_key_purpose
from doorward.core.upstream import upstream_secret_purpose
from doorward.core.vault import Vault

from .database import Transaction
from .projects import list_projects, list_server_secrets, replace_server_secret
from .schema import server_secrets
from .second_factors import list_totp_ciphertexts, replace_totp_ciphertext
from .signing_keys import list_signing_keys, replace_private_part
from .statements import Statement
from .upstream import list_upstream_secrets, replace_upstream_secret

_FIRST = select(server_secrets.c.purpose, server_secrets.c.ciphertext).order_by(server_secrets.c.purpose).limit(1)
# In a database of many writers these make `rewrap` and those that add wait for each other; SQLite has one.
_ANY_SECRET = Statement(_FIRST.with_for_update(read=True))
_HOLD_SECRETS = Statement(_FIRST.with_for_update())


async def encrypt_at_rest(tx: Transaction, vault: Vault, plaintext: bytes, purpose: str) -> bytes:
    """Encrypt what the same transaction stores. Raises `UnknownMasterKey`."""
    row = await tx.one(_ANY_SECRET)
    if row is None:
        return vault.encrypt(plaintext, purpose)
    of, ciphertext = row
    return vault.encrypt_beside(ciphertext, of, plaintext, purpose)


async def rewrap(tx: Transaction, vault: Vault) -> int:
    """Encrypt everything under the vault's first key; how many were under another. Raises `UnknownMasterKey`."""
    await tx.one(_HOLD_SECRETS)
    count = 0
    for purpose, ciphertext in (await list_server_secrets(tx)).items():
        rewrapped = vault.rewrap(ciphertext, purpose)
        if rewrapped is not None:
            count += await replace_server_secret(tx, purpose, rewrapped)
    for project in await list_projects(tx):
        for key in await list_signing_keys(tx, project.project_id, 0):
            rewrapped = vault.rewrap(key.private_ciphertext, signing_key_purpose(project.project_id, key.kid))
            if rewrapped is not None:
                count += await replace_private_part(tx, project.project_id, key.kid, rewrapped)
        for user_id, ciphertext in await list_totp_ciphertexts(tx, project.project_id):
            rewrapped = vault.rewrap(ciphertext, totp_purpose(project.project_id, user_id))
            if rewrapped is not None:
                count += await replace_totp_ciphertext(tx, project.project_id, user_id, rewrapped)
        for slug, ciphertext in (await list_upstream_secrets(tx, project.project_id)).items():
            rewrapped = vault.rewrap(ciphertext, upstream_secret_purpose(project.project_id, slug))
            if rewrapped is not None:
                count += await replace_upstream_secret(tx, project.project_id, slug, rewrapped)
    return count
