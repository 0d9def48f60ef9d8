"""A change that is asked for twice with one key is made once, and answered twice.

The key is claimed in the transaction of the change itself: of two requests at one moment one commits, and where the
process dies, either both are there or neither. The answer is kept after it, for a day, without secrets.
"""

import contextlib
from dataclasses import dataclass, field
from typing import TypeVar

from doorward.core.models import Project
from doorward.oauth.ids import TokenHash
from doorward.storage.database import Database, P, StorageUnavailable, Transaction, Verb
from doorward.storage.idempotency import (
    claim_idempotency_key,
    find_idempotency_key,
    keep_idempotent_answer,
    release_idempotency_key,
)

LIFE_MS = 86_400_000
T = TypeVar("T")


class KeyReused(Exception):  # noqa: N818  # answered with 422, not a fault
    """The key came with another request before."""


class KeyUnfinished(Exception):  # noqa: N818  # answered with 409, not a fault
    """A request with the key was begun, and how it ended is not known (yet)."""


class KeyTaken(Exception):  # noqa: N818  # nothing was done
    """Another request with the key was first; nothing of this one was done."""


@dataclass(slots=True)
class OnceDatabase:
    """A database whose first change claims a key with it. Raises `KeyTaken` there, and changes nothing."""

    inner: Database
    project: Project
    key_hash: TokenHash
    request_hash: TokenHash
    now: int
    is_claimed: bool = field(default=False)

    async def write(self, verb: Verb[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `verb` in one durable transaction, the first time together with the claim."""
        if self.is_claimed:
            return await self.inner.write(verb, *args, **kwargs)

        async def claim_and_run(tx: Transaction) -> T:
            project_id, until = self.project.project_id, self.now + LIFE_MS
            claimed = await claim_idempotency_key(
                tx, project_id, self.key_hash, self.request_hash, now=self.now, until=until
            )
            if not claimed:
                raise KeyTaken
            return await verb(tx, *args, **kwargs)

        result = await self.inner.write(claim_and_run)
        self.is_claimed = True
        return result

    async def read(self, verb: Verb[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb that only reads."""
        return await self.inner.read(verb, *args, **kwargs)

    async def close(self) -> None:
        """Leave the database open: it is not this one's."""

    async def find_answer(self) -> str | None:
        """What the request was answered before, or None when it is new. Raises `KeyReused`, `KeyUnfinished`."""
        found = await self.inner.read(find_idempotency_key, self.project.project_id, self.key_hash, self.now)
        if found is None:
            return None
        if found.request_hash != self.request_hash:
            raise KeyReused
        if found.answer is None:
            raise KeyUnfinished
        return found.answer

    async def keep(self, answer: str) -> None:
        """Keep what the request was answered; it must hold no secret.

        Where that cannot be, the request was done all the same and is answered; only a repeated one is told less.
        """
        with contextlib.suppress(StorageUnavailable):
            await self.inner.write(keep_idempotent_answer, self.project.project_id, self.key_hash, answer)

    async def release(self) -> None:
        """Give the key back: the request was refused after all, and changed nothing."""
        if self.is_claimed:
            await self.inner.write(release_idempotency_key, self.project.project_id, self.key_hash)
