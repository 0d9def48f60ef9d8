"""Secrets: how they are made, recognised, stored as hashes, and derived. `vault` encrypts those that are kept.

Every secret handed out is `<prefix>_<body><checksum>` in `[A-Za-z0-9_-]`: the prefix keeps kinds apart and lets
secret scanners find leaks, the checksum lets garbage be refused without a look-up, and the alphabet reads the same
raw and form-encoded (clients.md no. 21).

Spec: OAuth 2.1 §7.7 (TOK-07, T27); security defaults, section E
"""

import hashlib
import hmac
import os
import struct
import zlib
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from doorward.oauth.ids import FamilyId, TokenHash

ACCESS_TOKEN = "mat"
CODE = "mac"
REFRESH_TOKEN = "mrt"
CLIENT_SECRET = "mcs"
PROJECT_KEY = "mrs"
SESSION = "mss"
FLOW = "mfl"
SETUP = "mst"
INITIAL_ACCESS_TOKEN = "mit"
ADMIN_TOKEN = "mad"
REGISTRATION_TOKEN = "mra"
PUSHED_REQUEST = "mpr"
DEVICE_CODE = "mdc"
PENDING_SIGN_IN = "mps"
UPSTREAM_STATE = "mus"
UPSTREAM_BROWSER = "mub"

_CHECKSUM_LENGTH = 6
_FAMILY_BYTES = 16
_MAC_BYTES = 32
_REFRESH = struct.Struct(f">{_FAMILY_BYTES}sI{_MAC_BYTES}s")


def new_secret(prefix: str) -> str:
    """A fresh 256-bit secret of the kind `prefix`."""
    return _assemble(prefix, os.urandom(32))


def derive_secret(key: bytes, prefix: str, value: str) -> str:
    """The secret of the kind `prefix` that belongs to `value`, the same each time and for nobody without the key."""
    return _assemble(prefix, hmac.new(key, f"{prefix}\x00{value}".encode(), hashlib.sha256).digest())


def new_id(prefix: str) -> str:
    """A fresh 128-bit identifier: not a secret, but not guessable either."""
    return f"{prefix}_{_encode(os.urandom(16))}"


def new_reference() -> str:
    """What people quote of an error: ten lower-case letters and digits, none of them easily taken for another."""
    return b32encode(os.urandom(7))[:10].decode().lower()


def is_well_formed(secret: str, prefix: str) -> bool:
    """Whether `secret` is of the kind and its checksum holds; says nothing about whether it was ever issued."""
    if not secret.isascii() or not secret.startswith(f"{prefix}_"):
        return False
    body, checksum = secret[:-_CHECKSUM_LENGTH], secret[-_CHECKSUM_LENGTH:]
    return hmac.compare_digest(_checksum(body), checksum)


def hash_secret(secret: str) -> TokenHash:
    """The form in which a secret is stored. A fast hash is right: what it hides has 256 bits of entropy."""
    return TokenHash(hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest())


def new_family_id() -> FamilyId:
    """A fresh identifier of a refresh token family."""
    return FamilyId(_encode(os.urandom(_FAMILY_BYTES)))


def new_salt() -> bytes:
    """The stored half of what refresh tokens of a family are derived from."""
    return os.urandom(32)


@dataclass(frozen=True, slots=True)
class RefreshTokens:
    """Derives refresh tokens, so that the same one can be sent again while none is stored.

    A reader of the database lacks `key`; a thief of `key` lacks each family's salt.
    """

    key: bytes

    def derive(self, family_id: FamilyId, salt: bytes, generation: int) -> str:
        """The token of one generation of a family."""
        raw_family = _decode(family_id)
        message = b"refresh" + raw_family + salt + struct.pack(">I", generation)
        mac = hmac.new(self.key, message, hashlib.sha256).digest()
        return _assemble(REFRESH_TOKEN, _REFRESH.pack(raw_family, generation, mac))

    @staticmethod
    def parse(token: str) -> tuple[FamilyId, int] | None:
        """Family and generation that a well-formed token claims; `derive` must still give the same token."""
        if not is_well_formed(token, REFRESH_TOKEN):
            return None
        try:
            family, generation, _ = _REFRESH.unpack(_decode(token[len(REFRESH_TOKEN) + 1 : -_CHECKSUM_LENGTH]))
        except (ValueError, struct.error):
            return None
        return FamilyId(_encode(family)), generation


def sign_value(key: bytes, purpose: str, value: str) -> str:
    """A MAC over `value` for one named purpose; MACs of different purposes never verify as each other."""
    return _encode(hmac.new(key, f"{purpose}\x00{value}".encode(), hashlib.sha256).digest())


def verify_value(key: bytes, purpose: str, value: str, signature: str) -> bool:
    """Whether `sign_value` made `signature`, in constant time."""
    return hmac.compare_digest(sign_value(key, purpose, value).encode(), signature.encode("utf-8", "surrogatepass"))


def _assemble(prefix: str, raw: bytes) -> str:
    body = f"{prefix}_{_encode(raw)}"
    return body + _checksum(body)


def _checksum(body: str) -> str:
    return _encode(struct.pack(">I", zlib.crc32(body.encode())))


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
