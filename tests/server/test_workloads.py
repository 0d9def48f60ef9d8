"""Workload identity federation: a job of a platform gets a token by what the platform signed, with no secret anywhere
(WIF-01 … WIF-07, C7; complaint 29).

Spec: WIF-01, WIF-02, WIF-03, WIF-04, WIF-05, WIF-06, WIF-07, DPOP-03
"""

from pathlib import Path
from typing import Any

import pytest

from doorward.core.models import ResourceSettings, Scope
from doorward.core.trust import TrustPolicy
from doorward.manage import connections, resources, trust
from doorward.oauth.dpop import build_proof
from doorward.oauth.jwt import generate_signing_key
from doorward.server.jobs import sweep
from tests.inside import ISSUER, RESOURCE, Door, open_door
from tests.server.issuers import (
    ABSENT,
    JWT_BEARER,
    PLATFORM,
    REPOSITORY,
    Issuer,
    manual_agent,
    present,
    reasons,
    trust_idp,
    trust_platform,
)
from tests.server.steps import (
    INTROSPECT,
    REVOKE,
    TOKEN,
    add_neighbour,
    basic,
    claims_of,
    introspect,
    is_active,
    plain_description,
    project_key,
    refusal,
    success,
)

REFUSED = (400, "invalid_grant")
OTHER = "https://other.example.com/mcp"
SUBJECT = f"repo:{REPOSITORY}:ref:refs/heads/main"


@pytest.fixture
def platform() -> Issuer:
    return Issuer(PLATFORM)


async def ask(door: Door, platform: Issuer, resource: Any = RESOURCE, scope: Any = "", **claims: Any) -> Any:
    """The token of a job, or how it was refused."""
    given: dict[str, Any] = {name: value for name, value in (("resource", resource), ("scope", scope)) if value}
    answer = await present(door, platform.workload(door, **claims), **given)
    if answer.status != 200:
        door.clock.advance(seconds=3)
        return refusal(answer)
    return success(answer)["access_token"]


async def test_a_job_without_any_client_gets_a_token_for_the_server_it_names_wif_01(
    door: Door, platform: Issuer
) -> None:
    added = await trust_platform(door, platform)
    assertion = platform.workload(door)
    answer = success(await present(door, assertion, resource=RESOURCE))
    assert answer == {
        "access_token": answer["access_token"],
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "tools:read",
    }
    now = door.clock() // 1000
    claims = claims_of(answer["access_token"])
    assert claims == {
        "iss": ISSUER,
        "sub": f"workload:{added.trust_id}:{SUBJECT}",
        "aud": RESOURCE,
        "client_id": added.trust_id,
        "scope": "tools:read",
        "jti": claims["jti"],
        "iat": now,
        "exp": now + 900,
    }
    told = await introspect(door, answer["access_token"], await project_key(door, "introspect"))
    assert (told["active"], told["sub"], told["client_id"]) == (True, claims["sub"], added.trust_id)


