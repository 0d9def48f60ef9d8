"""Argon2 off the event loop, a few at a time, so that a burst of sign-ins cannot starve the server."""

from anyio import CapacityLimiter, to_thread

from doorward.core.passwords import hash_password, verify_password
from doorward.oauth.errors import TEMPORARILY_UNAVAILABLE, OAuthError

HASHING_THREADS = 2
HASHING_QUEUE = 64


class PasswordChecker:
    """Hashes and checks passwords in worker threads. One per process."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(HASHING_THREADS)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right; the same work is done when there is no hash.

        Raises `temporarily_unavailable` when too many wait already.
        """
        if self._limiter.statistics().tasks_waiting >= HASHING_QUEUE:
            raise OAuthError(
                TEMPORARILY_UNAVAILABLE, "Too many sign-ins at once.", status=503, headers={"retry-after": "5"}
            )
        return await to_thread.run_sync(verify_password, password_hash, password, limiter=self._limiter)

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await to_thread.run_sync(hash_password, password, limiter=self._limiter)
