"""The operations that are measured, as scripts of requests."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from bench.load import Script
from tests.fault.ground import LOOPBACK, FreshCode, FreshToken

HOST = b"host: 127.0.0.1\r\n"
FORM = b"content-type: application/x-www-form-urlencoded\r\n"
JSON = b"content-type: application/json\r\n"


def build_metadata(method: str) -> bytes:
    metadata = {"redirect_uris": [LOOPBACK], "client_name": "Benchmark", "token_endpoint_auth_method": method}
    return json.dumps(metadata).encode()


PUBLIC, CONFIDENTIAL = build_metadata("none"), build_metadata("client_secret_post")


@dataclass(frozen=True)
class Supplies:
    """What was put into the database for the operations to use up."""

    codes: Iterator[FreshCode]
    spare_tokens: Iterator[FreshToken]
    own_tokens: Iterator[FreshToken]
    """One lineage for each connection that refreshes or asks."""
    registrations: Iterator[tuple[str, str]]
    """(path of a project, key that may register one client more)."""
    introspection_key: str
    service: tuple[str, str]
    """(client_id, secret) of a client that speaks for itself."""


def get(path: str) -> bytes:
    return b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    head = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"content-length: %d\r\n" % len(body)
    return head + b"".join(headers) + b"\r\n" + body


def post_form(path: str, *headers: bytes, **fields: str) -> bytes:
    return post(path, urlencode(fields).encode(), FORM, *headers)


def bearer(secret: str) -> bytes:
    return b"authorization: Bearer " + secret.encode() + b"\r\n"


def ask_again_and_again(path: str) -> Script:
    request = get(path)
    while True:
        yield request


def register_public() -> Script:
    """Sealed into its id: nothing is stored."""
    request = post("/api/oauth/register", PUBLIC, JSON)
    while True:
        yield request


def register_confidential(supplies: Supplies) -> Script:
    """Stored, audited and within limits."""
    for path, key in supplies.registrations:
        yield post(f"{path}/api/oauth/register", CONFIDENTIAL, JSON, bearer(key))


def redeem(supplies: Supplies) -> Script:
    for fresh in supplies.codes:
        yield post_form(
            "/api/oauth/token",
            grant_type="authorization_code",
            client_id=fresh.client_id,
            code=fresh.code,
            code_verifier=fresh.verifier,
        )


def refresh(supplies: Supplies) -> Script:
    token = next(supplies.own_tokens)
    current = token.token
    while True:
        answer = yield build_refresh(token, current)
        current = json.loads(answer)["refresh_token"]


def speak_for_itself(supplies: Supplies) -> Script:
    client_id, secret = supplies.service
    request = post_form("/api/oauth/token", grant_type="client_credentials", client_id=client_id, client_secret=secret)
    while True:
        yield request


def introspect(supplies: Supplies) -> Script:
    token = next(supplies.own_tokens)
    answer = json.loads((yield build_refresh(token, token.token)))
    asked = post_form("/api/oauth/introspect", bearer(supplies.introspection_key), token=answer["access_token"])
    while True:
        yield asked


def revoke(supplies: Supplies) -> Script:
    for token in supplies.spare_tokens:
        yield post_form("/api/oauth/revoke", token=token.token, client_id=token.client_id)


def build_refresh(token: FreshToken, current: str) -> bytes:
    return post_form("/api/oauth/token", grant_type="refresh_token", client_id=token.client_id, refresh_token=current)


OPERATIONS: dict[str, Callable[[Supplies], Script]] = {
    "metadata": lambda _: ask_again_and_again("/.well-known/oauth-authorization-server"),
    "jwks": lambda _: ask_again_and_again("/.well-known/jwks.json"),
    "register": lambda _: register_public(),
    "reg. secret": register_confidential,
    "code": redeem,
    "refresh": refresh,
    "client cred.": speak_for_itself,
    "introspect": introspect,
    "revoke": revoke,
}
