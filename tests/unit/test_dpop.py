"""doorward.oauth.dpop: a proof holds for one request, one token and one key, or it does not hold.

Spec: DPOP-01, DPOP-02, DPOP-05, DPOP-09, DPOP-10, DPOP-11, DPOP-12, AT-08; threats T33, T35
"""

import hashlib
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from doorward.oauth.dpop import (
    NONCE_SECONDS,
    PROOF_ALGORITHMS,
    DpopProof,
    InvalidProof,
    build_nonce,
    build_proof,
    is_current_nonce,
    is_thumbprint,
    verify_proof,
)
from doorward.oauth.jwt import InvalidToken, SigningKey, parse_signing_key, read_kid
from tests.unit.hostile_jwts import NOW, STRANGER, encode, sign
from tests.unit.hostile_proofs import (
    ABSENT,
    CLAIMS,
    HEADER,
    HOSTILE,
    HOSTILE_KEYS,
    KEY,
    KEYS,
    URL,
    with_claims,
    with_header,
    with_key,
)

TOKEN = "an.access.token"
NONCE_KEY = b"k" * 32


def verify(*proofs: str, now: int = NOW, url: str = URL, access_token: str | None = None) -> DpopProof:
    return verify_proof(list(proofs), method="POST", url=url, now=now, access_token=access_token)


def flip(segment: str) -> str:
    return ("B" if segment[0] != "B" else "C") + segment[1:]


# RFC 9449 §4.3, in its order.


@pytest.mark.parametrize("count", [0, 2])
def test_1_there_is_exactly_one_header_dpop_02(count: int) -> None:
    with pytest.raises(InvalidProof, match="one DPoP header"):
        verify(*[with_claims()] * count)


@pytest.mark.parametrize("separator", [",", ", ", " ", ";", "\n", "~"])
def test_2_the_header_is_one_jwt_dpop_02(separator: str) -> None:
    with pytest.raises(InvalidProof, match="not a compact JWS"):
        verify(separator.join([with_claims(), with_claims(jti="other")]))


@pytest.mark.parametrize("name", ["jti", "htm", "htu", "iat"])
def test_3_every_required_claim_is_there_dpop_02(name: str) -> None:
    with pytest.raises(InvalidProof, match=f"^{name} of the DPoP proof"):
        verify(with_claims(**{name: ABSENT}))


@pytest.mark.parametrize("typ", [ABSENT, "", "JWT", "jwt", "at+jwt", "dpop", "application/dpop+jwt;x", 7, None])
def test_4_typ_says_that_it_is_a_proof_dpop_02_at_08(typ: Any) -> None:
    with pytest.raises(InvalidProof, match="typ"):
        verify(with_header(typ=typ))


@pytest.mark.parametrize(
    "alg", ["none", "HS256", "HS512", "ES384", "ES512", "ES256K", "es256", "Ed448", "", None, 7, ["ES256"]]
)
def test_5_alg_is_asymmetric_and_on_our_list_dpop_01_dpop_02(alg: Any) -> None:
    with pytest.raises(InvalidProof, match="alg is not accepted"):
        verify(with_header(alg=alg))
    assert set(PROOF_ALGORITHMS) == {"ES256", "EdDSA", "Ed25519", "PS256", "RS256"}


def test_6_the_signature_is_that_of_the_key_in_the_header_dpop_02() -> None:
    head, payload, signature = with_claims().split(".")
    tampered = encode(CLAIMS | {"jti": "another"})
    for proof in (
        sign(HEADER, CLAIMS, STRANGER),
        f"{head}.{payload}.{flip(signature)}",
        f"{head}.{tampered}.{signature}",
        f"{head}.{payload}.{encode(bytes(64))}",
        sign(HEADER, CLAIMS, KEY, der=True),
    ):
        with pytest.raises(InvalidProof, match="signature does not verify"):
            verify(proof)


