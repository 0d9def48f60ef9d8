"""How far an ID-JAG goes: the one server it names, and the scopes that issuer, operator, client and server all allow.

Spec: JAG-10, JAG-11, JAG-17, C9, RES-04
"""

from typing import Any

import pytest

from doorward.core.models import Resource, ResourceSettings, Scope
from doorward.manage import resources, trust
from tests.inside import RESOURCE, SCOPES, Door
from tests.server.issuers import (
    ABSENT,
    IDP,
    JWT_BEARER,
    Agent,
    Issuer,
    agent,
    manual_agent,
    present,
    reasons,
    trust_idp,
)
from tests.server.steps import claims_of, introspect, project_key, refusal, success

REFUSED = (400, "invalid_grant")
OTHER = "https://other.example.com/mcp"
ALIAS = "https://old.example.com/mcp"


@pytest.fixture
def idp() -> Issuer:
    return Issuer(IDP)


async def add_other(door: Door) -> Resource:
    other = await resources.add(door.operator, door.project, OTHER, name="Other", scopes=(Scope("mail:read", "Mail"),))
    door.clock.advance(seconds=1)
    return other


async def granted(door: Door, idp: Issuer, caller: Agent, *, asked: str | None = None, **claims: Any) -> Any:
    """The scopes of the token, or how it was refused."""
    fields = {"scope": asked} if asked is not None else {}
    answer = await present(door, idp.id_jag(door, caller.client_id, **claims), caller, **fields)
    if answer.status != 200:
        door.clock.advance(seconds=3)
        return refusal(answer)
    assert answer.json()["scope"] == claims_of(answer.json()["access_token"])["scope"]
    return answer.json()["scope"]


async def test_a_token_is_for_the_server_that_the_assertion_names_and_no_other_jag_10(door: Door, idp: Issuer) -> None:
    await add_other(door)
    await trust_idp(door, idp)
    caller = await agent(door)
    mail = {"scope": "mail:read"}
    named: list[tuple[Any, str, dict[str, str], Any]] = [
        (RESOURCE, "", {}, RESOURCE),
        (RESOURCE, f"{RESOURCE}/", {}, RESOURCE),
        (OTHER, "", mail, OTHER),
        ([OTHER], "", mail, OTHER),
        (f"{OTHER}/", "", mail, OTHER),
        ([OTHER, "https://elsewhere.example/mcp"], "", mail, OTHER),
        ([OTHER, "nonsense", "mailto:a@b"], "", mail, OTHER),
        ([OTHER, RESOURCE], OTHER, mail, OTHER),
        ([OTHER, RESOURCE], RESOURCE, {}, RESOURCE),
        ([OTHER, RESOURCE], "", {}, (400, "invalid_target")),
        (OTHER, RESOURCE, mail, (400, "invalid_target")),
        (RESOURCE, "nonsense", {}, (400, "invalid_target")),
        ("https://elsewhere.example/mcp", "", {}, REFUSED),
        ("https://elsewhere.example/mcp", RESOURCE, {}, REFUSED),
        (f"{RESOURCE}/admin", "", {}, REFUSED),
        ("nonsense", "", {}, REFUSED),
    ]
    for in_assertion, asked, claims, expected in named:
        assert await audience(door, idp, caller, in_assertion, asked, claims) == expected, (in_assertion, asked)


async def audience(door: Door, idp: Issuer, caller: Agent, named: Any, asked: str, claims: dict[str, str]) -> Any:
    """What the token is for, or how it was refused."""
    fields = {"resource": asked} if asked else {}
    answer = await present(door, idp.id_jag(door, caller.client_id, resource=named, **claims), caller, **fields)
    if answer.status != 200:
        door.clock.advance(seconds=3)
        return refusal(answer)
    found = claims_of(answer.json()["access_token"])["aud"]
    assert answer.json()["resource"] == (found if isinstance(found, str) else found[0])
    return found


async def test_a_request_for_two_servers_is_for_neither_res_04(door: Door, idp: Issuer) -> None:
    await add_other(door)
    await trust_idp(door, idp)
    caller = await agent(door)
    assertion = idp.id_jag(door, caller.client_id, resource=[RESOURCE, OTHER])
    form = [("grant_type", JWT_BEARER), ("assertion", assertion), ("resource", RESOURCE), ("resource", OTHER)]
    answer = await door.post_form("/api/oauth/token", form, caller.headers)
    assert refusal(answer) == (400, "invalid_target")


