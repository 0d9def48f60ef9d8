"""Who is calling, as the server behind reads it."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import KeySet

from doorward.oauth.jwt import InvalidToken, read_kid
from doorward.resource import Principal
from doorward.resource.identity import IdentitySigner
from tests.resource.world import ISSUER, RESOURCE, Clock

UPSTREAM = "http://127.0.0.1:3000/mcp"
ALICE = Principal(
    subject="alice",
    client_id="app",
    issuer=ISSUER,
    scopes=("tools:read", "tools:write"),
    audience=RESOURCE,
    expires_at=1_000_900,
    claims={"grant_id": "gr_1"},
)


def write_pem(path: Path, curve: ec.EllipticCurve) -> Path:
    key = ec.generate_private_key(curve)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_an_assertion_says_who_calls_through_what_and_for_whom_trn_09() -> None:
    signer = IdentitySigner(clock=Clock())
    token = signer.sign(ALICE, resource=RESOURCE, upstream=UPSTREAM)
    read = jwt.decode(token, KeySet.import_key_set(json.loads(signer.jwks)), algorithms=["ES256"])
    assert (read.header["typ"], read.header["alg"]) == ("doorward-identity+jwt", "ES256")
    assert read.claims.pop("jti")
    assert read.claims == {
        "iss": RESOURCE,
        "aud": UPSTREAM,
        "sub": "alice",
        "client_id": "app",
        "scope": "tools:read tools:write",
        "grant_id": "gr_1",
        "iat": 1_000_000,
        "exp": 1_000_060,
    }


def test_an_assertion_is_no_access_token() -> None:
    with pytest.raises(InvalidToken):
        read_kid(IdentitySigner().sign(ALICE, resource=RESOURCE, upstream=UPSTREAM))


def test_the_published_keys_are_public() -> None:
    [key] = json.loads(IdentitySigner().jwks)["keys"]
    assert "d" not in key


def test_an_assertion_is_used_again_for_some_seconds_and_by_nobody_else() -> None:
    clock = Clock()
    signer = IdentitySigner(clock=clock)
    first = signer.sign(ALICE, resource=RESOURCE, upstream=UPSTREAM)
    assert signer.sign(ALICE, resource=RESOURCE, upstream=UPSTREAM) == first
    others = [replace(ALICE, subject="bob"), replace(ALICE, client_id="b"), replace(ALICE, scopes=())]
    others += [replace(ALICE, claims={}), replace(ALICE, issuer="https://b.test")]
    assert first not in [signer.sign(other, resource=RESOURCE, upstream=UPSTREAM) for other in others]
    assert signer.sign(ALICE, resource=RESOURCE, upstream="http://b.test") != first
    clock.now += 15
    assert signer.sign(ALICE, resource=RESOURCE, upstream=UPSTREAM) != first


@pytest.mark.parametrize(("expires_at", "until"), [(1_000_900, 1_000_900), (1_000_970, 1_000_950), (0, 1_000_950)])
def test_an_assertion_ends_with_the_token_it_comes_from(expires_at: int, until: int) -> None:
    caller = replace(ALICE, expires_at=expires_at)
    token = IdentitySigner(clock=Clock(1_000_890)).sign(caller, resource=RESOURCE, upstream=UPSTREAM)
    payload = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["exp"] == until


def test_a_key_of_a_file_signs_alike_in_two_processes(tmp_path: Path) -> None:
    path = write_pem(tmp_path / "key.pem", ec.SECP256R1())
    assert IdentitySigner.from_pem(path).jwks == IdentitySigner.from_pem(path).jwks


def test_a_file_without_such_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_bytes(b"")
    for path in (tmp_path / "none.pem", tmp_path / "empty.pem", write_pem(tmp_path / "p384.pem", ec.SECP384R1())):
        with pytest.raises(ValueError, match=path.name):
            IdentitySigner.from_pem(path)