async def test_the_grant_is_offered_and_its_profile_for_people_is_not(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    metadata = (await door.call("GET", "/.well-known/oauth-authorization-server")).json()
    assert JWT_BEARER in metadata["grant_types_supported"]
    assert "authorization_grant_profiles_supported" not in metadata
    assert PLATFORM not in str(metadata)


async def test_a_workload_is_nobody_that_a_person_or_a_client_could_be_wif_05(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    client = await manual_agent(door)
    people, keys = ("usr_", "mcl_", "mcx_", "https://"), set()
    for name in ("usr_ada", client.client_id, "https://client.example.com/metadata.json", "workload:tru_x:y"):
        claims = claims_of(await ask(door, platform, sub=name))
        assert claims["sub"].startswith("workload:tru_")
        assert claims["sub"].endswith(f":{name}")
        assert not claims["client_id"].startswith(people)
        keys.add(claims["client_id"])
    assert len(keys) == 1
    # Its client_id authenticates nobody.
    (trust_id,) = keys
    for fields in ({"client_id": trust_id}, {"client_id": trust_id, "client_secret": "x"}):
        assert refusal(await door.post_form(REVOKE, {"token": "x", **fields})) == (401, "invalid_client")
    assert refusal(await door.post_form(INTROSPECT, {"token": "x", "client_id": trust_id})) == (401, "invalid_client")


async def test_a_bare_client_id_is_passed_over_and_credentials_are_not_wif_01(door: Door, platform: Issuer) -> None:
    added = await trust_platform(door, platform)
    for client_id in ("conformance-wif-workload", "usr_ada", added.trust_id):
        answer = await present(door, platform.workload(door), resource=RESOURCE, client_id=client_id)
        assert claims_of(success(answer)["access_token"])["client_id"] == added.trust_id
    caller = await manual_agent(door)
    assertion = platform.workload(door)
    assert refusal(await present(door, assertion, caller, resource=RESOURCE)) == REFUSED
    form = {"grant_type": JWT_BEARER, "assertion": assertion, "resource": RESOURCE}
    wrong = basic(caller.client_id, "wrong")
    assert refusal(await door.post_form(TOKEN, form, wrong)) == (401, "invalid_client")
    assert refusal(await door.post_form(TOKEN, {**form, "client_secret": "x"})) == (401, "invalid_client")
    success(await door.post_form(TOKEN, form))


@pytest.mark.parametrize(
    "audience", [ISSUER, f"{ISSUER}{TOKEN}", [ISSUER], [f"{ISSUER}{TOKEN}"]], ids=["issuer", "token", "one", "list"]
)
async def test_the_audience_is_the_issuer_or_the_token_endpoint_wif_04(
    door: Door, platform: Issuer, audience: Any
) -> None:
    await trust_platform(door, platform)
    assert isinstance(await ask(door, platform, aud=audience), str)


async def test_no_other_audience_is_accepted_wif_04_c7(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    for audience in (
        f"{ISSUER}/",
        f"{ISSUER}{TOKEN}/",
        f"{ISSUER}/token",
        f"{ISSUER}/p/acme",
        [ISSUER, f"{ISSUER}{TOKEN}"],
        [ISSUER, ISSUER],
        [],
        RESOURCE,
        "https://github.com/acme",
        ISSUER.upper(),
        ABSENT,
        None,
        {"a": ISSUER},
    ):
        assert await ask(door, platform, aud=audience) == REFUSED, audience
        assert (await reasons(door))[-1] == "aud is not this server alone"


async def test_what_an_assertion_must_have_is_missed_wif_02(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    now = door.clock() // 1000
    wrong: list[tuple[dict[str, Any], str]] = [
        *(({name: ABSENT}, name) for name in ("sub", "exp", "iat", "jti")),
        *(({name: ["x"]}, name) for name in ("sub", "exp", "iat", "jti")),
        ({"exp": now}, "exp"),
        ({"exp": now + 7201 + 600, "iat": now + 600}, "iat"),
        ({"exp": now + 7300}, "too long"),
        ({"iat": now - 8000}, "too long"),
        ({"nbf": now + 600}, "nbf"),
        ({"sub": ""}, "sub"),
        ({"sub": "a\u0000b"}, "sub"),
        ({"sub": PLATFORM}, "sub is the issuer"),
        ({"jti": ""}, "jti"),
        ({"cnf": {"jwk": {}}}, "cnf"),
    ]
    for claims, reason in wrong:
        assert await ask(door, platform, **claims) == REFUSED, claims
        assert reason in (await reasons(door))[-1], claims
    assert await ask(door, platform, iss=ABSENT) == REFUSED
    now = door.clock() // 1000
    assert isinstance(await ask(door, platform, iat=now - 600, exp=now + 6600), str)


async def test_types_of_other_tokens_are_refused_and_none_is_usual_at_08(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    for typ in ("JWT", "jwt", "JOSE", ABSENT):
        success(await present(door, platform.workload(door, {"typ": typ}), resource=RESOURCE))
    for typ in ("at+jwt", "dpop+jwt", "client-authentication+jwt", "wit+jwt", "id_token"):
        answer = await present(door, platform.workload(door, {"typ": typ}), resource=RESOURCE)
        assert refusal(answer) == REFUSED, typ
    as_identity = platform.workload(door, {"typ": "oauth-id-jag+jwt"})
    assert refusal(await present(door, as_identity, resource=RESOURCE)) == (401, "invalid_client")
    assert await reasons(door) == []


async def test_an_issuer_that_is_not_trusted_or_for_people_only_gives_nothing_wif_03(
    door: Door, platform: Issuer
) -> None:
    assert await ask(door, platform) == (401, "invalid_client")  # the grant is not even offered: a client is asked for
    await trust_idp(door, platform, claims=(("repository", REPOSITORY),))
    assert await ask(door, platform) == REFUSED
    await trust_platform(door, Issuer("https://other.platform.example"))
    assert await ask(door, platform) == REFUSED
    assert await ask(door, Issuer("https://other.platform.example")) == REFUSED
    assert await reasons(door) == []


async def test_trust_is_a_projects_own_wif_06(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    neighbour = await add_neighbour(door, same_resource=RESOURCE)
    stranger = Issuer("https://stranger.example")
    policy = TrustPolicy(claims=(("repository", REPOSITORY),))
    await trust.add(door.operator, neighbour, stranger.url, "workload", policy=policy, jwks=stranger.jwks)
    door.clock.advance(seconds=1)
    issuer = f"{ISSUER}/p/acme"
    form = {"grant_type": JWT_BEARER, "resource": RESOURCE}
    here = await door.post_form(f"/p/acme{TOKEN}", {**form, "assertion": stranger.workload(door, aud=issuer)})
    assert claims_of(success(here)["access_token"])["iss"] == issuer
    for assertion in (platform.workload(door, aud=issuer), platform.workload(door)):
        assert refusal(await door.post_form(f"/p/acme{TOKEN}", {**form, "assertion": assertion})) == REFUSED
    assert await ask(door, stranger) == REFUSED
    assert await ask(door, platform, aud=issuer) == REFUSED


async def test_every_rule_of_the_trust_has_to_hold_wif_03(door: Door, platform: Issuer) -> None:
    rules = (("repository", REPOSITORY), ("environment", "production"), ("ref_protected", "true"))
    await trust_platform(door, platform, claims=rules)
    right = {"environment": "production", "ref_protected": "true"}
    assert isinstance(await ask(door, platform, **right), str)
    for wrong in (
        {"repository": f"{REPOSITORY}-fork"},
        {"repository": REPOSITORY.upper()},
        {"repository": f"x,{REPOSITORY}"},
        {"repository": ABSENT},
        {"repository": None},
        {"repository": {"name": REPOSITORY}},
        {"environment": ABSENT},
        {"environment": ""},
        {"ref_protected": "false"},
        {"ref_protected": ABSENT},
    ):
        assert await ask(door, platform, **{**right, **wrong}) == REFUSED, wrong
        assert (await reasons(door))[-1].startswith(f"the claim {next(iter(wrong))} is not "), wrong


async def test_repositories_of_one_platform_are_trusted_apart_wif_03(door: Door, platform: Issuer) -> None:
    await resources.add(door.operator, door.project, OTHER, scopes=(Scope("mail:read", "Mail"),))
    first = await trust_platform(door, platform, resources=(RESOURCE,), scopes=("tools:write",))
    second = await trust_platform(door, platform, claims=(("repository", "acme/mail"),), resources=(OTHER,))
    deploy = claims_of(await ask(door, platform))
    assert (deploy["client_id"], deploy["scope"], deploy["aud"]) == (first.trust_id, "tools:write", RESOURCE)
    mail = claims_of(await ask(door, platform, OTHER, repository="acme/mail"))
    assert (mail["client_id"], mail["scope"], mail["aud"]) == (second.trust_id, "mail:read", OTHER)
    assert await ask(door, platform, OTHER) == REFUSED
    assert await ask(door, platform, repository="acme/mail") == REFUSED
    assert await ask(door, platform, repository="acme/other") == REFUSED


async def test_a_job_says_which_server_it_wants_unless_its_trust_names_only_one_wif_01(
    door: Door, platform: Issuer
) -> None:
    await resources.add(door.operator, door.project, OTHER, scopes=(Scope("mail:read", "Mail"),))
    any_server = await trust_platform(door, platform)
    assert await ask(door, platform, "") == (400, "invalid_target")
    assert await ask(door, platform, "https://elsewhere.example/mcp") == (400, "invalid_target")
    assert await ask(door, platform, "nonsense") == (400, "invalid_target")
    assert claims_of(await ask(door, platform, OTHER))["aud"] == OTHER
    await trust.remove(door.operator, any_server)
    await trust_platform(door, platform, resources=(OTHER,))
    assert claims_of(await ask(door, platform, ""))["aud"] == OTHER
    assert claims_of(await ask(door, platform, f"{OTHER}/"))["aud"] == OTHER
    assert await ask(door, platform, RESOURCE) == REFUSED
    both = [("grant_type", JWT_BEARER), ("assertion", platform.workload(door)), ("resource", RESOURCE)]
    answer = await door.post_form(TOKEN, [*both, ("resource", OTHER)])
    assert refusal(answer) == (400, "invalid_target")


async def test_an_alias_that_is_named_is_an_audience_too(door: Door, platform: Issuer) -> None:
    alias = "https://old.example.com/mcp"
    await resources.change(door.operator, door.resource, settings=ResourceSettings(aliases=(alias,)))
    await trust_platform(door, platform)
    assert claims_of(await ask(door, platform, alias))["aud"] == [RESOURCE, alias]


async def test_scopes_are_what_the_trust_names_or_the_defaults_of_the_server_wif_06(
    door: Door, platform: Issuer
) -> None:
    first = await trust_platform(door, platform)
    both = "tools:read tools:write"
    assert claims_of(await ask(door, platform, scope=both))["scope"] == "tools:read"
    assert claims_of(await ask(door, platform, scope=f"{both} offline_access"))["scope"] == "tools:read"
    assert await ask(door, platform, scope="tools:write") == (400, "invalid_scope")
    # What the assertion says of scopes is not ours (no blind copying).
    assert claims_of(await ask(door, platform, scp=both, roles=["admin"]))["scope"] == "tools:read"
    await trust.remove(door.operator, first)
    await trust_platform(door, platform, scopes=("tools:read", "tools:write"))
    assert claims_of(await ask(door, platform))["scope"] == both
    assert claims_of(await ask(door, platform, scope="tools:write"))["scope"] == "tools:write"
    assert await ask(door, platform, scope="nonsense") == (400, "invalid_scope")


async def test_an_assertion_works_once_wif_06(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    assert await ask(door, platform, jti="mine") != REFUSED
    assert await ask(door, platform, jti="mine") == REFUSED
    assert (await reasons(door))[-1] == "it was used before"


async def test_a_platform_that_hands_out_one_token_for_an_hour_is_trusted_with_that(
    door: Door, platform: Issuer
) -> None:
    await trust_platform(door, platform, reusable=True)
    assertion = platform.workload(door, exp=door.clock() // 1000 + 3600)
    tokens = [success(await present(door, assertion, resource=RESOURCE))["access_token"] for _ in range(3)]
    assert len(set(tokens)) == 3
    door.clock.advance(seconds=3600)
    assert refusal(await present(door, assertion, resource=RESOURCE)) == REFUSED


async def test_what_was_spent_before_a_restart_is_spent_after_it_i1(tmp_path: Path) -> None:
    platform = Issuer(PLATFORM)
    async with open_door(tmp_path / "data") as first:
        await trust_platform(first, platform)
        spent = platform.workload(first)
        success(await present(first, spent, resource=RESOURCE))
        clock = first.clock
    async with open_door(tmp_path / "data", clock) as second:
        assert refusal(await present(second, spent, resource=RESOURCE)) == REFUSED
        await sweep(second.context)
        assert refusal(await present(second, spent, resource=RESOURCE)) == REFUSED


async def test_a_refusal_is_400_stored_by_nobody_and_tells_no_reason_wif_07(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    told = set()
    for claims in ({"repository": "evil/fork"}, {"aud": "https://other.example"}, {"exp": 1}, {"sub": PLATFORM}):
        answer = await present(door, platform.workload(door, **claims), resource=RESOURCE)
        assert refusal(answer) == REFUSED
        told.add(plain_description(answer))
        door.clock.advance(seconds=3)
    told.add(plain_description(await present(door, Issuer("https://evil.example").workload(door))))
    assert len(told) == 1
    assert len(set(await reasons(door))) == 4


async def test_removing_or_revoking_the_trust_ends_every_token_at_once_t43(door: Door, platform: Issuer) -> None:
    added = await trust_platform(door, platform)
    other = await trust_platform(door, platform, claims=(("repository", "acme/mail"),))
    held = [await ask(door, platform) for _ in range(3)]
    kept = await ask(door, platform, repository="acme/mail")
    unused = platform.workload(door)
    door.clock.advance(seconds=1)
    await trust.revoke_everything(door.operator, added)
    assert [await is_active(door, token) for token in held] == [False] * 3
    assert await is_active(door, kept)
    assert refusal(await present(door, unused, resource=RESOURCE)) == REFUSED
    door.clock.advance(seconds=1)
    fresh = await ask(door, platform)
    assert await is_active(door, fresh)
    await trust.remove(door.operator, added)
    assert not await is_active(door, fresh)
    assert await ask(door, platform) == REFUSED
    assert await is_active(door, kept)
    await trust.remove(door.operator, other)
    assert not await is_active(door, kept)


async def test_a_removed_server_ends_the_tokens_of_workloads_for_it(door: Door, platform: Issuer) -> None:
    await trust_platform(door, platform)
    held = await ask(door, platform)
    await resources.remove(door.operator, door.resource)
    door.clock.advance(seconds=1)
    assert not await is_active(door, held)
    assert await ask(door, platform) == (400, "invalid_target")


async def test_a_workload_may_prove_a_key_and_must_where_the_server_asks_for_it_dpop_03(
    door: Door, platform: Issuer
) -> None:
    key = generate_signing_key()
    jkt = str(key.key.thumbprint())
    await trust_platform(door, platform)
    form = {"grant_type": JWT_BEARER, "assertion": platform.workload(door, cnf={"jkt": jkt}), "resource": RESOURCE}
    assert refusal(await door.post_form(TOKEN, form)) == REFUSED
    proof = build_proof(key, method="POST", url=f"{ISSUER}{TOKEN}", now=door.clock() // 1000, jti="one")
    answer = success(await door.post_form(TOKEN, form, {"dpop": proof}))
    assert (answer["token_type"], claims_of(answer["access_token"])["cnf"]) == ("DPoP", {"jkt": jkt})
    await resources.change(door.operator, door.resource, settings=ResourceSettings(dpop_required=True))
    door.clock.advance(seconds=1)
    assert await ask(door, platform) == (400, "invalid_dpop_proof")


async def test_each_token_of_a_workload_is_one_row_in_the_audit_trail_and_no_row_elsewhere_wif_06(
    door: Door, platform: Issuer
) -> None:
    added = await trust_platform(door, platform)
    await ask(door, platform)
    events = await connections.recent_events(door.operator, door.project)
    (event,) = [event for event in events if event.action == "token.assertion_accepted"]
    assert (event.actor, event.target) == (f"trust:{added.trust_id}", f"workload:{added.trust_id}:{SUBJECT}")
    assert event.detail == {
        "source": "203.0.113.9",
        "agent": "",
        "issuer": PLATFORM,
        "subject": SUBJECT,
        "resource": door.resource.resource_id,
        "scope": "tools:read",
    }