@pytest.mark.parametrize("alg", PROOF_ALGORITHMS)
def test_7_a_private_key_in_the_header_is_refused_dpop_02(alg: str) -> None:
    private = KEYS[alg].private_jwk()
    for member in private.keys() & {"d", "p", "q", "dp", "dq", "qi"}:
        with pytest.raises(InvalidProof, match="jwk is not a public key"):
            verify(with_header(alg=alg, jwk=KEYS[alg].public_jwk() | {member: private[member]}))


@pytest.mark.parametrize("htm", ["GET", "post", "Post", "POST ", "", None, ["POST"], 7])
def test_8_htm_is_the_method_of_the_request_dpop_02(htm: Any) -> None:
    with pytest.raises(InvalidProof, match=r"^htm"):
        verify(with_claims(htm=htm))


@pytest.mark.parametrize(
    "htu",
    [
        "https://api.test",
        "https://api.test/",
        "https://api.test/mcp/",
        "https://api.test/mcp/x",
        "https://api.test/MCP",
        "https://api.test//mcp",
        "https://api.test/./mcp",
        "https://api.test/x/../mcp",
        "https://api.test/%2Fmcp",
        "https://api.test/mc%70%00",
        "https://api.test/mcp%",
        "https://api.test/mcp%2",
        "https://api.test/mcp;x",
        "https://api.test:80/mcp",
        "https://api.test:8443/mcp",
        "https://api.test:/mcp",
        "https://api.test:port/mcp",
        "https://api.test:443443/mcp",
        "http://api.test/mcp",
        "http://api.test:443/mcp",
        "wss://api.test/mcp",
        "//api.test/mcp",
        "/mcp",
        "api.test/mcp",
        "https:/api.test/mcp",
        "https:///mcp",
        "https://api.test.evil.test/mcp",
        "https://evil.test/mcp",
        "https://api.test./mcp",
        "https://user@api.test/mcp",
        "https://api.test@evil.test/mcp",
        "https://api.test\\@evil.test/mcp",
        "https://evil.test\\.api.test/mcp",
        "https://api.test /mcp",
        " https://api.test/mcp",
        "https://api.test/mcp\n",
        "https://api.test/m\tcp",
        "https://\u24d0pi.test/mcp",
        "http\u017f://api.test/mcp",
        "https://[::1]/mcp",
        "https://[api.test/mcp",
        "https://api.test/mcp" + "x" * 5000,
        "",
        None,
        7,
        [URL],
    ],
)
def test_9_htu_of_another_url_is_refused_dpop_02(htu: Any) -> None:
    with pytest.raises(InvalidProof, match=r"^htu"):
        verify(with_claims(htu=htu))


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        (URL, URL),
        ("HTTPS://API.TEST/mcp", URL),
        ("https://api.test:443/mcp", URL),
        (URL, "https://API.test:443/mcp"),
        ("https://api.test/mcp?x=1", URL),
        ("https://api.test/mcp#x", URL),
        (URL, f"{URL}?cursor=a%20b"),
        ("https://api.test/m%63p", URL),
        ("https://api.test/%7Euser", "https://api.test/~user"),
        ("https://api.test/a%2fb", "https://api.test/a%2Fb"),
        ("https://api.test", "https://api.test/"),
        ("https://api.test/", "https://api.test"),
        ("https://api.test?x", "https://api.test/"),
        ("http://localhost:80/mcp", "http://localhost/mcp"),
        ("http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000/mcp"),
        ("http://[::1]:8000/mcp", "http://[::1]:8000/mcp"),
        ("http://[::AB]/mcp", "http://[::ab]:80/mcp"),
    ],
)
def test_9_spellings_of_one_url_are_equal_dpop_02(htu: str, url: str) -> None:
    assert verify(with_claims(htu=htu), url=url).jti == "once"


def test_9_one_of_several_urls_will_do_dpop_02() -> None:
    urls = (f"{URL}/", URL)
    assert verify_proof([with_claims()], method="POST", url=urls, now=NOW).jti == "once"
    with pytest.raises(InvalidProof, match=r"^htu"):
        verify_proof([with_claims()], method="POST", url=urls[:1], now=NOW)


