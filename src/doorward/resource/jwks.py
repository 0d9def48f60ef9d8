"""The issuer's published keys, fetched when needed and kept while they can be trusted."""

import logging
import math
import time
from collections.abc import Callable

import anyio
import httpx2

from doorward.oauth.jwt import VerificationKey, parse_jwks

from .issuer import Issuer, Unreachable, check_url
from .verifier import VerifierUnavailable

MAX_STALE_SECONDS = 24 * 3600
_RETRY_SECONDS = 5.0

_log = logging.getLogger("doorward.resource")


class JWKSKeys:
    """A `KeySource` over the issuer's JWKS, which made-up tokens can make fetch once in `cooldown` seconds.

    Keys are read anew every `refresh` seconds, so that a withdrawn key stops working, and at once when a token names
    an unknown key: one that signs without notice, after an emergency, is good at its first token. When that did not
    find it, the next search waits. One fetch runs at a time and the others wait for it. A failed fetch keeps the last
    good set, for 24 hours at most: neither a flood of made-up `kid`s nor an outage of the issuer takes good tokens
    down (T34).

    All times are in seconds of `clock`.

    Spec: RFC 7517 §5; RFC 9068 §4 (RS-05, RS-08)
    """

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str | None = None,
        http_client: httpx2.AsyncClient | None = None,
        cooldown: float = 60,
        refresh: float = 300,
        insecure_http: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if jwks_uri is not None:
            check_url(jwks_uri.partition("?")[0], "jwks_uri", insecure_http=insecure_http)
        self._issuer = Issuer(issuer, http_client=http_client, insecure_http=insecure_http)
        self._jwks_uri = jwks_uri
        self._cooldown = cooldown
        self._refresh = refresh
        self._clock = clock
        self._keys: dict[str, VerificationKey] = {}
        self._read_at = -math.inf
        self._next_fetch = -math.inf
        self._next_search = -math.inf
        self._attempts = 0
        self._failed = False
        self._lock = anyio.Lock()

    async def find(self, kid: str) -> VerificationKey | None:
        """The key named `kid`, or None when the issuer's current set has none.

        Raises `VerifierUnavailable` when the issuer cannot be asked and what is known does not settle it.
        """
        now = self._clock()
        key = self._usable(kid, now)
        if key is not None and (now < self._read_at + self._refresh or self._lock.locked()):
            return key
        if now >= (self._next_search if key is None and not self._failed else self._next_fetch):
            await self._fetch_once()
            now = self._clock()
            key = self._usable(kid, now)
            if key is None:
                self._next_search = now + self._cooldown
        if key is None and (self._failed or now >= self._read_at + MAX_STALE_SECONDS):
            raise VerifierUnavailable(
                "the issuer's keys cannot be read", retry_after=max(1, math.ceil(self._next_fetch - now))
            )
        return key

    def _usable(self, kid: str, now: float) -> VerificationKey | None:
        return self._keys.get(kid) if now < self._read_at + MAX_STALE_SECONDS else None

    async def _fetch_once(self) -> None:
        seen = self._attempts
        async with self._lock:
            if self._attempts != seen:
                return
            # Others wait for this fetch, so a caller that goes away must not take it along; it is bounded by itself.
            with anyio.CancelScope(shield=True):
                await self._fetch()

    async def _fetch(self) -> None:
        try:
            uri = self._jwks_uri or await self._issuer.discover("jwks_uri")
            keys = parse_jwks(await self._issuer.read("GET", uri))
            if not keys:
                raise ValueError("the JWKS holds no key that can verify")
        except (Unreachable, ValueError) as error:
            _log.warning("The keys of %s could not be read: %s", self._issuer.issuer, error)
            self._failed = True
            self._next_fetch = self._clock() + min(_RETRY_SECONDS, self._cooldown)
        else:
            self._keys = keys
            self._failed = False
            self._read_at = self._clock()
            self._next_fetch = self._read_at + self._cooldown
        self._attempts += 1
