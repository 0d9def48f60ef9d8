"""What a reader of the revocation feed sees: documents verified by the published keys, as anybody can."""

from dataclasses import dataclass, field
from typing import Any

from doorward.oauth.jwt import parse_jwks, read_unverified
from doorward.oauth.revocations import (
    MAX_DOCUMENT_LENGTH,
    RevocationDocument,
    RevocationKind,
    digest_subject,
    verify_revocations,
)
from tests.inside import Answer, Door

FEED = "/api/oauth/revocations"


def digest(kind: RevocationKind, subject: str) -> str:
    return digest_subject(kind, subject)


@dataclass
class Reader:
    """Asks for what follows the last document."""

    door: Door
    path: str = ""
    cursor: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """(digest, state) of every entry, in the order it was told."""

    async def ask(self, *, wait: int = 0, cursor: str | None = None, source: str = "203.0.113.9") -> Answer:
        query = f"wait={wait}&cursor={self.cursor if cursor is None else cursor}"
        return await self.door.call("GET", f"{self.path}{FEED}?{query}", source=source)

    async def verify(self, answer: Answer) -> RevocationDocument:
        """The document of an answer, which is checked as a whole."""
        assert answer.status == 200, answer.body
        assert answer.header("content-type") == "application/jwt"
        assert answer.header("cache-control") == "no-store"
        jwks = (await self.door.call("GET", f"{self.path}/.well-known/jwks.json")).json()
        text = answer.body.decode("ascii")
        header, _ = read_header(text)
        key = parse_jwks(jwks)[header["kid"]]
        return verify_revocations(text, key, issuer=f"{self.door.context.settings.public_url}{self.path}")

    async def read(self, *, wait: int = 0) -> RevocationDocument:
        """The next document, taken over."""
        document = await self.verify(await self.ask(wait=wait))
        self.cursor = document.cursor
        self.seen += [(entry.digest, entry.state) for entry in document.entries]
        return document


def read_header(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(header, claims) of a document, unverified."""
    return read_unverified(text, accepted_types=frozenset({"revocations+jwt"}), max_length=MAX_DOCUMENT_LENGTH)
