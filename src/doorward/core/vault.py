"""Encryption at rest: secrets under the master key, each bound to what it is for.

Several master keys may be known at once, so that one can take the place of another while servers run. A ciphertext
names the key it was made with: `mk1:`, the key's name (8 bytes), nonce (12), and what AES-256-GCM made of the secret
with the purpose and this head as associated data. Before there were names it was nonce and ciphertext alone, which
is still read.

Spec: AT-06, T49; security defaults, section E
"""

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY_BYTES = 32
_MAGIC = b"mk1:"
_NAME_BYTES = 8
_NONCE_BYTES = 12
_HEAD_BYTES = len(_MAGIC) + _NAME_BYTES


class UnknownMasterKey(ValueError):  # noqa: N818  # a state of the configuration, which the caller names
    """No master key that is known decrypts it, or it was encrypted for another purpose."""


def parse_master_keys(text: str) -> tuple[bytes, ...]:
    """Master keys as settings and key files spell them: hexadecimal, the newest first, apart by commas or lines.

    Raises `ValueError` when there is none, or one that is not 64 hex digits.
    """
    keys = tuple(bytes.fromhex(part) for part in re.split(r"[\s,]+", text.strip()))
    if any(len(key) != MASTER_KEY_BYTES for key in keys):
        raise ValueError("A master key has 64 hex digits.")
    return keys


def name_master_key(key: bytes) -> bytes:
    """What ciphertexts call a key: the same for the same key, and of no use without it."""
    return hmac.new(key, b"doorward master key", hashlib.sha256).digest()[:_NAME_BYTES]


class Vault:
    """Encrypts under the first of its master keys, and decrypts what any of them encrypted.

    Swapping two ciphertexts in the database is detected, because `purpose` is authenticated with each. `reread` tells
    the master keys anew, if it can, when a ciphertext names none that is known: another process has changed them.
    """

    def __init__(self, master_keys: Sequence[bytes], reread: Callable[[], Sequence[bytes]] | None = None) -> None:
        self._ciphers: dict[bytes, AESGCM] = {}
        self._first = b""
        self._reread = reread
        self.learn(master_keys)

    def learn(self, master_keys: Sequence[bytes]) -> None:
        """Encrypt under the first of these from now on. What was known before is still decrypted."""
        if not master_keys or any(len(key) != MASTER_KEY_BYTES for key in master_keys):
            raise ValueError("A master key must be 32 bytes.")
        # A new mapping, never a changed one: another thread may be trying the keys of the old.
        self._ciphers = {**self._ciphers, **{name_master_key(key): AESGCM(key) for key in master_keys}}
        self._first = name_master_key(master_keys[0])

    def encrypt(self, plaintext: bytes, purpose: str) -> bytes:
        return self._encrypt(self._first, plaintext, purpose)

    def encrypt_beside(self, ciphertext: bytes, ciphertext_purpose: str, plaintext: bytes, purpose: str) -> bytes:
        """Encrypt under the key of another ciphertext, so that both can be read with one. Raises `UnknownMasterKey`."""
        return self._encrypt(self._open(ciphertext, ciphertext_purpose)[0], plaintext, purpose)

    def decrypt(self, ciphertext: bytes, purpose: str) -> bytes:
        """Raises `UnknownMasterKey` when neither key nor purpose is one it was encrypted with."""
        return self._open(ciphertext, purpose)[1]

    def rewrap(self, ciphertext: bytes, purpose: str) -> bytes | None:
        """The same secret under the first key; None when that is what it is under. Raises `UnknownMasterKey`."""
        if ciphertext.startswith(_MAGIC + self._first):
            self.decrypt(ciphertext, purpose)
            return None
        return self.encrypt(self.decrypt(ciphertext, purpose), purpose)

    def _encrypt(self, name: bytes, plaintext: bytes, purpose: str) -> bytes:
        head, nonce = _MAGIC + name, os.urandom(_NONCE_BYTES)
        return head + nonce + self._ciphers[name].encrypt(nonce, plaintext, head + purpose.encode())

    def _open(self, ciphertext: bytes, purpose: str) -> tuple[bytes, bytes]:
        """(name of the key, plaintext)."""
        head, body = ciphertext[:_HEAD_BYTES], ciphertext[_HEAD_BYTES:]
        if head.startswith(_MAGIC):
            name = head[len(_MAGIC) :]
            if name not in self._ciphers and self._reread is not None and (keys := self._reread()):
                self.learn(keys)
            if name in self._ciphers:
                plaintext = _try(self._ciphers[name], body, head + purpose.encode())
                if plaintext is not None:
                    return name, plaintext
        for name, cipher in self._ciphers.items():  # one in four thousand million of the old ones starts alike
            plaintext = _try(cipher, ciphertext, purpose.encode())
            if plaintext is not None:
                return name, plaintext
        raise UnknownMasterKey(f"The master key does not decrypt {purpose}.")


def _try(cipher: AESGCM, sealed: bytes, associated: bytes) -> bytes | None:
    if len(sealed) < _NONCE_BYTES:
        return None
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
    except InvalidTag:
        return None
