"""ID-JAG: what an enterprise's identity provider must have said before a client gets a token for a person
(JAG-01 … JAG-17, C8, C9, AT-08; complaint 33).

Spec: JAG-01, JAG-02, JAG-03, JAG-04, JAG-05, JAG-06, JAG-07, JAG-08, JAG-09, JAG-12, JAG-14, JAG-15, JAG-16, JAG-17
"""

from pathlib import Path
from typing import Any

import pytest

from doorward.core.trust import TrustPolicy
from doorward.manage import trust
from doorward.oauth.dpop import build_proof
from doorward.oauth.jwt import generate_signing_key
from doorward.server.jobs import sweep
from tests.inside import ISSUER, RESOURCE, Door, open_door
from tests.server.issuers import (
    ABSENT,
    IDP,
    JWT_BEARER,
    Agent,
    Issuer,
    ada,
    agent,
    present,
    reasons,
    trust_idp,
)
from tests.server.steps import (
    TOKEN,
    add_neighbour,
    claims_of,
    confidential,
    introspect,
    plain_description,
    project_key,
    refusal,
    success,
)

REFUSED = (400, "invalid_grant")
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
AGAIN = "used before"


@pytest.fixture
def idp() -> Issuer:
    return Issuer(IDP)


@pytest.fixture
async def caller(door: Door, idp: Issuer) -> Agent:
    """A client of a project that trusts the identity provider."""
    await trust_idp(door, idp)
    return await agent(door)


async def metadata(door: Door, prefix: str = "") -> dict[str, Any]:
    return (await door.call("GET", f"{prefix}/.well-known/oauth-authorization-server")).json()