async def test_an_assertion_without_a_resource_is_for_the_only_one_its_trust_names_c9(door: Door, idp: Issuer) -> None:
    first = await trust_idp(door, idp)
    caller = await agent(door)
    assert await audience(door, idp, caller, ABSENT, "", {}) == REFUSED
    assert await audience(door, idp, caller, ABSENT, RESOURCE, {}) == REFUSED
    assert (await reasons(door))[-1] == "it is for no MCP server that its issuer opens"
    await trust.remove(door.operator, first)
    other = await add_other(door)
    two = await trust_idp(door, idp, resources=(RESOURCE, OTHER))
    assert await audience(door, idp, caller, ABSENT, "", {}) == REFUSED
    await trust.remove(door.operator, two)
    await trust_idp(door, idp, resources=(OTHER,))
    assert await audience(door, idp, caller, ABSENT, "", {"scope": "mail:read"}) == OTHER
    assert await audience(door, idp, caller, ABSENT, OTHER, {"scope": "mail:read"}) == OTHER
    assert await audience(door, idp, caller, ABSENT, RESOURCE, {}) == (400, "invalid_target")
    await resources.remove(door.operator, other)
    door.clock.advance(seconds=1)
    assert await audience(door, idp, caller, ABSENT, "", {}) == REFUSED


async def test_a_trust_opens_the_servers_it_names_and_no_other_jag_10(door: Door, idp: Issuer) -> None:
    await add_other(door)
    await trust_idp(door, idp, resources=(f"{OTHER}/",))
    caller = await agent(door)
    assert await audience(door, idp, caller, OTHER, "", {"scope": "mail:read"}) == OTHER
    assert await audience(door, idp, caller, RESOURCE, "", {}) == REFUSED
    assert await audience(door, idp, caller, [RESOURCE, OTHER], RESOURCE, {}) == (400, "invalid_target")


async def test_an_alias_that_is_named_is_an_audience_too(door: Door, idp: Issuer) -> None:
    await resources.change(door.operator, door.resource, settings=ResourceSettings(aliases=(ALIAS,)))
    await trust_idp(door, idp)
    caller = await agent(door)
    both = [RESOURCE, ALIAS]
    assert await audience(door, idp, caller, f"{ALIAS}/", "", {}) == both
    assert await audience(door, idp, caller, RESOURCE, ALIAS, {}) == both
    assert await audience(door, idp, caller, ALIAS, RESOURCE, {}) == RESOURCE


