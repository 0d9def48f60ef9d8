"""What JWTVerifier remembers of good tokens: one signature each, and nothing that can change (RS-02, RS-05, RS-13)."""

from collections.abc import Mapping
from typing import Any

import pytest

from doorward.oauth.jwt import (
    InvalidToken,
    VerificationKey,
    VerifiedClaims,
    generate_signing_key,
    parse_jwks,
    verify_access_token,
)
from doorward.resource import JWKSKeys, JWTVerifier, VerifierUnavailable
from doorward.resource.verified_tokens import MAX_TOKEN_CHARACTERS, MAX_TOKENS, VerifiedToken, VerifiedTokens
from tests.resource.possession import Holder
from tests.resource.world import RESOURCE, Clock, Echo, Mint, browse, run_issuer
from tests.unit.hostile_jwts import HOSTILE, ISSUER, KEY, NOW, sign, with_claims

GOOD = sign()


class Keyring:
    """A `KeySource` whose keys come and go."""

    def __init__(self, *jwks: dict[str, Any]) -> None:
        self.publish(*jwks)

    def publish(self, *jwks: dict[str, Any]) -> None:
        self._keys = parse_jwks({"keys": list(jwks)})

    async def find(self, kid: str) -> VerificationKey | None:
        return self._keys.get(kid)


class Word:
    """A `RevocationSource` that says what it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.revoked = self.key_revoked = self.is_down = False

    async def is_revoked(self, claims: Mapping[str, Any]) -> bool:
        self.asked += 1
        if self.is_down:
            raise VerifierUnavailable("down")
        return self.revoked

    async def is_key_revoked(self, kid: str) -> bool:
        return self.key_revoked


@pytest.fixture
def reckoned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were reckoned, one entry for each time."""
    seen: list[str] = []

    def noted(token: str, *arguments: Any, **options: Any) -> VerifiedClaims:
        seen.append(token)
        return verify_access_token(token, *arguments, **options)

    monkeypatch.setattr("doorward.resource.verifier.verify_access_token", noted)
    return seen


def make(**options: Any) -> JWTVerifier:
    standard = {"issuer": ISSUER, "resource": RESOURCE, "keys": Keyring(KEY.public_jwk()), "clock": Clock(NOW)}
    return JWTVerifier(**{**standard, **options})


async def refuses(made: JWTVerifier, token: str = GOOD) -> bool:
    try:
        await made.verify(token)
    except InvalidToken:
        return True
    return False


async def test_a_signature_is_reckoned_once_for_each_token(reckoned: list[str]) -> None:
    made, other = make(), with_claims(jti="token-2", sub="bob")
    first = await made.verify(GOOD)
    for _ in range(3):
        assert await made.verify(GOOD) == first
        assert (await made.verify(other)).subject == "bob"
    assert reckoned == [GOOD, other]


async def test_a_token_that_was_good_expires_as_any_other(reckoned: list[str]) -> None:
    clock = Clock(NOW)
    made = make(clock=clock)
    await made.verify(GOOD)
    for now, refused in ((NOW + 929, False), (NOW + 930, True), (NOW - 30, False), (NOW - 31, True), (NOW, False)):
        clock.now = now
        assert await refuses(made) is refused
    assert reckoned == [GOOD]


async def test_a_token_that_was_good_is_too_early_when_the_clock_is_put_back() -> None:
    clock, early = Clock(NOW + 100), with_claims(nbf=NOW + 100)
    made = make(clock=clock)
    await made.verify(early)
    clock.now = NOW
    assert await refuses(made, early)


async def test_a_key_that_is_gone_takes_its_tokens_along_and_brings_them_back_rs_05(reckoned: list[str]) -> None:
    keys = Keyring(KEY.public_jwk())
    made = make(keys=keys)
    await made.verify(GOOD)
    keys.publish(generate_signing_key().public_jwk())
    assert await refuses(made)
    keys.publish(KEY.public_jwk())
    assert not await refuses(made)
    assert reckoned == [GOOD, GOOD]


async def test_another_key_of_the_same_name_does_not_vouch_for_what_the_first_one_signed_rs_05() -> None:
    keys = Keyring(KEY.public_jwk())
    made = make(keys=keys)
    await made.verify(GOOD)
    keys.publish(generate_signing_key().public_jwk() | {"kid": KEY.kid})
    assert await refuses(made)
    keys.publish(generate_signing_key("RS256").public_jwk() | {"kid": KEY.kid})
    assert await refuses(made)


async def test_a_key_that_its_issuer_withdraws_ends_its_tokens_at_the_next_reading_rs_05() -> None:
    async with run_issuer() as issuer:
        clock, token = Clock(), issuer.mint.token()
        made = JWTVerifier(issuer=issuer.url, resource=RESOURCE, keys=JWKSKeys(issuer.url, clock=clock))
        await made.verify(token)
        issuer.published = [generate_signing_key()]
        clock.now += 299
        assert not await refuses(made, token)
        clock.now += 1
        assert await refuses(made, token)


