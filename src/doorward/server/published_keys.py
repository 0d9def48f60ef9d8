"""Keys that a client, or an issuer that is trusted, publishes: given once, or fetched by the same guard as documents.

Spec: RFC 7517 §5; RFC 7523 §3; JAG-06, WIF-03, CIMD-20 (T5, T34)
"""

import json
from typing import Any

from doorward.oauth.errors import TEMPORARILY_UNAVAILABLE, OAuthError
from doorward.oauth.jwt import InvalidToken, VerificationKey, parse_jwks

from .context import Context
from .document_source import DocumentSource, DocumentUnavailable

MAX_KEY_SET_BYTES = 32 * 1024
"""Keys with certificate chains outgrow the 5 KB of a document."""


async def find_published_keys(
    context: Context,
    jwks: dict[str, Any] | None,
    jwks_uri: str | None,
    kid: str | None,
    *,
    documents: DocumentSource | None = None,
) -> dict[str, VerificationKey]:
    """The keys; one that is not among the kept ones is looked for afresh, within the fetch limits.

    `documents` is where they are fetched, if not where everything that strangers name is.

    Raises `InvalidToken` where there are none to be had, and 503 when they cannot be had now.
    """
    if jwks is not None:
        return parse_jwks(jwks)
    if jwks_uri is None:
        raise InvalidToken("there are no published keys")
    source = documents or context.documents
    try:
        keys = await _fetch_keys(source, jwks_uri)
        if kid is not None and kid not in keys:
            keys = await _fetch_keys(source, jwks_uri, refetch=True)
    except DocumentUnavailable as unavailable:
        if unavailable.is_final:
            raise InvalidToken("its keys cannot be fetched from there") from None
        raise OAuthError(
            TEMPORARILY_UNAVAILABLE,
            f"The keys that it is signed with could not be fetched. {unavailable}",
            status=503,
            headers={"retry-after": "10"},
        ) from None
    return keys


async def _fetch_keys(source: DocumentSource, url: str, *, refetch: bool = False) -> dict[str, VerificationKey]:
    document = await source.get(url, refetch=refetch, max_bytes=MAX_KEY_SET_BYTES)
    try:
        return parse_jwks(json.loads(document.body))
    except (ValueError, RecursionError):
        source.forget(url)
        raise InvalidToken("its published keys are not a key set") from None
