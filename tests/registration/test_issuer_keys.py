"""Trusted issuers that publish their keys: fetched by the guard as a client's are, and looked for again in bounds.

Spec: JAG-06, WIF-03; T5, T34
"""

from typing import Any

import pytest

from doorward.core.trust import TrustPolicy
from doorward.manage import trust
from doorward.oauth.jwt import generate_signing_key
from tests.inside import RESOURCE, Answer, Door
from tests.registration.site import Site
from tests.registration.test_assertions import publish_keys
from tests.server.issuers import PLATFORM, REPOSITORY, Issuer, agent, present
from tests.server.steps import refusal, success

KINDS = ["id-jag", "workload"]
REFUSED = (400, "invalid_grant")
POLICIES = {
    "id-jag": TrustPolicy(subject_by="email"),
    "workload": TrustPolicy(claims=(("repository", REPOSITORY),)),
}


class Trusted:
    """An issuer that is trusted by the address of its keys, and what it is for."""

    def __init__(self, door: Door, kind: Any) -> None:
        self.door, self.kind = door, kind
        self.issuer = Issuer(PLATFORM)

    async def published_at(self, jwks_uri: str) -> None:
        policy = POLICIES[self.kind]
        await trust.add(self.door.operator, self.door.project, PLATFORM, self.kind, policy=policy, jwks_uri=jwks_uri)
        self.door.clock.advance(seconds=1)
        self.caller = await agent(self.door) if self.kind == "id-jag" else None

    def signed(self, issuer: Issuer | None = None, header: Any = None) -> str:
        issuer = issuer or self.issuer
        if self.caller is not None:
            return issuer.id_jag(self.door, self.caller.client_id, header)
        return issuer.workload(self.door, header)

    async def present(self, assertion: str | None = None) -> Answer:
        return await present(self.door, assertion or self.signed(), self.caller, resource=RESOURCE)


@pytest.fixture(params=KINDS)
def trusted(request: pytest.FixtureRequest, door: Door) -> Trusted:
    return Trusted(door, request.param)


async def test_keys_are_fetched_once_and_looked_for_again_when_they_change_jag_06_wif_03(
    site: Site, trusted: Trusted
) -> None:
    await trusted.published_at(publish_keys(site, trusted.issuer.key))
    for _ in range(2):
        success(await trusted.present())
    assert site.requests == ["/jwks.json"]
    next_key = Issuer(PLATFORM)
    assert refusal(await trusted.present(trusted.signed(next_key))) == REFUSED
    publish_keys(site, next_key.key)
    success(await trusted.present(trusted.signed(next_key)))
    assert refusal(await trusted.present()) == REFUSED


@pytest.mark.parametrize("address", ["https://private.example/jwks", "https://10.0.0.1/jwks", "https://[::1]/jwks"])
async def test_keys_at_an_address_inside_trust_nobody_jag_06_wif_03_t5(
    site: Site, trusted: Trusted, address: str
) -> None:
    await trusted.published_at(address)
    assert refusal(await trusted.present()) == REFUSED
    assert site.connections == 0


async def test_keys_that_cannot_be_had_now_are_503_and_spend_nothing_jag_06_wif_03(
    site: Site, trusted: Trusted
) -> None:
    await trusted.published_at(site.url("/jwks.json", "keys.example"))
    assertion = trusted.signed()
    answer = await trusted.present(assertion)
    assert (*refusal(answer), answer.header("retry-after")) == (503, "temporarily_unavailable", "10")
    publish_keys(site, trusted.issuer.key)
    success(await trusted.present(assertion))


async def test_unknown_keys_do_not_make_us_ask_without_end_t34(site: Site, trusted: Trusted) -> None:
    await trusted.published_at(publish_keys(site, trusted.issuer.key))
    stranger = Issuer(PLATFORM, generate_signing_key())
    for number in range(15):
        assert refusal(await trusted.present(trusted.signed(stranger, {"kid": f"k{number}"}))) == REFUSED
    assert site.requests.count("/jwks.json") <= 10
    success(await trusted.present())