async def test_revocation_is_asked_about_each_time() -> None:
    word = Word()
    made = make(revocations=word)
    for number in range(1, 4):
        await made.verify(GOOD)
        assert word.asked == number
    word.revoked = True
    assert await refuses(made)
    word.revoked, word.key_revoked = False, True
    assert await refuses(made)
    word.key_revoked, word.is_down = False, True
    with pytest.raises(VerifierUnavailable):
        await made.verify(GOOD)
    word.is_down = False
    assert not await refuses(made)


async def test_keys_that_cannot_be_asked_for_are_an_outage_for_known_tokens_too() -> None:
    class Failing(Keyring):
        is_down = False

        async def find(self, kid: str) -> VerificationKey | None:
            if self.is_down:
                raise VerifierUnavailable("down")
            return await super().find(kid)

    keys = Failing(KEY.public_jwk())
    made = make(keys=keys)
    await made.verify(GOOD)
    keys.is_down = True
    with pytest.raises(VerifierUnavailable):
        await made.verify(GOOD)


async def test_how_a_bound_token_is_presented_is_judged_each_time_rs_13_dpop_07() -> None:
    mint, app = Mint(), Echo()
    holder, thief = Holder(mint), Holder(mint)
    thief.token = holder.token
    async with browse(mint.protect(app)) as client:
        for _ in range(2):
            assert (await client.get("/mcp", headers=holder.headers())).status_code == 200
            bearer = {"Authorization": f"Bearer {holder.token}"}
            assert (await client.get("/mcp", headers=bearer)).status_code == 401
            assert (await client.get("/mcp", headers=thief.headers())).status_code == 401
            foreign = holder.headers(access_token=mint.token())
            assert (await client.get("/mcp", headers=foreign)).status_code == 401
        bearer = mint.header()
        assert (await client.get("/mcp", headers=bearer)).status_code == 200
        proved = {"Authorization": bearer["Authorization"].replace("Bearer", "DPoP")}
        made = holder.proof(access_token=proved["Authorization"].partition(" ")[2])
        assert (await client.get("/mcp", headers=proved | {"DPoP": made})).status_code == 401
    assert app.calls == 3


async def test_a_token_that_is_refused_is_not_remembered(reckoned: list[str]) -> None:
    word = Word()
    word.revoked = True
    made = make(revocations=word)
    bound, forged = with_claims(cnf={"jkt": "abc"}), HOSTILE["signature of zeros"]
    for token in (bound, forged, GOOD):
        for _ in range(2):
            assert await refuses(made, token)
    assert reckoned == [bound, bound, forged, forged, GOOD, GOOD]


@pytest.mark.parametrize(
    "changed", [GOOD[:-1], GOOD + "A", GOOD.replace(".", "..", 1), GOOD + "=", f" {GOOD}", "é\ud800"]
)
async def test_what_is_not_that_very_token_is_another_one(changed: str) -> None:
    made = make()
    await made.verify(GOOD)
    assert await refuses(made, changed)


async def test_what_an_app_does_to_the_claims_of_one_request_is_not_seen_in_the_next() -> None:
    made, token = make(), with_claims(act={"sub": "gateway", "roles": ["reader"]}, aud=[RESOURCE])
    for _ in range(3):
        claims = (await made.verify(token)).claims
        assert claims["act"] == {"sub": "gateway", "roles": ["reader"]}
        claims["act"]["sub"] = "admin"
        claims["act"]["roles"].append("admin")
        claims["aud"].clear()


def test_ten_thousand_tokens_are_kept_and_eight_million_characters_of_them() -> None:
    assert (MAX_TOKENS, MAX_TOKEN_CHARACTERS) == (10_000, 8_388_608)


def kept(tokens: VerifiedTokens, *names: str) -> list[str]:
    return [name for name in names if tokens.find(name) is not None]


def entry() -> VerifiedToken:
    return VerifiedToken(VerificationKey(KEY.kid, KEY.alg, KEY.key), VerifiedClaims({}), None)


def test_what_was_not_used_for_longest_makes_room() -> None:
    tokens = VerifiedTokens(limit=3)
    for name in ("a", "b", "c"):
        tokens.keep(name, entry())
    assert tokens.find("a")
    tokens.keep("d", entry())
    assert (kept(tokens, "a", "b", "c", "d"), len(tokens)) == (["a", "c", "d"], 3)


def test_long_tokens_take_the_room_of_many() -> None:
    tokens = VerifiedTokens(limit_of_characters=100)
    for name in ("a" * 40, "b" * 40, "c" * 10):
        tokens.keep(name, entry())
        tokens.keep(name, entry())
    assert len(tokens) == 3
    tokens.keep("d" * 60, entry())
    assert kept(tokens, "a" * 40, "b" * 40, "c" * 10, "d" * 60) == ["c" * 10, "d" * 60]
    tokens.keep("e" * 101, entry())
    assert len(tokens) == 0
