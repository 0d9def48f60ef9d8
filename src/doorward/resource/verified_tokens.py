"""Tokens that were verified before: what a signature says does not change, so it is checked once (RS-02, RS-12)."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doorward.oauth.jwt import MAX_JWT_LENGTH, VerificationKey, VerifiedClaims

from .principal import Principal

MAX_TOKENS = 10_000
MAX_TOKEN_CHARACTERS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token for this resource says, as `key` signed it.

    `principal` is whom it speaks for each time; None where the claims hold lists or objects, which an app could change
    for the requests after its own.
    """

    key: VerificationKey
    claims: VerifiedClaims
    principal: Principal | None


class VerifiedTokens:
    """The tokens that were used last, by their digest: the token itself is not kept.

    Bounded in number and in the length of all tokens together, which bounds what is kept of them, too. Only tokens
    that were let in are ever in it, so that none that is refused can push one out.
    """

    def __init__(self, *, limit: int = MAX_TOKENS, limit_of_characters: int = MAX_TOKEN_CHARACTERS) -> None:
        self._limit = limit
        self._room = limit_of_characters
        self._kept: OrderedDict[bytes, tuple[int, VerifiedToken]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, token: str) -> VerifiedToken | None:
        """What is known of a token."""
        if len(token) > MAX_JWT_LENGTH:
            return None
        digest = _digest(token)
        found = self._kept.get(digest)
        if found is None:
            return None
        self._kept.move_to_end(digest)
        return found[1]

    def keep(self, token: str, verified: VerifiedToken) -> None:
        """Remember a token that was let in just now, instead of those that were not used for longest."""
        digest = _digest(token)
        before = self._kept.pop(digest, None)
        self._room += before[0] if before is not None else 0
        self._kept[digest] = len(token), verified
        self._room -= len(token)
        while len(self._kept) > self._limit or self._room < 0:
            _, (length, _) = self._kept.popitem(last=False)
            self._room += length


def is_flat(claims: Mapping[str, Any]) -> bool:
    """Whether nothing inside the claims can be changed."""
    return not any(isinstance(value, list | dict) for value in claims.values())


def copy_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims as a value of their own, lists and objects within included."""
    return {name: _copy(value) for name, value in claims.items()}


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return copy_claims(value)
    return [_copy(entry) for entry in value] if isinstance(value, list) else value


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
