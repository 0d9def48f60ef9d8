"""Following an issuer's revocation feed, so that tokens verified offline end within a second of their revocation."""

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx2

from doorward.oauth.jwt import CAME_FROM_CLAIM, CAME_THROUGH_CLAIM, GRANT_CLAIM, InvalidToken, is_time
from doorward.oauth.revocations import (
    WHOLE_PROJECT,
    RevocationDocument,
    digest_subject,
    read_revocations_kid,
    verify_revocations,
)

from .endings import Endings
from .issuer import Issuer, Unreachable, check_url, new_http_client
from .jwks import JWKSKeys
from .verifier import KeySource, VerifierUnavailable

MAX_AGE_SECONDS = 120
"""How old a document may be when it arrives: somebody could hold it back."""
MAX_AHEAD_SECONDS = 60
_WAIT_SECONDS = 25
"""How long one request waits for news: less than proxies let a request be idle."""
_SOON_SECONDS = 0.5
"""When to ask again where waiting was not granted: still well within a second of any news."""
_FIRST_SECONDS = 2.0
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.25, 5.0
_NO_FEED_SECONDS = 60.0
_PROJECT = digest_subject("project", WHOLE_PROJECT)

_log = logging.getLogger("doorward.resource")


class RevocationFeed:
    """A `RevocationSource` that follows the signed feed of a Doorward issuer in the background.

    It starts with the first token that is verified, or with `async with`, and asks on asyncio's loop. A document
    counts only when a key of the issuer signed it, it is new, and it continues where the last one ended.

    While the issuer cannot be followed for longer than `max_stale_seconds`, `when_stale="open"` goes on with what is
    known and warns in the log: an outage locks nobody out (T52). `"closed"` makes the verifier unavailable (503).
    `stale_seconds` is for your metrics.

    `keys` is where the issuer's keys come from, by default its published ones. Close it with `aclose`, unless the
    loop ends with it.

    Spec: I2, I3, I13; T43, T52; product.md, feature 7, complaint 22
    """

    def __init__(
        self,
        *,
        issuer: str,
        keys: KeySource | None = None,
        when_stale: Literal["open", "closed"] = "open",
        max_stale_seconds: float = 60,
        http_client: httpx2.AsyncClient | None = None,
        insecure_http: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_url(issuer, "issuer", insecure_http=insecure_http)
        if when_stale not in ("open", "closed"):
            raise ValueError("when_stale must be open or closed.")
        if max_stale_seconds < 2:
            raise ValueError("max_stale_seconds must be at least 2.")
        self._issuer = issuer
        self._insecure_http = insecure_http
        self._http_client = http_client
        # What names a key here is the issuer's own document, so there is no flood of made-up ones to hold off.
        self._keys = keys or JWKSKeys(issuer, http_client=http_client, cooldown=1, insecure_http=insecure_http)
        self._is_closed_when_stale = when_stale == "closed"
        self._max_stale_seconds = max_stale_seconds
        self._wait_seconds = int(min(_WAIT_SECONDS, max(1, max_stale_seconds // 2)))
        self._clock = clock
        self._endings = Endings()
        self._cursor = ""
        self._issued_at = 0
        self._fresh_at = -math.inf
        self._is_catching_up = False
        self._has_warned = False
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    @property
    def stale_seconds(self) -> float:
        """How long ago the issuer last said what it has revoked; infinite before the first time."""
        return max(0.0, self._clock() - self._fresh_at)

    async def is_revoked(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token with these verified claims was ended. Raises `VerifierUnavailable` as chosen."""
        await self._follow_along()
        now = self._clock()
        issued_at = int(claims["iat"]) if is_time(claims.get("iat")) else 0
        if self._endings.is_before_memory(issued_at):
            return True
        return any(self._endings.is_over(digest) for digest in _own_digests(claims)) or any(
            self._endings.has_ended(digest, issued_at, now) for digest in _shared_digests(claims)
        )

    async def is_key_revoked(self, kid: str) -> bool:
        """Whether a signing key was withdrawn in an emergency. Raises `VerifierUnavailable` as chosen."""
        await self._follow_along()
        return self._endings.is_over(digest_subject("key", kid))

    async def aclose(self) -> None:
        """Stop following."""
        task, self._task = self._task, None
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._tried = asyncio.Event()
            self._task = loop.create_task(self._follow(), name=f"revocations of {self._issuer}")

    async def _follow_along(self) -> None:
        """See to it that the feed is followed, and that what is known is new enough.

        The first token after a start waits for the first document, or for the first try to fail: what was revoked
        before must not be let in until the second request.
        """
        self._start()
        if self._fresh_at == -math.inf and not self._tried.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SECONDS):
                    await self._tried.wait()
        if self.stale_seconds <= self._max_stale_seconds:
            self._has_warned = False
            return
        if self._is_closed_when_stale:
            raise VerifierUnavailable(f"the revocations of {self._issuer} cannot be followed")
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "The revocations of %s cannot be followed; tokens are accepted by what was known before.", self._issuer
            )

    async def _follow(self) -> None:
        """Ask for what is new, again and again, until cancelled."""
        failures = 0
        async with self._client() as client:
            issuer = Issuer(self._issuer, http_client=client, insecure_http=self._insecure_http)
            while True:
                try:
                    pause = await self._ask(issuer)
                    failures = 0
                except (Unreachable, InvalidToken, VerifierUnavailable) as error:
                    failures += 1
                    pause = self._judge_failure(error, failures)
                except Exception:  # noqa: BLE001  # a fault of ours must not end the following unseen
                    failures += 1
                    pause = _MAX_RETRY_SECONDS
                    _log.exception("Following the revocations of %s failed", self._issuer)
                self._tried.set()
                await asyncio.sleep(pause)

    async def _ask(self, issuer: Issuer) -> float:
        """One request; the seconds until the next."""
        wait_seconds = self._wait_seconds if self._cursor and not self._is_catching_up else 0
        url = f"{self._issuer.rstrip('/')}/api/oauth/revocations?wait={wait_seconds}&cursor={quote(self._cursor)}"
        asked_at, asked_with = time.monotonic(), self._cursor
        text = await issuer.read_text(url, wait_seconds=wait_seconds)
        kid = read_revocations_kid(text)
        key = await self._keys.find(kid)
        if key is None or self._endings.is_over(digest_subject("key", kid)):
            raise InvalidToken("the document is not signed by a key of the issuer")
        document = verify_revocations(text, key, issuer=self._issuer)
        self._accept(document)
        is_thrown_back = document.is_full and asked_with != ""
        if self._cursor != asked_with and not is_thrown_back:
            return 0
        has_waited = time.monotonic() - asked_at >= wait_seconds / 2 > 0
        return 0 if has_waited and not is_thrown_back else _SOON_SECONDS

    def _accept(self, document: RevocationDocument) -> None:
        """Take a document over. Raises `InvalidToken` for one that is old, early, or answers another question."""
        now = self._clock()
        if not now - MAX_AGE_SECONDS <= document.issued_at <= now + MAX_AHEAD_SECONDS:
            raise InvalidToken("the document is not of this time")
        if document.issued_at < self._issued_at:
            raise InvalidToken("the document is older than the last one")
        if not document.is_full and document.after != self._cursor:
            raise InvalidToken("the document does not continue the last one")
        self._is_catching_up = document.is_full or self._is_catching_up
        lost = self._endings.learn(document.entries, from_beginning=self._is_catching_up, now=now)
        if lost:
            _log.error("More was revoked than can be kept: %d endings were forgotten before their time.", lost)
        self._is_catching_up = self._is_catching_up and document.has_more
        self._cursor = document.cursor
        self._issued_at = document.issued_at
        self._fresh_at = now

    def _judge_failure(self, error: Exception, failures: int) -> float:
        """The seconds until the next try: soon, then ever later within bounds, and not all followers at once."""
        if isinstance(error, Unreachable) and error.status == 404:
            if failures == 1:
                _log.warning("%s has no revocation feed; its tokens end when they expire.", self._issuer)
            return _NO_FEED_SECONDS
        if failures == 1:
            _log.warning("The revocations of %s could not be read: %s", self._issuer, error)
        pause = min(_MAX_RETRY_SECONDS, _MIN_RETRY_SECONDS * (1 << min(failures - 1, 10)))
        return pause * (0.5 + secrets.randbelow(1000) / 1000)

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx2.AsyncClient]:
        if self._http_client is not None:
            yield self._http_client
            return
        async with new_http_client() as client:
            yield client


def _own_digests(claims: Mapping[str, Any]) -> Iterator[str]:
    """What ends a token whenever it was issued: its own id, those it was exchanged from, its grant."""
    ids = claims.get(CAME_FROM_CLAIM, ())
    for jti in (claims.get("jti"), *(ids if isinstance(ids, list) else ())):
        if isinstance(jti, str):
            yield digest_subject("jti", jti)
    if isinstance(grant_id := claims.get(GRANT_CLAIM), str):
        yield digest_subject("grant", grant_id)


def _shared_digests(claims: Mapping[str, Any]) -> Iterator[str]:
    """What ends every token of it that was issued up to then: whom it speaks for, is given to, and is meant for."""
    yield _PROJECT
    if isinstance(subject := claims.get("sub"), str):
        yield digest_subject("user", subject)
    passed = claims.get(CAME_THROUGH_CLAIM, ())
    for holder in (claims, *(passed if isinstance(passed, list) else ())):
        if isinstance(holder, Mapping):
            yield from _holder_digests(holder)


def _holder_digests(holder: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(client_id := holder.get("client_id"), str):
        yield digest_subject("client", client_id)
    audience = holder.get("aud")
    for uri in audience if isinstance(audience, list) else (audience,):
        if isinstance(uri, str):
            yield digest_subject("resource", uri)
