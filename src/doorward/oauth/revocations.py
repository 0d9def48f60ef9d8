"""The revocation feed: what ended before its time, told so that nobody learns whose it was.

An entry names what ended by a digest only its holder can make: who verifies a token has its ids, and looks them up.
Entries are few numbers in an array, since a document holds many.

Spec: RFC 7515; RFC 8725 §3.11 (AT-08); product.md, feature 7
"""

import hashlib
import math
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from .jwt import InvalidToken, SigningKey, VerificationKey, is_time, read_unverified, sign_jwt, verify_signature

RevocationKind = Literal["jti", "grant", "user", "client", "resource", "project", "key"]
RevocationState = Literal["void", "hold", "free"]
"""`void`: tokens issued up to then are over. `hold`: none is let in for now. `free`: a hold is lifted."""

WHOLE_PROJECT = ""
"""The subject of what concerns every token of an issuer."""
REVOCATIONS_TYPE = "revocations+jwt"
MAX_ENTRIES = 1000
"""Entries of one document; a longer list is told in several."""
MAX_DOCUMENT_LENGTH = 128 * 1024
MAX_CURSOR_LENGTH = 64
MAX_WAIT_SECONDS = 30
_STATES = frozenset({"void", "hold", "free"})
_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class RevocationEntry:
    """Something that ended, or that is held or free again. Times are epoch seconds.

    `at` is the last second whose tokens it concerns; `until` is when none of them can be alive any more.
    """

    digest: str
    state: RevocationState
    at: int
    until: int


@dataclass(frozen=True, slots=True)
class RevocationDocument:
    """What was new after a cursor. `issued_at` is in epoch seconds.

    `after` is the cursor that was asked with, so that no document can stand in for another; `is_full` says that it is
    not known here, and that this is told from the beginning; `has_more` that the rest is to be had at `cursor`.
    """

    issued_at: int
    after: str
    cursor: str
    is_full: bool
    has_more: bool
    entries: tuple[RevocationEntry, ...]


@lru_cache(maxsize=4096)
def digest_subject(kind: RevocationKind, subject: str) -> str:
    """How an entry names its subject: 96 bits, from which an id can be recognised but not made."""
    digest = hashlib.sha256(f"{kind}:{subject}".encode("utf-8", "surrogatepass")).digest()[:_DIGEST_BYTES]
    return urlsafe_b64encode(digest).decode()


def sign_revocations(document: RevocationDocument, issuer: str, key: SigningKey) -> str:
    """The document as a compact JWS of its own type, which verifies as nothing else."""
    claims = {
        "iss": issuer,
        "iat": document.issued_at,
        "after": document.after,
        "cursor": document.cursor,
        "full": document.is_full,
        "more": document.has_more,
        "entries": [(entry.digest, entry.state, entry.at, entry.until) for entry in document.entries],
    }
    return sign_jwt(REVOCATIONS_TYPE, claims, key)


def read_revocations_kid(text: str) -> str:
    """The `kid` of a document, so that its key can be looked up; nothing is verified yet. Raises `InvalidToken`."""
    header, _ = read_unverified(text, accepted_types=frozenset({REVOCATIONS_TYPE}), max_length=MAX_DOCUMENT_LENGTH)
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise InvalidToken("header has no kid")
    return kid


def verify_revocations(text: str, key: VerificationKey, *, issuer: str) -> RevocationDocument:
    """The document that `issuer` signed with `key`. Whether it is new is for the follower to say.

    Raises `InvalidToken`.
    """
    if read_revocations_kid(text) != key.kid:
        raise InvalidToken("the key is not the one the document names")
    claims = verify_signature(text, key)
    if claims.get("iss") != issuer:
        raise InvalidToken("iss is another issuer")
    entries = claims.get("entries")
    if not is_time(claims.get("iat")) or not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise InvalidToken("the document has no time or no list of entries")
    return RevocationDocument(
        issued_at=int(claims["iat"]),
        after=_parse_cursor(claims.get("after")),
        cursor=_parse_cursor(claims.get("cursor")),
        is_full=claims.get("full") is True,
        has_more=claims.get("more") is True,
        entries=tuple(parsed for entry in entries if (parsed := _parse_entry(entry)) is not None),
    )


def _parse_cursor(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_CURSOR_LENGTH or not value.isascii():
        raise InvalidToken("the document has no cursor")
    return value


def _parse_entry(value: Any) -> RevocationEntry | None:
    """An entry; None for a state of a later release, which says nothing that can be acted on here."""
    if not isinstance(value, list) or len(value) < 4:
        raise InvalidToken("an entry is malformed")
    digest, state, at, until = value[:4]
    if not isinstance(digest, str) or not isinstance(state, str) or not is_time(at) or not is_time(until):
        raise InvalidToken("an entry is malformed")
    if state not in _STATES:
        return None
    return RevocationEntry(digest, cast("RevocationState", state), math.floor(at), math.ceil(until))
