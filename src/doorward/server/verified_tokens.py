"""Access tokens of ours that were verified before: what a signature says does not change, so it is checked once.

A resource server asks about the same token at every call. What can change is asked every time: whether the key is
still published, the time, and everything that a token hangs off.
"""

import hashlib
from collections import OrderedDict

from doorward.oauth.jwt import InvalidToken, VerifiedClaims, read_kid, verify_access_token

from .tenancy import ProjectView

MAX_KEPT = 4_096


class VerifiedTokens:
    """The most recently verified tokens, by their digest. One per process; bounded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[str, VerifiedClaims]] = OrderedDict()

    def read(self, view: ProjectView, token: str, *, now: int) -> VerifiedClaims:
        """The claims of an unexpired token of this project. `now` is epoch seconds. Raises `InvalidToken`."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        kept = self._kept.get(digest)
        if kept is None:
            kid = read_kid(token)
            key = view.keys.get(kid)
            if key is None:
                raise InvalidToken("kid is not a key of the project")
            claims = verify_access_token(
                token, key, issuer=view.issuer, accepts_audience=lambda _: True, now=now, leeway=0
            )
            self._keep(digest, kid, claims)
            return claims
        kid, claims = kept
        if kid not in view.keys or claims["iss"] != view.issuer:
            raise InvalidToken("kid is not a key of the project")
        if now >= claims["exp"]:
            raise InvalidToken("token has expired")
        self._kept.move_to_end(digest)
        return claims

    def _keep(self, digest: bytes, kid: str, claims: VerifiedClaims) -> None:
        self._kept[digest] = kid, claims
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