def test_9_an_escaped_slash_is_not_a_slash_dpop_02() -> None:
    with pytest.raises(InvalidProof, match=r"^htu"):
        verify(with_claims(htu="https://api.test/a%2Fb"), url="https://api.test/a/b")


@pytest.mark.parametrize("nonce", [7, ["x"], {}, "n" * 257])
def test_10_a_nonce_that_is_none_is_refused_dpop_02(nonce: Any) -> None:
    with pytest.raises(InvalidProof, match=r"^nonce"):
        verify(with_claims(nonce=nonce))
    assert verify(with_claims(nonce="n" * 256)).nonce == "n" * 256
    assert verify(with_claims(nonce=None)).nonce is None


@pytest.mark.parametrize(
    ("age", "accepted"), [(60, True), (61, False), (360, False), (-10, True), (-11, False), (-360, False)]
)
def test_11_a_proof_was_made_just_now_dpop_02_dpop_09(*, age: int, accepted: bool) -> None:
    proof = with_claims(iat=NOW - age)
    if accepted:
        assert verify(proof).iat == NOW - age
    else:
        with pytest.raises(InvalidProof, match=r"^iat"):
            verify(proof)


@pytest.mark.parametrize("iat", ["now", str(NOW), None, True, [NOW], -1, 1e300, float("nan")])
def test_11_iat_is_a_time_dpop_02(iat: Any) -> None:
    with pytest.raises(InvalidProof):
        verify(with_claims(iat=iat))


@pytest.mark.parametrize(
    "ath",
    [
        ABSENT,
        None,
        "",
        TOKEN,
        7,
        ["x"],
        encode(hashlib.sha256(b"another.token").digest()),
        encode(hashlib.sha256(TOKEN.encode()).digest()) + "=",
        encode(hashlib.sha256(TOKEN.encode()).hexdigest().encode()),
        encode(hashlib.sha512(TOKEN.encode()).digest()),
    ],
)
def test_12_a_proof_is_for_the_token_it_comes_with_dpop_02(ath: Any) -> None:
    with pytest.raises(InvalidProof):
        verify(with_claims(ath=ath), access_token=TOKEN)


def test_12_the_hash_of_the_token_is_accepted_dpop_02() -> None:
    proof = with_claims(ath=encode(hashlib.sha256(TOKEN.encode()).digest()))
    found = verify(proof, access_token=TOKEN)
    assert (found.jti, found.is_for(TOKEN), found.is_for(f"{TOKEN}x")) == ("once", True, False)


def test_12_what_was_checked_against_no_token_is_for_none() -> None:
    for ath in ("whatever", encode(hashlib.sha256(TOKEN.encode()).digest())):
        found = verify(with_claims(ath=ath))
        assert (found.jti, found.is_for(TOKEN)) == ("once", False)


# What else a stranger may send.


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_proof_is_refused_and_repeats_nothing_dpop_02_t33(name: str) -> None:
    with pytest.raises(InvalidProof) as refusal:
        verify(HOSTILE[name])
    assert str(refusal.value).isascii()
    assert len(str(refusal.value)) < 200
    # A key that must not be used is refused as such, not because its signature happens not to fit.
    assert name not in HOSTILE_KEYS or "signature" not in str(refusal.value)


def test_the_proof_they_are_made_from_is_accepted() -> None:
    assert verify(with_claims()) == DpopProof(jkt=KEY.kid, jti="once", iat=NOW, nonce=None, alg="ES256")
    assert verify(f" {with_claims()}\t").jkt == KEY.kid


@pytest.mark.parametrize("extra", [{"kid": "x", "alg": "ES256", "use": "sig"}, {"key_ops": ["verify"], "ext": True}])
def test_what_else_browsers_and_libraries_write_into_a_key_changes_nothing(extra: dict[str, Any]) -> None:
    assert verify(with_key(KEY, **extra)).jkt == KEY.kid


