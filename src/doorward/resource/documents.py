"""The resource's own metadata document, at every address where a client looks for it."""

import json
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from doorward.oauth.dpop import PROOF_ALGORITHMS
from doorward.oauth.metadata import PROTECTED_RESOURCE, build_resource_metadata, well_known_url

from .asgi import Answer, Request, build_header, build_text
from .cors import build_preflight
from .dpop import DpopMode

_WELL_KNOWN = f"/.well-known/{PROTECTED_RESOURCE}"
_MAX_AGE = 300


class ResourceDocuments:
    """Serves the document of one resource in two spellings, with and without the slash at its end.

    Clients compare `resource` with the URL as the user typed it, some exactly, so the spelling that is asked for is
    the spelling in the answer. Addresses: path inserted (RFC 9728), with the slash kept, path appended (rmcp), and
    the root. At the root the document names the resource itself and not the origin: the clients that read only the
    root send what they find there as `resource`, and the origin names no resource at the issuer.

    Spec: RFC 9728 §3 (PRM-01 … PRM-14, PRM-22); clients.md no. 55
    """

    def __init__(self, *, resource: str, issuer: str, scopes: Iterable[str], name: str | None, dpop: DpopMode) -> None:
        path = urlsplit(resource).path
        base = path.rstrip("/")
        self._slash_path = f"{unquote(base)}/" if base else None
        without = resource[: len(resource) - len(path)] + base
        scopes = tuple(scopes)

        def build(spelling: str) -> Answer:
            document = build_resource_metadata(
                resource=spelling,
                authorization_servers=[issuer],
                scopes=scopes,
                name=name,
                dpop_algs=PROOF_ALGORITHMS if dpop != "off" else (),
                dpop_required=dpop == "required",
            )
            headers = (
                build_header("content-type", "application/json"),
                build_header("cache-control", f"public, max-age={_MAX_AGE}"),
                build_header("access-control-allow-origin", "*"),
                build_header("x-content-type-options", "nosniff"),
            )
            return Answer(200, headers, json.dumps(document, separators=(",", ":")).encode())

        own = build(resource)
        inserted = unquote(f"{_WELL_KNOWN}{base}")
        self._answers = {
            _WELL_KNOWN: own,
            f"{_WELL_KNOWN}/": own,
            unquote(f"{base}{_WELL_KNOWN}"): own,
            inserted: build(without),
            f"{inserted}/": build(f"{without}/"),
        }
        self._url = well_known_url(without, PROTECTED_RESOURCE)
        self._own_url = f"{self._url}/" if path.endswith("/") else self._url

    def url_for(self, path: str) -> str:
        """The absolute address of the document to name in a challenge to a request on `path`. Spec: WWW-01"""
        return f"{self._url}/" if path == self._slash_path else self._own_url

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request for the document, or None when it asks for something else."""
        document = self._answers.get(request.path)
        if document is None:
            return None
        if request.method == "OPTIONS":
            return build_preflight(request, methods="GET, HEAD, OPTIONS", origin="*")
        if request.method not in {"GET", "HEAD"}:
            return build_text(405, "Only GET and HEAD are answered here.", build_header("allow", "GET, HEAD, OPTIONS"))
        return document
