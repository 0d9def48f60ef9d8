"""Passwords: how they are judged, hashed and checked, and how an e-mail address is compared.

Hashing takes tens of milliseconds of CPU on purpose: callers run it in a worker thread behind a small limiter.

Spec: OWASP ASVS 5.0 §6.2; NIST SP 800-63B-4
"""

import os
import unicodedata
from functools import cache
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 15
MAX_LENGTH = 1024
MIN_UNEXPECTED = 6
_MAX_EMAIL = 254

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class WeakPassword(ValueError):  # noqa: N818  # says what to change
    """The password must not be used; the message says why, for the person who chose it."""


def check_password(password: str, *, context: tuple[str, ...] = ()) -> str:
    """The password in its composed form, or `WeakPassword`. `context` are words it must not be made of."""
    composed = unicodedata.normalize("NFC", password)
    if len(composed) < MIN_LENGTH:
        raise WeakPassword(f"Use at least {MIN_LENGTH} characters. A short sentence is easy to remember.")
    if len(composed) > MAX_LENGTH:
        raise WeakPassword(f"Use at most {MAX_LENGTH} characters.")
    lowered = composed.lower()
    if len(set(lowered)) < 5 or lowered in lowered[0] * len(lowered):
        raise WeakPassword("This repeats a few characters only. Use a sentence.")
    bare = lowered
    for word in (*context, "password", "doorward", "letmein", "qwertyuiop", "1234567890", "abcdefghij"):
        bare = bare.replace(word.lower(), "") if len(word) > 3 else bare
    if _count_unexpected(bare) < MIN_UNEXPECTED:
        raise WeakPassword("This is made of words that are tried first. Use a sentence of your own.")
    return composed


def _count_unexpected(text: str) -> int:
    """How many characters do not merely go on with a run such as 12345, abcd or aaaa."""
    steps = sum(abs(ord(after) - ord(before)) > 1 for before, after in pairwise(text))
    return min(1, len(text)) + steps


def hash_password(password: str) -> str:
    """The argon2id hash to store, with a salt of its own."""
    return _hasher.hash(unicodedata.normalize("NFC", password))


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is right. Without a hash the same work is done, so that time tells nothing (T40).

    An empty hash is none: the stand-in's password opens nothing.
    """
    if len(password) > MAX_LENGTH:
        return False
    try:
        _hasher.verify(password_hash or _dummy_hash(), unicodedata.normalize("NFC", password))
    except (Argon2Error, InvalidHashError, UnicodeEncodeError):  # the last for half a character: nobody's password
        return False
    return bool(password_hash)


def needs_rehash(password_hash: str) -> bool:
    """Whether the hash was made with older parameters."""
    return _hasher.check_needs_rehash(password_hash)


def email_key(email: str) -> str | None:
    """The form in which two spellings of an address are the same account; None when it is not an address.

    One `@`, no spaces or control characters, compatibility characters folded, case ignored (T37).
    """
    folded = unicodedata.normalize("NFKC", email.strip()).casefold()
    local, _, domain = folded.partition("@")
    plausible = bool(local) and ("." in domain.strip(".") or domain == "localhost")
    if not plausible or "@" in domain or len(folded) > _MAX_EMAIL or not folded.isprintable() or " " in folded:
        return None
    return folded


@cache
def hash_of_nobody() -> str:
    """The hash of a password that was thrown away: what is stored for a person who has none.

    Checking a password against it takes as long as for everybody else, and never succeeds (T40).
    """
    return _hasher.hash(os.urandom(32).hex())


@cache
def _dummy_hash() -> str:
    return _hasher.hash("a password that nobody has")
