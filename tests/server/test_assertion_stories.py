"""Whoever was refused with an assertion can quote a reference, and an operator finds the reason by it.

Spec: JAG-17, WIF-06, WIF-07, GEN-06; complaint 7
"""

import pytest

from doorward.core.timeline import Story
from doorward.manage import timeline
from tests.inside import RESOURCE, Answer, Door
from tests.server.issuers import IDP, PLATFORM, Agent, Issuer, agent, present, trust_idp, trust_platform
from tests.server.steps import claims_of, refusal, success

REFUSED = (400, "invalid_grant")


@pytest.fixture
def idp() -> Issuer:
    return Issuer(IDP)


@pytest.fixture
def platform() -> Issuer:
    return Issuer(PLATFORM)


@pytest.fixture
async def caller(door: Door, idp: Issuer, platform: Issuer) -> Agent:
    """A client of a project that trusts both."""
    await trust_idp(door, idp)
    await trust_platform(door, platform)
    return await agent(door)


async def story_of(door: Door, answer: Answer) -> Story:
    """The story that the reference in an answer leads to."""
    reference = answer.header("x-request-id")
    await door.context.timeline.flush()
    story = await timeline.find_story(door.operator, door.project, reference)
    assert story.events[-1].reference == reference
    return story


async def reason_of(door: Door, answer: Answer) -> str:
    assert refusal(answer) == REFUSED
    reason = (await story_of(door, answer)).events[-1].reason.removeprefix("invalid_grant: ")
    assert reason not in answer.json()["error_description"]
    return reason


async def test_why_an_id_jag_was_refused_is_found_by_reference_jag_17(door: Door, idp: Issuer, caller: Agent) -> None:
    here = caller.client_id
    for assertion, reason in (
        (idp.id_jag(door, here, client_id="another"), "client_id is another client"),
        (idp.id_jag(door, here, sub="nobody", email="nobody@example.com"), "nobody here is known to be its subject"),
        (
            Issuer("https://other.example").id_jag(door, here),
            "its issuer is not trusted here for this kind of assertion",
        ),
        (Issuer(IDP).id_jag(door, here), "no key of the issuer verifies the signature"),
        ("not.a.jwtA", "token part is not JSON"),
    ):
        assert await reason_of(door, await present(door, assertion, caller)) == reason
        door.clock.advance(seconds=3)


async def test_why_a_job_was_refused_is_found_by_reference_wif_07(door: Door, platform: Issuer, caller: Agent) -> None:
    del caller
    for claims, reason in (
        ({"repository": "acme/other"}, "the claim repository is not acme/deploy"),
        ({"aud": "https://other.example"}, "aud is not this server alone"),
        ({"exp": door.clock() // 1000 - 60}, "exp has passed or is missing"),
    ):
        answer = await present(door, platform.workload(door, **claims), resource=RESOURCE)
        assert await reason_of(door, answer) == reason
        door.clock.advance(seconds=3)


async def test_what_was_given_is_a_story_of_the_client_or_of_the_trust_and_holds_no_assertion_wif_06_gen_06(
    door: Door, idp: Issuer, platform: Issuer, caller: Agent
) -> None:
    for assertion, presenter in ((idp.id_jag(door, caller.client_id), caller), (platform.workload(door), None)):
        answer = await present(door, assertion, presenter, resource=RESOURCE)
        token = success(answer)["access_token"]
        claims, story = claims_of(token), await story_of(door, answer)
        assert (story.client_id, story.events[-1].outcome) == (claims["client_id"], "ok")
        assert story.events[-1].grant_id == claims.get("grant_id")
        for secret in (assertion, token):
            assert secret not in str(story)
