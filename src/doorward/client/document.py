"""Builds a client's own document: what a program publishes so that every authorization server knows it (CIMD).

Servers, and the libraries behind them, differ in what they read of it, so it says the same thing in each form that is
in use: all three names of this machine, and the authentication method both alone and in a list.

Spec: CIMD-02, CIMD-29 … CIMD-31
"""

import json
from collections.abc import Sequence
from typing import Any

from doorward.oauth.client_documents import check_document_url, parse_client_document
from doorward.oauth.errors import OAuthError
from doorward.oauth.jwt import SigningKey
from doorward.oauth.metadata import MAX_NAME_LENGTH, clean_name
from doorward.oauth.redirects import check_redirect_uri, redirect_kind

from .client_auth import NO_AUTHENTICATION, PRIVATE_KEY_JWT
from .registration import CODE_GRANTS

LOOPBACK_REDIRECTS = tuple(f"http://{host}/callback" for host in ("127.0.0.1", "[::1]", "localhost"))
"""Without a port: a server takes any, since a program listens where there is room. Spec: RFC 8252 §7.3 (CIMD-31)"""
MAX_DOCUMENT_BYTES = 5 * 1024
"""Servers may stop reading here. Spec: CIMD-13"""


def build_client_document(
    url: str,
    client_name: str,
    *,
    redirect_uris: Sequence[str] = LOOPBACK_REDIRECTS,
    signing_key: SigningKey | None = None,
    client_uri: str | None = None,
    logo_uri: str | None = None,
    scope: str | None = None,
) -> dict[str, Any]:
    """The document to publish at `url`, which is the client id from then on.

    `redirect_uris` are this machine's by default; a hosted application gives its own https ones. With a `signing_key`
    the client authenticates by it, and by nothing else: were `none` listed as well, anybody could be this client. Its
    public half is in the document. `scope` is the most that the client will ever ask for.

    Raises `ValueError`, saying why, for what a server that keeps to the specification would refuse or leave out.

    Spec: CIMD-02, CIMD-03, CIMD-22, CIMD-30, CIMD-31
    """
    if not client_name.strip() or clean_name(client_name) != client_name:
        raise ValueError(f"The client name must be 1 to {MAX_NAME_LENGTH} visible characters, on one line.")
    if "?" in url:
        raise ValueError("The address of the document must have no query.")
    kinds = {_check_redirect(uri) for uri in redirect_uris}
    method = PRIVATE_KEY_JWT if signing_key else NO_AUTHENTICATION
    document: dict[str, Any] = {
        "client_id": url,
        "client_name": client_name,
        "client_uri": client_uri,
        "logo_uri": logo_uri,
        "application_type": "web" if kinds == {"https"} else "native",
        "redirect_uris": list(redirect_uris),
        "grant_types": list(CODE_GRANTS),
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "token_endpoint_auth_methods_supported": [method],
        "scope": scope,
    }
    if signing_key is not None:
        document["token_endpoint_auth_signing_alg"] = signing_key.alg
        document["jwks"] = {"keys": [signing_key.public_jwk()]}
    document = {name: value for name, value in document.items() if value is not None}
    _check_document(url, document)
    return document


def render_client_document(document: dict[str, Any]) -> bytes:
    """The file to put at the document's address, as `application/json`."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _check_redirect(uri: str) -> str:
    try:
        check_redirect_uri(uri)
    except OAuthError as error:
        raise ValueError(error.description) from None
    return redirect_kind(uri)


def _check_document(url: str, document: dict[str, Any]) -> None:
    """Read the document as an authorization server does, and miss nothing of it."""
    rendered = render_client_document(document)
    try:
        check_document_url(url)
        read = parse_client_document(url, rendered, supported_grants=CODE_GRANTS).document()
    except OAuthError as error:
        raise ValueError(error.description) from None
    for name in ("redirect_uris", "client_uri", "logo_uri", "scope"):
        if name in document and read.get(name) != document[name]:
            raise ValueError(f"Servers would leave out {name}, or part of it: {document[name]}")
    if len(rendered) > MAX_DOCUMENT_BYTES:
        raise ValueError("The document is larger than 5 kB, where servers may stop reading. Leave something out.")
