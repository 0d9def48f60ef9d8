"""The bundled registry of known clients: pinned documents, redirect patterns, and who pretends to be one of them.

Dated data, shipped with the release and read once. A pinned document stands in when its host does not answer; a name
that looks like a known client's while its codes go elsewhere is told to the person who decides.

Spec: product.md, feature 3; threat T4; complaint 9
"""

import json
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from doorward.oauth.client_documents import parse_client_document
from doorward.oauth.metadata import ClientMetadata
from doorward.oauth.redirects import display_host, is_loopback

from .models import SELF_REGISTERED_GRANTS

# Letters that are drawn like others: folded before names are compared, so that a look-alike is a match.
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u04cf"
    "\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u0131i10",
    "aeopcyxljsdhlaelkvoptulllo",
)


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client that people use, as its makers publish it."""

    key: str
    name: str
    aliases: tuple[str, ...]
    redirect_uris: tuple[str, ...]
    """Where its codes may go; a loopback one stands for every port."""
    documents: dict[str, dict[str, Any]]
    """Pinned metadata documents by client_id."""
    sends_token_endpoint_audience: bool = False


@cache
def known_clients() -> tuple[KnownClient, ...]:
    """Every known client."""
    text = (files("doorward.core") / "known_clients.json").read_text(encoding="utf-8")
    return tuple(
        KnownClient(
            key=entry["key"],
            name=entry["name"],
            aliases=tuple(entry.get("aliases", ())),
            redirect_uris=tuple(entry["redirect_uris"]),
            documents=entry.get("documents", {}),
            sends_token_endpoint_audience=entry.get("sends_token_endpoint_audience", False),
        )
        for entry in json.loads(text)["clients"]
    )


def find_known_document(client_id: str) -> ClientMetadata | None:
    """The pinned copy of a known client's document."""
    for known in known_clients():
        members = known.documents.get(client_id)
        if members is not None:
            body = json.dumps({**members, "client_id": client_id}).encode()
            return parse_client_document(client_id, body, supported_grants=SELF_REGISTERED_GRANTS)
    return None


def find_known_by_document(client_id: str) -> KnownClient | None:
    """The known client that a document URL belongs to."""
    return next((known for known in known_clients() if client_id in known.documents), None)


def find_impersonated(name: str | None, client_id: str, redirect_uri: str) -> KnownClient | None:
    """The known client whose name is used while the code would go where that client never asks for it.

    Programs on the person's own machine are left to the loopback warning: nobody can tell them apart.
    """
    folded = _fold(name or "")
    if not folded or is_loopback(redirect_uri):
        return None
    for known in known_clients():
        if client_id in known.documents or not any(
            _resembles(folded, _fold(each)) for each in (known.name, *known.aliases)
        ):
            continue
        if any(_same_place(uri, redirect_uri) for uri in known.redirect_uris):
            return None
        return known
    return None


def _same_place(known: str, redirect_uri: str) -> bool:
    """Whether both lead to the same host or app: makers give each connection a path of its own."""
    return not is_loopback(known) and display_host(known).lower() == display_host(redirect_uri).lower()


def _resembles(name: str, known: str) -> bool:
    """The same, or the known name with something before or behind it."""
    return name == known or name.startswith((f"{known} ", f"{known}(")) or name.endswith(f" {known}")


def _fold(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(letters.translate(_LOOKALIKES).split())
