"""What a person proves themselves with besides a password: passkeys, codes of an authenticator app, recovery codes.

Spec: OWASP ASVS 5.0 §6.5, §6.6; RFC 6238; T39, T41
"""

import hmac
import os
from base64 import b32encode
from dataclasses import dataclass

import pyotp

from doorward.oauth.ids import ProjectId, TokenHash, UserId

from .secrets import hash_secret

RECENT_MS = 600_000
"""How long after signing in a person may change how they sign in."""
PENDING_LIFE_MS = 600_000
"""How long the second step may take."""
MAX_PASSKEYS = 20
MAX_NAME = 64
RECOVERY_CODES = 10
TOTP_STEP_MS = 30_000
_TOTP_DIGITS = 6
_GROUP = 4


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as it is kept. `credential` holds its public key as WebAuthn encodes it (attested credential data)."""

    project_id: ProjectId
    passkey_id: str
    user_id: UserId
    credential_id: bytes
    credential: bytes
    sign_count: int
    is_backup_eligible: bool
    is_backed_up: bool
    name: str
    created_at: int
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """A sign-in whose password was right. It can become a session by a second step, and nothing else (T41)."""

    project_id: ProjectId
    token_hash: TokenHash
    user_id: UserId
    browser_hash: TokenHash
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class TotpSecret:
    """The encrypted secret of an authenticator app; `last_step` is the newest period a code was taken of."""

    ciphertext: bytes
    created_at: int
    confirmed_at: int | None
    last_step: int


def totp_purpose(project_id: str, user_id: str) -> str:
    """What the secret of an authenticator app is encrypted for."""
    return f"totp:{project_id}:{user_id}"


def new_totp_secret() -> str:
    """160 random bits in the letters that people can type."""
    return b32encode(os.urandom(20)).decode()


def totp_uri(secret: str, *, account: str, issuer: str) -> str:
    """What the picture says to an authenticator app."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def find_totp_step(secret: str, code: str, now: int) -> int | None:
    """The period that a code is of: this one, the one before or the one after; None when it is of none.

    Whether a code of that period was taken before is for the store to say, in the statement that takes it.
    """
    given = "".join(code.split())
    if len(given) != _TOTP_DIGITS or not given.isascii() or not given.isdigit():
        return None
    generator, current = pyotp.TOTP(secret), now // TOTP_STEP_MS
    found = None
    for step in (current - 1, current, current + 1):  # all of them: time tells nothing
        if step >= 0 and hmac.compare_digest(generator.generate_otp(step), given):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Fresh codes of 80 bits each, in groups that can be read out."""
    return [_group(b32encode(os.urandom(10)).decode().lower()) for _ in range(RECOVERY_CODES)]


def hash_recovery_code(user_id: str, code: str) -> TokenHash:
    """The form in which a code is stored, however it was typed. Of one person: another's is never the same."""
    bare = "".join(character for character in code if character.isalnum()).lower()
    return hash_secret(f"recovery:{user_id}:{bare}")


def _group(letters: str) -> str:
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))
