"""Tokens bound to a key: nobody comes in with one but who proves possession of the key, for this very request."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal
from urllib.parse import quote, urlsplit

from doorward.oauth.dpop import DpopProof, InvalidProof, build_nonce, is_current_nonce, verify_proof
from doorward.oauth.errors import INVALID_DPOP_PROOF, TEMPORARILY_UNAVAILABLE, USE_DPOP_NONCE, OAuthError
from doorward.oauth.jwt import InvalidToken

from .asgi import Header, Request, build_header
from .principal import Principal
from .replays import Claim, UsedProofs
from .streams import Recheck
from .verifier import BoundTokenVerifier

DpopMode = Literal["off", "accepted", "required"]

_MIN_NONCE_KEY = 32  # bytes
_RETRY_SECONDS = 60

_log = logging.getLogger("doorward.resource")


class DpopGate:
    """Lets in who presents a bound token with a good proof: for this request and token, fresh, and never used before.

    The URL that a proof must be made for is built from `resource` and never from what the request says of its host.
    At `endpoints`, the paths under which the resource itself is reached here, both its spellings are its URL; any
    other path is taken to be reached under the name it has here. With `nonce_key`, a proof must carry a nonce of ours.

    Spec: RFC 9449 §4.3, §7, §9, §11.1 (DPOP-02, DPOP-06, DPOP-07, DPOP-09, DPOP-10)
    """

    def __init__(
        self,
        *,
        verifier: BoundTokenVerifier,
        resource: str,
        endpoints: Iterable[str],
        nonce_key: bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if nonce_key is not None and len(nonce_key) < _MIN_NONCE_KEY:
            raise ValueError(f"dpop_nonce_key must have {_MIN_NONCE_KEY} random bytes at least.")
        parts = urlsplit(resource)
        bare = resource.rstrip("/")
        self._verifier = verifier
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._urls = (bare, f"{bare}/")
        self._endpoints = frozenset(endpoints)
        self._nonce_key = nonce_key
        self._clock = clock
        self._used = UsedProofs()

    async def admit(self, request: Request, token: str) -> tuple[Principal, list[Header], Recheck]:
        """The principal of the request, headers for its answer, and how to ask again whether the token is good.

        A proof is used up only once its token was found good, so that without one nobody can fill the memory of used
        proofs. Raises `OAuthError`, `InvalidToken` and `VerifierUnavailable`.
        """
        now = int(self._clock())
        proof = self._check_proof(request, token, now)
        principal = await self._verifier.verify_bound(token, proof)
        if principal.jkt != proof.jkt:
            raise InvalidToken("the verifier did not check what the token is bound to")
        self._claim(proof, now)
        return principal, self._renew_nonce(proof, now), partial(self._verifier.verify_bound, token, proof)

    def _check_proof(self, request: Request, token: str, now: int) -> DpopProof:
        try:
            proof = verify_proof(
                request.values("dpop"), method=request.method, url=self._urls_of(request), now=now, access_token=token
            )
        except InvalidProof as refusal:
            _log.info("A proof was refused: %s", refusal)
            raise OAuthError(INVALID_DPOP_PROOF, str(refusal), status=401) from None
        if self._nonce_key is not None and not is_current_nonce(self._nonce_key, proof.nonce, now):
            fresh = {"DPoP-Nonce": build_nonce(self._nonce_key, now)}
            raise OAuthError(USE_DPOP_NONCE, "Make the proof with the nonce of this answer.", status=401, headers=fresh)
        return proof

    def _claim(self, proof: DpopProof, now: int) -> None:
        claim = self._used.claim(proof, now=now)
        if claim is Claim.REPLAYED:
            _log.warning("A DPoP proof was sent twice; the second was refused.")
            raise OAuthError(
                INVALID_DPOP_PROOF, "The DPoP proof was used before; make one for each request.", status=401
            )
        if claim is Claim.FULL:
            _log.warning("There is no room to remember another DPoP proof of this key; it was refused.")
            raise OAuthError(
                TEMPORARILY_UNAVAILABLE,
                "Too many DPoP proofs were used in the last two minutes. Try again shortly.",
                status=503,
                headers={"Retry-After": str(_RETRY_SECONDS)},
            )

    def _renew_nonce(self, proof: DpopProof, now: int) -> list[Header]:
        """The next nonce, as soon as there is one: who takes it is never sent back for it. Spec: RFC 9449 §8.2"""
        if self._nonce_key is None or proof.nonce == (fresh := build_nonce(self._nonce_key, now)):
            return []
        return [build_header("dpop-nonce", fresh)]

    def _urls_of(self, request: Request) -> tuple[str, ...]:
        if request.path in self._endpoints:
            return self._urls
        raw_path = request.scope.get("raw_path") or quote(request.path).encode("ascii")
        return (f"{self._origin}{raw_path.decode('latin-1')}",)