async def test_scopes_are_those_that_every_side_allows_jag_11(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    caller = await agent(door)
    both = "tools:read tools:write"
    cases: list[tuple[Any, str | None, Any]] = [
        (both, None, both),
        (both, "tools:write", "tools:write"),
        ("tools:write tools:read", None, "tools:write tools:read"),
        ("tools:read", both, "tools:read"),
        ("tools:read nonsense", None, "tools:read"),
        ("tools:read", "tools:write", (400, "invalid_scope")),
        ("nonsense", None, (400, "invalid_scope")),
        ("", None, (400, "invalid_scope")),
        ("offline_access", None, (400, "invalid_scope")),
        (both, "nonsense", (400, "invalid_scope")),
        (both, 'tools:"read"', (400, "invalid_scope")),
        (ABSENT, None, "tools:read"),
        (ABSENT, both, "tools:read"),
        (ABSENT, "tools:write", (400, "invalid_scope")),
    ]
    for asserted, asked, expected in cases:
        assert await granted(door, idp, caller, asked=asked, scope=asserted) == expected, (asserted, asked)


async def test_a_trust_bounds_the_scopes_it_gives(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp, scopes=("tools:write",))
    caller = await agent(door)
    both = "tools:read tools:write"
    assert await granted(door, idp, caller, scope=both) == "tools:write"
    assert await granted(door, idp, caller, scope=ABSENT) == "tools:write"
    assert await granted(door, idp, caller, scope="tools:read") == (400, "invalid_scope")
    assert await granted(door, idp, caller, scope=both, asked="tools:read") == (400, "invalid_scope")


async def test_an_operators_bound_for_a_client_holds_for_assertions_too_jag_11(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    bounded = await manual_agent(door, "tools:write")
    both = "tools:read tools:write"
    assert await granted(door, idp, bounded, scope=both) == "tools:write"
    assert await granted(door, idp, bounded, scope="tools:read") == (400, "invalid_scope")
    registered = await agent(door, scope="tools:write")  # what it wrote itself bounds nothing
    assert await granted(door, idp, registered, scope=both) == both


async def test_what_the_server_no_longer_has_is_not_given(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp, scopes=("tools:write",))
    caller = await agent(door)
    await resources.change(door.operator, door.resource, scopes=SCOPES[:1])
    door.clock.advance(seconds=1)
    assert await granted(door, idp, caller, scope="tools:write") == (400, "invalid_scope")
    assert await granted(door, idp, caller, scope=ABSENT) == (400, "invalid_scope")


async def test_a_server_without_scopes_is_opened_without_any(door: Door, idp: Issuer) -> None:
    bare = "https://bare.example.com/mcp"
    await resources.add(door.operator, door.project, bare)
    await trust_idp(door, idp)
    caller = await agent(door)
    answer = success(await present(door, idp.id_jag(door, caller.client_id, resource=bare, scope=ABSENT), caller))
    assert answer["scope"] == ""


async def test_clients_that_a_trust_does_not_name_get_nothing(door: Door, idp: Issuer) -> None:
    first = await trust_idp(door, idp)
    named, other = await agent(door), await agent(door)
    await trust.remove(door.operator, first)
    await trust_idp(door, idp, clients=(named.client_id,))
    success(await present(door, idp.id_jag(door, named.client_id), named))
    assert refusal(await present(door, idp.id_jag(door, other.client_id), other)) == REFUSED
    assert (await reasons(door))[-1] == "the client is not one that the trust names"


async def test_claims_that_a_trust_asks_for_have_to_hold_all_of_them(door: Door, idp: Issuer) -> None:
    rules = (("tenant", "acme"), ("groups", "mcp"), ("level", "2"), ("staff", "true"))
    await trust_idp(door, idp, claims=rules)
    caller = await agent(door)
    right: dict[str, Any] = {"tenant": "acme", "groups": ["all", "mcp"], "level": 2, "staff": True}
    success(await present(door, idp.id_jag(door, caller.client_id, **right), caller))
    for wrong in (
        {"tenant": "other"},
        {"tenant": ABSENT},
        {"groups": "all"},
        {"groups": [["mcp"]]},
        {"groups": {"mcp": True}},
        {"groups": "mcp,all"},
        {"level": 2.0},
        {"level": "02"},
        {"staff": "True"},
        {"staff": 1},
        {"staff": None},
    ):
        assertion = idp.id_jag(door, caller.client_id, **{**right, **wrong})
        assert refusal(await present(door, assertion, caller)) == REFUSED, wrong
        assert (await reasons(door))[-1].startswith(f"the claim {next(iter(wrong))} is not "), wrong
        door.clock.advance(seconds=3)


async def test_of_several_trusts_in_one_issuer_the_oldest_that_fits_decides(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp, claims=(("tenant", "acme"),), scopes=("tools:read",))
    await trust_idp(door, idp, claims=(("tenant", "globex"),), scopes=("tools:write",))
    caller = await agent(door)
    both = {"scope": "tools:read tools:write"}
    acme = success(await present(door, idp.id_jag(door, caller.client_id, tenant="acme", **both), caller))
    assert acme["scope"] == "tools:read"
    globex = idp.id_jag(door, caller.client_id, tenant="globex", sub="other", **both)
    assert success(await present(door, globex, caller))["scope"] == "tools:write"
    third = idp.id_jag(door, caller.client_id, tenant="initech", **both)
    assert refusal(await present(door, third, caller)) == REFUSED


async def test_a_stopped_server_gives_nothing_and_spends_nothing(door: Door, idp: Issuer) -> None:
    await trust_idp(door, idp)
    caller = await agent(door)
    await resources.change(door.operator, door.resource, settings=ResourceSettings(dpop_required=True))
    door.clock.advance(seconds=1)
    assertion = idp.id_jag(door, caller.client_id)
    assert refusal(await present(door, assertion, caller)) == (400, "invalid_dpop_proof")
    await resources.change(door.operator, door.resource, settings=ResourceSettings())
    door.clock.advance(seconds=1)
    success(await present(door, assertion, caller))


async def test_an_opaque_token_comes_by_assertion_too(door: Door, idp: Issuer) -> None:
    await resources.change(door.operator, door.resource, settings=ResourceSettings(token_format="opaque"))
    await trust_idp(door, idp)
    caller = await agent(door)
    token = success(await present(door, idp.id_jag(door, caller.client_id), caller))["access_token"]
    assert token.startswith("mat_")
    told = await introspect(door, token, await project_key(door, "introspect"))
    assert (told["active"], told["client_id"], told["aud"]) == (True, caller.client_id, RESOURCE)