async def test_an_assertion_gives_a_token_for_its_person_server_and_scopes_and_no_refresh_token_jag_10_12(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    answer = success(await present(door, idp.id_jag(door, caller.client_id), caller))
    assert answer == {
        "access_token": answer["access_token"],
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "tools:read",
        "resource": RESOURCE,
    }
    now = door.clock() // 1000
    claims = claims_of(answer["access_token"])
    assert claims == {
        "iss": ISSUER,
        "sub": (await ada(door)).user_id,
        "aud": RESOURCE,
        "client_id": caller.client_id,
        "scope": "tools:read",
        "jti": claims["jti"],
        "iat": now,
        "exp": now + 900,
        "grant_id": claims["grant_id"],
        "came_through": [{"client_id": (await trust.get(door.operator, door.project, IDP)).trust_id, "aud": RESOURCE}],
    }
    told = await introspect(door, answer["access_token"], await project_key(door, "introspect"))
    assert (told["active"], told["client_id"], told["sub"]) == (True, caller.client_id, claims["sub"])


async def test_a_refresh_token_is_not_given_even_when_it_is_asked_for_jag_12(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    assertion = idp.id_jag(door, caller.client_id, scope="tools:read offline_access")
    answer = success(await present(door, assertion, caller, scope="tools:read offline_access"))
    assert "refresh_token" not in answer
    assert answer["scope"] == "tools:read"
    only = idp.id_jag(door, caller.client_id)
    assert success(await present(door, only, caller, scope="offline_access"))["scope"] == "tools:read"


async def test_the_grant_is_offered_with_its_profile_once_an_issuer_is_trusted_and_by_whom_is_not_told_jag_01(
    door: Door, idp: Issuer
) -> None:
    before = await metadata(door)
    assert JWT_BEARER not in before["grant_types_supported"]
    assert "authorization_grant_profiles_supported" not in before
    client = await confidential(door, grant_types=["authorization_code", JWT_BEARER])
    assert client["grant_types"] == ["authorization_code"]
    caller = Agent(client["client_id"], client["client_secret"])
    answer = await present(door, idp.id_jag(door, caller.client_id), caller)
    assert refusal(answer) == (400, "unsupported_grant_type")

    added = await trust_idp(door, idp)
    after = await metadata(door)
    assert after["grant_types_supported"] == [*before["grant_types_supported"], JWT_BEARER]
    assert after["authorization_grant_profiles_supported"] == [PROFILE]
    for path in ("oauth-authorization-server", "openid-configuration", "jwks.json", "oauth-protected-resource"):
        document = (await door.call("GET", f"/.well-known/{path}")).body.decode()
        assert IDP not in document
        assert added.trust_id not in document

    await trust.remove(door.operator, added)
    door.clock.advance(seconds=1)
    assert await metadata(door) == before


async def test_trust_is_a_projects_own_jag_06(door: Door, idp: Issuer, caller: Agent) -> None:
    neighbour = await add_neighbour(door)
    assert JWT_BEARER not in (await metadata(door, "/p/acme"))["grant_types_supported"]
    stranger = Issuer("https://other.idp.example")
    added = await trust.add(door.operator, neighbour, stranger.url, "id-jag", policy=TrustPolicy(), jwks=stranger.jwks)
    door.clock.advance(seconds=1)
    assert added.project_id == neighbour.project_id
    assert refusal(await present(door, stranger.id_jag(door, caller.client_id), caller)) == REFUSED
    assert await reasons(door) == []


async def test_the_parameters_are_one_assertion_and_nothing_else_is_needed_jag_02(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    form = {"grant_type": JWT_BEARER}
    assert refusal(await door.post_form(TOKEN, form, caller.headers)) == (400, "invalid_request")
    twice = [*form.items(), ("assertion", idp.id_jag(door, caller.client_id)), ("assertion", "x")]
    assert refusal(await door.post_form(TOKEN, twice, caller.headers)) == (400, "invalid_request")
    two = f"{idp.id_jag(door, caller.client_id)} {idp.id_jag(door, caller.client_id)}"
    assert refusal(await present(door, two, caller)) == REFUSED
    success(await present(door, idp.id_jag(door, caller.client_id), caller))


async def test_the_client_has_to_authenticate_and_what_failed_spent_nothing_jag_02_cau_01_t25(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    assertion = idp.id_jag(door, caller.client_id)
    assert refusal(await present(door, assertion)) == (401, "invalid_client")
    assert refusal(await present(door, assertion, client_id=caller.client_id)) == (401, "invalid_client")
    assert refusal(await present(door, assertion, Agent(caller.client_id, "wrong"))) == (401, "invalid_client")
    assert await reasons(door) == []
    success(await present(door, assertion, caller))


async def test_a_client_that_is_not_registered_for_the_grant_is_told_so_jag_17(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    other = await confidential(door)
    stranger = Agent(other["client_id"], other["client_secret"])
    answer = await present(door, idp.id_jag(door, stranger.client_id), stranger)
    assert refusal(answer) == (400, "unauthorized_client")
    assert caller.client_id != stranger.client_id


async def test_a_public_client_is_refused_unless_the_trust_lets_it_jag_03(door: Door, idp: Issuer) -> None:
    first = await trust_idp(door, idp)
    members = {"token_endpoint_auth_method": "none", "grant_types": ["authorization_code", JWT_BEARER]}
    client_id = (await door.register(**members))["client_id"]
    assertion = idp.id_jag(door, client_id)
    assert refusal(await present(door, assertion, client_id=client_id)) == (400, "unauthorized_client")
    assert (await reasons(door))[-1].startswith("unauthorized_client")
    await trust.remove(door.operator, first)
    await trust_idp(door, idp, public_clients=True)
    answer = success(await present(door, assertion, client_id=client_id))
    assert claims_of(answer["access_token"])["client_id"] == client_id


@pytest.mark.parametrize("typ", ["oauth-id-jag+jwt", "OAuth-ID-JAG+JWT", "application/oauth-id-jag+jwt"])
async def test_the_type_is_taken_in_every_spelling_of_it(door: Door, idp: Issuer, caller: Agent, typ: str) -> None:
    success(await present(door, idp.id_jag(door, caller.client_id, {"typ": typ}), caller))


async def test_another_type_or_none_is_refused_jag_04(door: Door, idp: Issuer, caller: Agent) -> None:
    others = ["at+jwt", "JWT", "dpop+jwt", "client-authentication+jwt", "id_token", "oauth-id-jag", "", ABSENT]
    for typ in others:
        answer = await present(door, idp.id_jag(door, caller.client_id, {"typ": typ}), caller)
        assert refusal(answer) == REFUSED, typ
        door.clock.advance(seconds=3)
    assert await reasons(door) == []


WRONG: list[tuple[dict[str, Any], str]] = [
    *(({name: ABSENT}, "") for name in ("sub", "aud", "client_id", "jti", "exp", "iat")),
    *(({name: None}, "") for name in ("sub", "aud", "client_id", "jti", "exp", "iat")),
    *(({name: ["x"]}, "") for name in ("sub", "client_id", "jti", "exp", "iat")),
    ({"aud": f"{ISSUER}{TOKEN}"}, "aud"),
    ({"aud": [ISSUER, f"{ISSUER}{TOKEN}"]}, "aud"),
    ({"aud": [ISSUER, ISSUER]}, "aud"),
    ({"aud": [[ISSUER]]}, "aud"),
    ({"aud": []}, "aud"),
    ({"aud": f"{ISSUER}/"}, "aud"),
    ({"aud": ISSUER.upper()}, "aud"),
    ({"aud": RESOURCE}, "aud"),
    ({"aud": {"a": ISSUER}}, "aud"),
    ({"aud": "https://other.example"}, "aud"),
    ({"client_id": "mcl_other"}, "client_id"),
    ({"client_id": ""}, "client_id"),
    ({"jti": ""}, "jti"),
    ({"jti": "x" * 257}, "jti"),
    ({"sub": ""}, "sub"),
    ({"sub": "x" * 513}, "sub"),
    ({"sub": "a\nb"}, "sub"),
    ({"sub": 7}, "sub"),
    ({"authorization_details": [{"type": "chat_read"}]}, "authorization_details"),
    ({"cnf": {}}, "cnf"),
    ({"cnf": None}, "cnf"),
    ({"cnf": {"jkt": "short"}}, "cnf"),
    ({"cnf": {"jkt": 7}}, "cnf"),
    ({"cnf": {"x5t#S256": "A" * 43}}, "cnf"),
    ({"cnf": {"jkt": "A" * 43, "x5t#S256": "A" * 43}}, "cnf"),
    ({"resource": ""}, "resource"),
    ({"resource": []}, "resource"),
    ({"resource": [7]}, "resource"),
    ({"resource": {"a": 1}}, "resource"),
    ({"resource": [f"https://{n}.example" for n in range(11)]}, "resource"),
    ({"scope": ["tools:read"]}, "scope"),
    ({"scope": 'tools:"read"'}, "scope"),
    ({"tenant": ""}, "tenant"),
    ({"tenant": 7}, "tenant"),
    ({"email": "a\x00b@example.com"}, "email"),
]
TIMES: list[tuple[dict[str, Any], str]] = [
    ({"exp": 0}, "exp"),
    ({"exp": -1}, "exp"),
    ({"exp": "soon"}, "exp"),
    ({"exp": True}, "exp"),
    ({"exp": 1e300}, "exp"),
    ({"exp": 901}, "too long"),
    ({"iat": -600, "exp": 301}, "too long"),
    ({"iat": 11}, "iat"),
    ({"iat": "now"}, "iat"),
    ({"nbf": 11}, "nbf"),
    ({"nbf": "now"}, "nbf"),
]


async def test_an_assertion_that_is_not_quite_right_is_refused_and_the_operator_is_told_why_jag_05_jag_07_jag_08(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    for claims, reason in WRONG:
        answer = await present(door, idp.id_jag(door, caller.client_id, **claims), caller)
        assert refusal(answer) == REFUSED, claims
        assert (await reasons(door))[-1].startswith(reason or next(iter(claims))), claims
        door.clock.advance(seconds=3)
    success(await present(door, idp.id_jag(door, caller.client_id), caller))


async def test_an_assertion_is_short_lived_and_of_now_jag_09(door: Door, idp: Issuer, caller: Agent) -> None:
    for offsets, reason in TIMES:
        now = door.clock() // 1000
        claims = {name: now + value if type(value) is int else value for name, value in offsets.items()}
        answer = await present(door, idp.id_jag(door, caller.client_id, **claims), caller)
        assert refusal(answer) == REFUSED, offsets
        assert reason in (await reasons(door))[-1], offsets
        door.clock.advance(seconds=3)
    good: list[dict[str, Any]] = [{"exp": 1}, {"exp": 900}, {"iat": 10}, {"iat": -600, "exp": 300}, {"nbf": 10}]
    for offsets in good:
        now = door.clock() // 1000
        claims = {name: now + value for name, value in offsets.items()}
        success(await present(door, idp.id_jag(door, caller.client_id, **claims), caller))


async def test_the_audience_may_be_a_list_of_one_and_the_issuer_may_add_what_it_likes_jag_07(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    more: list[dict[str, Any]] = [
        {"aud": [ISSUER]},
        {"act": {"sub": "agent-7"}},
        {"acr": "phr", "amr": ["mfa"]},
        {"sub_id": {"format": "saml-nameid"}},
        {"authorization_details": []},
        {"extra": {"a": [1]}},
        {"email_verified": True},
    ]
    for claims in more:
        answer = success(await present(door, idp.id_jag(door, caller.client_id, **claims), caller))
        assert claims_of(answer["access_token"]).keys() <= {
            *("iss", "sub", "aud", "client_id", "scope", "jti", "iat", "exp", "grant_id", "came_through")
        }


async def test_when_the_person_signed_in_there_is_in_the_token(door: Door, idp: Issuer, caller: Agent) -> None:
    signed_in = door.clock() // 1000 - 3600
    answer = success(await present(door, idp.id_jag(door, caller.client_id, auth_time=signed_in), caller))
    assert claims_of(answer["access_token"])["auth_time"] == signed_in
    for implausible in (signed_in + 7200, "then", True, -1):
        answer = success(await present(door, idp.id_jag(door, caller.client_id, auth_time=implausible), caller))
        assert "auth_time" not in claims_of(answer["access_token"])


async def test_an_issuer_that_is_not_trusted_or_not_for_people_is_refused_jag_06(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    for url in ("https://evil.idp.example", f"{IDP}/", IDP.upper(), f"{IDP}.evil.example", ""):
        assert refusal(await present(door, Issuer(url, idp.key).id_jag(door, caller.client_id), caller)) == REFUSED
        door.clock.advance(seconds=3)
    impostor = Issuer(IDP)
    assert refusal(await present(door, impostor.id_jag(door, caller.client_id), caller)) == REFUSED
    named = impostor.id_jag(door, caller.client_id, {"kid": idp.key.kid})
    assert refusal(await present(door, named, caller)) == REFUSED
    embedded = impostor.id_jag(door, caller.client_id, {"jwk": impostor.key.public_jwk()})
    assert refusal(await present(door, embedded, caller)) == REFUSED
    assert await reasons(door) == []


async def test_this_server_is_nobodys_identity_provider_jag_15(door: Door, caller: Agent) -> None:
    itself = Issuer(ISSUER)
    await trust_idp(door, itself)
    assert refusal(await present(door, itself.id_jag(door, caller.client_id), caller)) == REFUSED
    neighbour = Issuer(f"{ISSUER}/p/acme")
    await trust_idp(door, neighbour)
    assert refusal(await present(door, neighbour.id_jag(door, caller.client_id), caller)) == REFUSED
    assert await reasons(door) == []


async def test_keys_of_every_accepted_algorithm_count_and_a_thumbprint_in_the_header_does_not_matter_jag_06(
    door: Door,
) -> None:
    for number, alg in enumerate(("ES256", "EdDSA", "PS256", "RS256")):
        idp = Issuer(f"{IDP}/{number}", generate_signing_key(alg))
        await trust_idp(door, idp, subject_by="email")
        caller = await agent(door)
        assertion = idp.id_jag(door, caller.client_id, {"x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE"})
        answer = await present(door, assertion, caller)
        assert answer.status == 200, (alg, answer.body, await reasons(door))
        without_kid = idp.id_jag(door, caller.client_id, {"kid": ABSENT})
        success(await present(door, without_kid, caller))


async def test_an_assertion_works_once_c8_jag_16(door: Door, idp: Issuer, caller: Agent) -> None:
    assertion = idp.id_jag(door, caller.client_id)
    success(await present(door, assertion, caller))
    for _ in range(3):
        assert refusal(await present(door, assertion, caller)) == REFUSED
    assert [AGAIN in reason for reason in await reasons(door)] == [True] * 3
    again = idp.id_jag(door, caller.client_id, jti="mine")
    success(await present(door, again, caller))
    door.clock.advance(seconds=100)
    assert refusal(await present(door, idp.id_jag(door, caller.client_id, jti="mine"), caller)) == REFUSED


async def test_an_id_is_spent_for_its_issuer_alone_and_as_long_as_its_assertion_lives(door: Door, idp: Issuer) -> None:
    other = Issuer("https://other.idp.example")
    await trust_idp(door, idp)
    await trust_idp(door, other)
    caller = await agent(door)
    success(await present(door, idp.id_jag(door, caller.client_id, jti="one"), caller))
    success(await present(door, other.id_jag(door, caller.client_id, jti="one"), caller))
    for _ in range(3):
        door.clock.advance(seconds=119)
        await sweep(door.context)
        assert refusal(await present(door, idp.id_jag(door, caller.client_id, jti="one"), caller)) == REFUSED
    door.clock.advance(seconds=4)
    await sweep(door.context)
    success(await present(door, idp.id_jag(door, caller.client_id, jti="one"), caller))


async def test_a_trust_may_let_an_assertion_be_used_until_it_expires_c8_jag_16(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp, reusable=True)
    caller = await agent(door)
    assertion = idp.id_jag(door, caller.client_id)
    tokens = [success(await present(door, assertion, caller))["access_token"] for _ in range(3)]
    assert len({claims_of(token)["jti"] for token in tokens}) == 3
    door.clock.advance(seconds=300)
    assert refusal(await present(door, assertion, caller)) == REFUSED


async def test_what_was_spent_before_a_restart_is_spent_after_it_t32(tmp_path: Path) -> None:
    idp = Issuer(IDP)
    async with open_door(tmp_path / "data") as first:
        await trust_idp(first, idp)
        caller = await agent(first)
        spent, fresh = idp.id_jag(first, caller.client_id), idp.id_jag(first, caller.client_id)
        success(await present(first, spent, caller))
        clock = first.clock
    async with open_door(tmp_path / "data", clock) as second:
        assert refusal(await present(second, spent, caller)) == REFUSED
        success(await present(second, fresh, caller))


async def test_an_assertion_that_was_refused_was_not_spent(door: Door, idp: Issuer, caller: Agent) -> None:
    assertion = idp.id_jag(door, caller.client_id, jti="kept")
    answer = await present(door, assertion, caller, resource="https://other.example/mcp")
    assert refusal(answer) == (400, "invalid_target")
    assert refusal(await present(door, assertion, caller, scope="nonsense")) == (400, "invalid_scope")
    success(await present(door, assertion, caller))


async def test_a_loop_of_refusals_is_answered_and_does_not_fill_the_audit_trail_i13(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    assertion = idp.id_jag(door, caller.client_id)
    success(await present(door, assertion, caller))
    answers = [await present(door, assertion, caller) for _ in range(40)]
    assert {refusal(answer) for answer in answers} == {REFUSED}
    assert len(await reasons(door)) == 20


async def test_what_nobody_trusted_signed_is_slowed_down_and_audits_nothing(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    impostor = Issuer(IDP)
    answers = [await present(door, impostor.id_jag(door, caller.client_id), caller) for _ in range(21)]
    assert [answer.status for answer in answers] == [400] * 20 + [429]
    assert await reasons(door) == []
    assert (await present(door, idp.id_jag(door, caller.client_id), caller)).status == 429
    door.clock.advance(seconds=60)
    success(await present(door, idp.id_jag(door, caller.client_id), caller))


async def test_an_assertion_bound_to_a_key_needs_a_proof_of_that_key_jag_14(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    key, other = generate_signing_key(), generate_signing_key()
    jkt = str(key.key.thumbprint())

    def proof(of: Any, number: int) -> dict[str, str]:
        made = build_proof(of, method="POST", url=f"{ISSUER}{TOKEN}", now=door.clock() // 1000, jti=f"proof-{number}")
        return {**caller.headers, "dpop": made}

    form = {"grant_type": JWT_BEARER, "assertion": idp.id_jag(door, caller.client_id, cnf={"jkt": jkt})}
    assert refusal(await door.post_form(TOKEN, form, caller.headers)) == REFUSED
    assert refusal(await door.post_form(TOKEN, form, proof(other, 1))) == REFUSED
    answer = success(await door.post_form(TOKEN, form, proof(key, 2)))
    assert (answer["token_type"], claims_of(answer["access_token"])["cnf"]) == ("DPoP", {"jkt": jkt})

    unbound = {**form, "assertion": idp.id_jag(door, caller.client_id)}
    answer = success(await door.post_form(TOKEN, unbound, proof(other, 3)))
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": str(other.key.thumbprint())}


async def test_no_reason_reaches_the_caller_and_no_assertion_the_trail_jag_17(
    door: Door, idp: Issuer, caller: Agent
) -> None:
    told = set()
    for claims in ({"aud": "https://other.example"}, {"sub": "nobody", "email": ABSENT}, {"exp": 1}):
        assertion = idp.id_jag(door, caller.client_id, **claims)
        answer = await present(door, assertion, caller)
        told.add(plain_description(answer))
        assert assertion not in str(await reasons(door))
    unknown = await present(door, Issuer("https://evil.example").id_jag(door, caller.client_id), caller)
    told.add(plain_description(unknown))
    assert len(told) == 1
    assert len(await reasons(door)) == 3
