"""Who a verified token speaks for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from doorward.oauth.jwt import TOOLS_CLAIM
from doorward.oauth.scopes import Scopes, missing

Identity = tuple[str, str, str]
"""(issuer, subject, client_id): what sessions and anything else that outlives a request is bound to."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A person acting through a client, as a token of this server's issuer said, for as long as it said.

    Exists only after issuer, audience and time were checked. `expires_at` is in epoch seconds; `claims` holds all
    claims of the token or of the introspection answer, and is left out of `repr` since it is personal data. `jkt` is
    the thumbprint of the key that the token is bound to and whose possession was proved; None for a bearer token.

    Spec: RFC 9068 §2.2; RFC 7662 §2.2; RFC 9449 §6 (RS-02, RS-03, DPOP-07)
    """

    subject: str
    client_id: str
    issuer: str
    scopes: Scopes
    audience: str
    expires_at: int
    claims: Mapping[str, Any] = field(repr=False, hash=False)
    jkt: str | None = None

    @property
    def identity(self) -> Identity:
        """The three values that together name this principal; none of them does alone. Spec: T13"""
        return self.issuer, self.subject, self.client_id

    @property
    def tools_at(self) -> int:
        """The version of the server's list of tools that the person was shown; 0 for the first there was.

        Spec: product.md, feature 8
        """
        version = self.claims.get(TOOLS_CLAIM)
        return version if isinstance(version, int) and not isinstance(version, bool) else 0

    def has_scopes(self, needed: Iterable[str]) -> bool:
        """Whether the token carries every one of `needed`. Spec: RS-02"""
        return not missing(needed, self.scopes)


OURSELVES = Principal(subject="", client_id="doorward", issuer="", scopes=(), audience="", expires_at=0, claims={})
"""Who asks a server for its tools: the protection itself, and no person."""
