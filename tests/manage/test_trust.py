"""Trusting an issuer: what an operator is refused, since it would trust more than they meant, or nobody at all.

Spec: JAG-06, WIF-03, WIF-06
"""

import json
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, cast

import pytest

from doorward.core.models import Scope
from doorward.core.trust import TrustedIssuer, TrustPolicy, dump_policy, load_policy
from doorward.manage import resources, trust
from doorward.manage.operator import ActionRefused
from doorward.oauth.jwt import generate_signing_key
from tests.inside import RESOURCE
from tests.manage.ground import IDP, SUBJECT, Ground, dump

PLATFORM = "https://token.platform.example"
RULES = (("repository", "acme/deploy"),)
PUBLISHED = "https://token.platform.example/jwks"


def add(ground: Ground, issuer: str = PLATFORM, kind: Any = "workload", **given: Any) -> Awaitable[TrustedIssuer]:
    """Trust in the given way, with keys and rules unless said otherwise."""
    keys = {} if {"jwks", "jwks_uri"} & given.keys() else {"jwks": json.loads(ground.jwks)}
    policy = given.pop("policy", TrustPolicy(claims=RULES if kind == "workload" else ()))
    return trust.add(ground.operator, ground.project, issuer, kind, policy=policy, **keys, **given)


def workload(**policy: Any) -> TrustPolicy:
    return TrustPolicy(**{"claims": RULES, **policy})


REFUSALS: dict[str, tuple[str, dict[str, Any]]] = {
    "an unknown kind": ("A kind is one of id-jag, workload", {"kind": cast("Any", "saml")}),
    "no issuer": ("without spaces", {"issuer": ""}),
    "an issuer with a space": ("without spaces", {"issuer": f"{IDP} acme"}),
    "an issuer beyond ASCII": ("without spaces", {"issuer": "https://idp.exämple"}),
    "an issuer with a line break": ("without spaces", {"issuer": f"{IDP}\n"}),
    "an endless issuer": ("without spaces", {"issuer": f"{IDP}/{'x' * 1024}"}),
    "no keys at all": ("Give the issuer's keys, or the address", {"jwks": None}),
    "keys and their address": ("Give the issuer's keys, or the address", {"jwks": {"keys": []}, "jwks_uri": PUBLISHED}),
    "an address without TLS": ("https addresses only", {"jwks_uri": "http://token.platform.example/jwks"}),
    "an address that is a file": ("https addresses only", {"jwks_uri": "file:///etc/passwd"}),
    "keys that are none": ("not a JWK set", {"jwks": []}),
    "an empty key set": ("holds no public key", {"jwks": {"keys": []}}),
    "a secret as key": ("holds no public key", {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}}),
    "an RSA key too short to trust": (
        "holds no public key",
        {"jwks": {"keys": [{"kty": "RSA", "n": "x" * 100, "e": "AQAB"}]}},
    ),
    "everybody on a platform": ("Say which workloads", {"policy": TrustPolicy()}),
    "clients of workloads": ("Clients and people are for", {"policy": workload(public_clients=True)}),
    "people of workloads": ("Clients and people are for", {"policy": workload(create_people=True)}),
    "addresses of workloads": ("Clients and people are for", {"policy": workload(subject_by="email")}),
    "a rule without a value": ("NAME=VALUE", {"policy": TrustPolicy(claims=(("repository", ""),))}),
    "a rule without a name": ("NAME=VALUE", {"policy": TrustPolicy(claims=(("", "x"),))}),
    "too many rules": ("at most 20", {"policy": TrustPolicy(claims=(("a", "b"),) * 21)}),
    "people known by name": (
        "one of sub, email",
        {"kind": "id-jag", "policy": TrustPolicy(subject_by=cast("Any", "name"))},
    ),
    "a resource nobody added": (
        "no resource https://x.example",
        {"policy": workload(resources=("https://x.example",))},
    ),
    "a scope that no server has": ("has the scope nonsense", {"policy": workload(scopes=("nonsense",))}),
    "two scopes as one": ("is not a scope", {"policy": workload(scopes=("tools:read tools:write",))}),
    "a scope with a quote": ("characters", {"policy": workload(scopes=('a"',))}),
    "offline_access": ("is not a scope", {"policy": workload(scopes=("offline_access",))}),
    "a client nobody added": ("no client mcl_x", {"kind": "id-jag", "policy": TrustPolicy(clients=("mcl_x",))}),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_says_what_is_wrong_and_trusts_nobody(ground: Ground, name: str) -> None:
    words, given = REFUSALS[name]
    before = await dump(ground.operator)
    with pytest.raises(ActionRefused, match=words):
        await add(ground, **given)
    assert await dump(ground.operator) == before