def test_a_body_digest_is_neither_required_nor_looked_at_dpop_12() -> None:
    assert verify(with_claims(content_digest="sha-256=:AAAA:", exp=1, nbf=NOW + 9999)).jti == "once"


@pytest.mark.parametrize("alg", PROOF_ALGORITHMS)
def test_what_we_build_holds_and_names_its_key_by_thumbprint_dpop_11(alg: str) -> None:
    key = KEYS[alg]
    proof = build_proof(key, method="POST", url=f"{URL}?x#y", now=NOW, jti="j" * 256, access_token=TOKEN, nonce="n")
    found = verify(proof, access_token=TOKEN)
    ath = encode(hashlib.sha256(TOKEN.encode()).digest())
    assert found == DpopProof(jkt=key.key.thumbprint(), jti="j" * 256, iat=NOW, nonce="n", alg=alg, ath=ath)
    assert is_thumbprint(found.jkt)
    with pytest.raises(InvalidProof):
        verify(proof, access_token=TOKEN + "x")


def test_a_stored_key_and_the_largest_rsa_key_build_proofs_too() -> None:
    large = RSAKey.generate_key(4096)
    for key in (parse_signing_key(KEY.private_jwk()), SigningKey("x", "PS256", large)):
        proof = build_proof(key, method="POST", url=URL, now=NOW, jti="once")
        assert verify(proof).jkt == key.key.thumbprint()


def test_what_we_build_never_holds_the_private_key() -> None:
    for key in KEYS.values():
        head = build_proof(key, method="POST", url=URL, now=NOW, jti="once").split(".")[0]
        header = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        assert header.keys() == {"alg", "typ", "jwk"}
        assert header["jwk"].keys() <= {"kty", "crv", "x", "y", "e", "n"}


def test_a_proof_is_no_access_token_at_08() -> None:
    with pytest.raises(InvalidToken):
        read_kid(build_proof(KEY, method="POST", url=URL, now=NOW, jti="once"))


def test_the_thumbprint_is_that_of_the_rfcs_own_example() -> None:
    # RFC 9449 §4.1 and §6.1: the key of the example proof, and what a token is bound to by it.
    proof = (
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rs"
        "cEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2"
        "In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2"
        "VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37"
        "xRZT3Lg"
    )
    found = verify_proof([proof], method="POST", url="https://server.example.com/token", now=1562262616)
    assert found.jkt == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    assert found.jti == "-BwC3ESc6acc2lTc"


def test_a_jti_is_remembered_longer_than_its_proof_holds_dpop_09_t35() -> None:
    proof = verify(with_claims(iat=NOW + 10))
    assert proof.replay_until >= NOW + 10 + 60 + 60


# Nonces, which are stored nowhere.


def test_a_nonce_holds_for_its_five_minutes_and_the_next_dpop_05_dpop_10() -> None:
    start = NOW - NOW % NONCE_SECONDS
    nonce = build_nonce(NONCE_KEY, start)
    assert build_nonce(NONCE_KEY, start + NONCE_SECONDS - 1) == nonce
    times = [start - 1, start, start + 2 * NONCE_SECONDS - 1, start + 2 * NONCE_SECONDS]
    assert [is_current_nonce(NONCE_KEY, nonce, now) for now in times] == [False, True, True, False]


@pytest.mark.parametrize("nonce", [None, "", "x", "\u00e9", "\ud800", "A" * 22, "A" * 10_000])
def test_what_we_never_gave_out_is_no_nonce_dpop_10(nonce: str | None) -> None:
    assert not is_current_nonce(NONCE_KEY, nonce, NOW)


def test_a_nonce_is_that_of_its_key_alone_dpop_05() -> None:
    assert not is_current_nonce(b"another key", build_nonce(NONCE_KEY, NOW), NOW)
    assert len(build_nonce(NONCE_KEY, NOW)) == 22


@pytest.mark.parametrize("value", [None, 7, "", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "\n", ["A" * 43]])
def test_what_is_no_thumbprint(value: Any) -> None:
    assert not is_thumbprint(value)
    assert is_thumbprint("A" * 43)
