"""Asking the issuer about each token: for opaque tokens, and for revocation that must be felt at once."""

import hashlib
import logging
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_plus

import httpx2

from doorward.oauth.bearer import MAX_TOKEN_LENGTH
from doorward.oauth.dpop import DpopProof
from doorward.oauth.jwt import InvalidToken, is_time
from doorward.oauth.resources import same_resource

from .issuer import Issuer, Unreachable, check_url, new_http_client
from .principal import Principal
from .verifier import VerifierUnavailable, build_principal, check_binding

MAX_CACHED_ANSWERS = 10_000
_RETRY_SECONDS = 5

_log = logging.getLogger("doorward.resource")


class IntrospectionVerifier:
    """Accepts the tokens that the issuer calls active, for this resource, now.

    The issuer's answer is not taken on trust: audience, times and sender constraint are checked here as for a JWT.
    Answers are remembered under the token's digest for `cache_seconds` at most and never past the token's expiry;
    that is how long a revoked token can go on working. When the issuer cannot answer, or refuses our own
    credentials, the verifier is unavailable and no token is called bad.

    Credentials are either `key` (a project key, sent as Bearer) or `client_id` with `client_secret` (sent as Basic).
    Close it with `aclose` or use it as an async context manager, unless you gave it the `http_client`.

    Spec: RFC 7662 §2, §4; RFC 9449 §6.2, §7 (RS-03, RS-07, RS-13, DPOP-07)
    """

    def __init__(  # noqa: PLR0913  # each is an independent fact about the deployment, and keyword-only
        self,
        *,
        issuer: str,
        resource: str,
        introspection_endpoint: str | None = None,
        key: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        http_client: httpx2.AsyncClient | None = None,
        cache_seconds: float = 5,
        leeway: int = 30,
        insecure_http: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_url(resource, "resource", insecure_http=True)
        if introspection_endpoint is not None:
            check_url(introspection_endpoint, "introspection_endpoint", insecure_http=insecure_http)
        self._authorization = _build_authorization(key, client_id, client_secret)
        self._own_client = None if http_client is not None else new_http_client()
        self._issuer = Issuer(issuer, http_client=http_client or self._own_client, insecure_http=insecure_http)
        self._resource = resource
        self._endpoint = introspection_endpoint
        self._cache_seconds = cache_seconds
        self._leeway = leeway
        self._clock = clock
        self._answers: OrderedDict[bytes, tuple[float, Mapping[str, Any] | None]] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """The principal of a bearer token. Raises `InvalidToken` or `VerifierUnavailable`."""
        return await self._verify(token, None)

    async def verify_bound(self, token: str, proof: DpopProof) -> Principal:
        """The principal of a token bound to the key of `proof`. Raises `InvalidToken` or `VerifierUnavailable`."""
        return await self._verify(token, proof)

    async def _verify(self, token: str, proof: DpopProof | None) -> Principal:
        if not token or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise InvalidToken("token is malformed")
        digest = hashlib.sha256(token.encode()).digest()
        remembered = self._answers.get(digest)
        if remembered is None or self._clock() >= remembered[0]:
            claims = await self._introspect(token)
            self._remember(digest, claims)
        else:
            claims = remembered[1]
        if claims is None:
            raise InvalidToken("the issuer does not call the token active here")
        # What is remembered is what the issuer said. How the token is presented is judged each time.
        jkt = check_binding(claims, token, proof)
        return build_principal(claims, issuer=self._issuer.issuer, audience=self._resource, jkt=jkt)

    async def aclose(self) -> None:
        """Close the connections to the issuer."""
        if self._own_client is not None:
            await self._own_client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _introspect(self, token: str) -> Mapping[str, Any] | None:
        answer = await self._ask(token)
        if answer.get("active") is not True:
            return None
        try:
            self._check(answer)
        except InvalidToken as refusal:
            _log.info("A token that %s calls active is not accepted: %s", self._issuer.issuer, refusal)
            return None
        return answer

    async def _ask(self, token: str) -> dict[str, Any]:
        try:
            if self._endpoint is None:
                self._endpoint = await self._issuer.discover("introspection_endpoint")
            return await self._issuer.read(
                "POST",
                self._endpoint,
                headers={"Authorization": self._authorization},
                form={"token": token, "token_type_hint": "access_token"},
            )
        except Unreachable as error:
            if error.status in {400, 401, 403}:
                _log.error(
                    "%s refuses to introspect for this server; check its credentials: %s", self._issuer.issuer, error
                )
            else:
                _log.warning("%s cannot introspect now: %s", self._issuer.issuer, error)
            raise VerifierUnavailable(str(error), retry_after=error.retry_after or _RETRY_SECONDS) from error

    def _check(self, answer: Mapping[str, Any]) -> None:
        """What RFC 7662 leaves to whoever asks. Raises `InvalidToken`."""
        now = self._clock()
        if answer.get("iss", self._issuer.issuer) != self._issuer.issuer:
            raise InvalidToken("iss is another issuer")
        token_type = str(answer.get("token_type", "bearer")).lower()
        if token_type not in {"bearer", "dpop"} or (token_type == "dpop" and answer.get("cnf") is None):
            raise InvalidToken("token_type is neither Bearer nor DPoP with a key")
        audience = answer.get("aud")
        entries = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(entry, str) and same_resource(entry, self._resource) for entry in entries):
            raise InvalidToken("aud is not this resource")
        for name in ("sub", "client_id"):
            if not isinstance(answer.get(name), str) or not answer[name]:
                raise InvalidToken(f"{name} is missing")
        if not isinstance(answer.get("scope", ""), str):
            raise InvalidToken("scope is not a string")
        if not is_time(answer.get("exp")) or now >= answer["exp"] + self._leeway:
            raise InvalidToken("token has expired")
        if "nbf" in answer and (not is_time(answer["nbf"]) or answer["nbf"] > now + self._leeway):
            raise InvalidToken("nbf is in the future")

    def _remember(self, digest: bytes, claims: Mapping[str, Any] | None) -> None:
        until = self._clock() + self._cache_seconds
        if claims is not None:
            until = min(until, int(claims["exp"]))
        self._answers.pop(digest, None)
        self._answers[digest] = (until, claims)
        if len(self._answers) > MAX_CACHED_ANSWERS:
            self._answers.popitem(last=False)


def _build_authorization(key: str | None, client_id: str | None, client_secret: str | None) -> str:
    """The header of our own credentials; exactly one kind must be given. Spec: OAuth 2.1 §2.4.1"""
    if key and not client_id and not client_secret:
        return f"Bearer {key}"
    if client_id and client_secret and not key:
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        return f"Basic {b64encode(pair.encode()).decode()}"
    raise ValueError("Give either key, or client_id and client_secret.")