async def test_a_trust_is_stored_as_it_was_meant(ground: Ground) -> None:
    policy = TrustPolicy(
        clients=(ground.client.client_id, "https://app.example/client.json"),
        resources=(f"{RESOURCE}/",),
        scopes=("tools:read",),
        subject_by="email",
        claims=(("tenant", "acme"), ("groups", "a=b"), ("groups", "é")),
        reusable=True,
        create_people=True,
        public_clients=True,
    )
    ground.operator.clock.advance(seconds=1)  # type: ignore[attr-defined]  # the clock of the test
    added = await add(ground, IDP, "id-jag", policy=policy, jwks_uri=PUBLISHED)
    assert added.policy == replace(policy, resources=(RESOURCE,))
    assert (added.jwks, added.jwks_uri, added.void_before) == (None, PUBLISHED, 0)
    assert await trust.get(ground.operator, ground.project, added.trust_id) == added
    assert await trust.list_all(ground.operator, ground.project) == [ground.trust, added]
    assert trust.describe(added)["claims"] == ["tenant=acme", "groups=a=b", "groups=é"]


def test_a_policy_is_read_back_as_it_was_and_only_what_differs_is_stored() -> None:
    assert dump_policy(TrustPolicy()) == "{}"
    assert load_policy("{}") == TrustPolicy()
    chosen = TrustPolicy(claims=(("a", "b"), ("a", "c")), scopes=("x",), reusable=True)
    assert load_policy(dump_policy(chosen)) == chosen


async def test_a_resource_is_named_by_any_spelling_and_a_scope_by_the_server_that_has_it(ground: Ground) -> None:
    other = await resources.add(ground.operator, ground.project, "https://b.example/mcp", scopes=(Scope("b", "B"),))
    added = await add(ground, policy=workload(resources=("https://B.example:443/mcp/",), scopes=("b",)))
    assert added.policy.resources == (other.uri,)
    by_id = await add(ground, policy=workload(resources=(other.resource_id,)))
    assert by_id.policy.resources == (other.uri,)
    with pytest.raises(ActionRefused, match="has the scope b"):
        await add(ground, policy=workload(resources=(RESOURCE,), scopes=("b",)))


async def test_an_issuer_names_its_trust_as_long_as_it_has_only_one(ground: Ground) -> None:
    assert await trust.get(ground.operator, ground.project, IDP) == ground.trust
    await add(ground, IDP, "workload")
    with pytest.raises(ActionRefused, match="is trusted 2 times"):
        await trust.get(ground.operator, ground.project, IDP)
    with pytest.raises(ActionRefused, match="no trust tru_x"):
        await trust.get(ground.operator, ground.project, "tru_x")
    with pytest.raises(ActionRefused, match="no trust"):
        await trust.get(ground.operator, ground.fresh, ground.trust.trust_id)


async def test_a_project_has_a_bounded_number_of_trusts_i13(ground: Ground) -> None:
    for _ in range(trust.MAX_TRUSTS - 1):
        await add(ground)
    with pytest.raises(ActionRefused, match="at most 100 trusts"):
        await add(ground)


async def test_a_subject_stands_for_one_person(ground: Ground) -> None:
    with pytest.raises(ActionRefused, match="stands for somebody already"):
        await trust.link(ground.operator, ground.owner, IDP, SUBJECT)
    for subject in ("", "a\nb"):
        with pytest.raises(ActionRefused, match="printable"):
            await trust.link(ground.operator, ground.owner, IDP, subject)
    with pytest.raises(ActionRefused, match="without spaces"):
        await trust.link(ground.operator, ground.owner, f"{IDP} acme", "U2")
    with pytest.raises(ActionRefused, match="stands for nobody"):
        await trust.unlink(ground.operator, ground.project, IDP, SUBJECT, tenant="acme")
    with pytest.raises(ActionRefused, match="stands for nobody"):
        await trust.unlink(ground.operator, ground.fresh, IDP, SUBJECT)


async def test_every_key_of_a_set_that_can_verify_is_enough(ground: Ground) -> None:
    good = generate_signing_key("EdDSA").public_jwk()
    added = await add(ground, jwks={"keys": [{"kty": "oct", "k": "x"}, good]})
    assert added.jwks is not None
