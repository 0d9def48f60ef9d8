"""JWTVerifier: a token of this issuer, for this resource, now; or nothing."""

from collections.abc import Mapping
from typing import Any

import pytest

from doorward.oauth.jwt import InvalidToken, VerificationKey
from doorward.resource import JWTVerifier, Principal, VerifierUnavailable
from tests.resource.world import Clock, Keys
from tests.unit.hostile_jwts import CLAIMS, HOSTILE, ISSUER, KEY, NOW, RESOURCE, sign, with_claims


def make(**options: Any) -> JWTVerifier:
    settings = {"issuer": ISSUER, "resource": RESOURCE, "keys": Keys(KEY), "clock": Clock(NOW), **options}
    return JWTVerifier(**settings)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_is_invalid_and_never_anything_else_t33(name: str) -> None:
    with pytest.raises(InvalidToken):
        await make().verify(HOSTILE[name])


async def test_a_good_token_speaks_for_a_principal() -> None:
    principal = await make().verify(sign())
    assert principal == Principal(
        subject="user-1",
        client_id="client-1",
        issuer=ISSUER,
        scopes=("tools:read",),
        audience=RESOURCE,
        expires_at=NOW + 900,
        claims=CLAIMS,
    )
    assert principal.identity == (ISSUER, "user-1", "client-1")
    assert principal.has_scopes(["tools:read"])
    assert principal.has_scopes([])
    assert not principal.has_scopes(["tools:read", "tools:write"])


async def test_who_acts_and_who_acted_before_make_nobody_else_of_the_caller_tx_08() -> None:
    before = {"sub": "admin", "iss": ISSUER, "client_id": "root", "scope": "tools:write"}
    plain, acted = await make().verify(sign()), await make().verify(with_claims(act={"sub": "gateway", "act": before}))
    assert (acted.identity, acted.scopes, acted.audience) == (plain.identity, plain.scopes, plain.audience)
    assert acted.claims["act"]["sub"] == "gateway"


async def test_claims_are_neither_shown_nor_changed() -> None:
    principal = await make().verify(with_claims(email="alice@example.com"))
    assert "alice@example.com" not in repr(principal)
    assert hash(principal)
    with pytest.raises(TypeError):
        principal.claims["sub"] = "admin"  # type: ignore[index]  # that it is refused at run time is the point


@pytest.mark.parametrize("aud", ["https://api.test/mcp/", "HTTPS://API.TEST/mcp", "https://api.test:443/mcp"])
async def test_other_spellings_of_the_resource_are_its_audience_res_09_11(aud: str) -> None:
    assert (await make().verify(with_claims(aud=aud))).audience == RESOURCE


@pytest.mark.parametrize("cnf", [{"jkt": "abc"}, {"x5t#S256": "abc"}, {"jwk": {}}, {}, [], ""])
async def test_a_token_bound_to_a_key_is_no_bearer_token_rs_13(cnf: Any) -> None:
    with pytest.raises(InvalidToken):
        await make().verify(with_claims(cnf=cnf))


@pytest.mark.parametrize("scope", ['a"b', "a\nb", "x" * 200, " ".join(str(number) for number in range(101))])
async def test_scopes_that_cannot_be_are_refused_and_not_dropped(scope: str) -> None:
    with pytest.raises(InvalidToken):
        await make().verify(with_claims(scope=scope))


async def test_a_token_without_scope_has_none() -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "scope"}
    assert (await make().verify(sign(claims=claims))).scopes == ()


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": ""},
        {"issuer": "auth.test"},
        {"issuer": "https://auth.test/?x=1"},
        {"issuer": "https://auth.test/#x"},
        {"resource": ""},
        {"resource": "mcp"},
        {"resource": "https://api.test/mcp?x=1"},
        {"resource": 'https://api.test/"'},
        {"leeway": 61},
        {"leeway": -1},
    ],
)
def test_it_cannot_be_made_without_issuer_and_resource_t9(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)


class Revoked:
    def __init__(self, *jtis: str) -> None:
        self.jtis = jtis
        self.asked: list[Mapping[str, Any]] = []

    async def is_revoked(self, claims: Mapping[str, Any]) -> bool:
        self.asked.append(claims)
        return claims["jti"] in self.jtis


async def test_a_withdrawn_token_is_invalid() -> None:
    revocations = Revoked("token-1")
    with pytest.raises(InvalidToken):
        await make(revocations=revocations).verify(sign())
    assert (await make(revocations=revocations).verify(with_claims(jti="token-2"))).subject == "user-1"


async def test_revocation_is_asked_about_verified_claims_alone() -> None:
    revocations = Revoked()
    for name in ("signature of zeros", "aud None", "exp 0"):
        with pytest.raises(InvalidToken):
            await make(revocations=revocations).verify(HOSTILE[name])
    assert revocations.asked == []


class NoKeys:
    async def find(self, kid: str) -> VerificationKey | None:
        raise VerifierUnavailable("down", retry_after=9)


async def test_an_outage_of_the_key_source_is_an_outage() -> None:
    with pytest.raises(VerifierUnavailable) as caught:
        await make(keys=NoKeys()).verify(sign())
    assert caught.value.retry_after == 9
    with pytest.raises(InvalidToken):
        await make(keys=NoKeys()).verify("not.a.token")
