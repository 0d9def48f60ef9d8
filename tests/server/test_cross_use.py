"""Every kind of JWT is refused wherever another is expected, with the right key and every claim of the other in it.

One issuer plays all parts with one key: a client with its own key, an identity provider, a platform, a holder of a key
that it proves. What keeps the kinds apart then is their type alone, and for a client's own assertion its shape.

Spec: AT-08, JAG-04, WIF-05, DPOP-02, CAU-09; RFC 8725 §3.11, §3.12 (T27, T33)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from doorward.core.trust import TrustPolicy
from doorward.manage import clients, trust
from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.dpop import build_proof
from doorward.oauth.ids import ClientId
from doorward.storage.clients import add_client
from tests.inside import ISSUER, LOOPBACK, RESOURCE, Answer, Door
from tests.server.issuers import JWT_BEARER, Issuer
from tests.server.steps import INTROSPECT, REVOKE, TOKEN, bearer, claims_of, project_key
from tests.unit.hostile_jwts import KEY, Base, build_hostile

EVERYBODY = "https://everybody.example/client.json"
"""A client, an identity provider and a platform at once."""


@dataclass(frozen=True)
class World:
    door: Door
    everybody: Issuer
    key: str

    def claims(self, jti: str) -> dict[str, Any]:
        """Every claim that any of the kinds must have, right for all of them at once where that is possible."""
        now = self.door.clock() // 1000
        return {
            "iss": EVERYBODY,
            "sub": EVERYBODY,
            "aud": ISSUER,
            "client_id": EVERYBODY,
            "scope": "tools:read",
            "resource": RESOURCE,
            "email": "ada@example.com",
            "repository": "acme/deploy",
            "htm": "POST",
            "htu": f"{ISSUER}{TOKEN}",
            "iat": now,
            "exp": now + 60,
            "jti": jti,
        }


@pytest.fixture
async def world(door: Door) -> World:
    everybody = Issuer(EVERYBODY)
    made, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    metadata = replace(
        made.metadata,
        token_endpoint_auth_method="private_key_jwt",
        grant_types=(*made.metadata.grant_types, JWT_BEARER),
        jwks=everybody.jwks,
    )
    await door.context.database.write(add_client, replace(made, client_id=ClientId(EVERYBODY), metadata=metadata))
    for kind, policy in (
        ("id-jag", TrustPolicy(subject_by="email", public_clients=True)),
        ("workload", TrustPolicy(claims=(("repository", "acme/deploy"),))),
    ):
        await trust.add(door.operator, door.project, EVERYBODY, kind, policy=policy, jwks=everybody.jwks)  # type: ignore[arg-type]  # both are kinds
    door.clock.advance(seconds=1)
    return World(door, everybody, await project_key(door, "introspect"))


def client_assertion(world: World, jti: str) -> str:
    return world.everybody.sign(world.claims(jti), typ="client-authentication+jwt")


def id_jag(world: World, jti: str) -> str:
    return world.everybody.sign(world.claims(jti), typ="oauth-id-jag+jwt")


def workload(world: World, jti: str) -> str:
    return world.everybody.sign({**world.claims(jti), "sub": "job"}, typ="JWT")


def proof(world: World, jti: str) -> str:
    now = world.door.clock() // 1000
    return build_proof(world.everybody.key, method="POST", url=f"{ISSUER}{TOKEN}", now=now, jti=jti)


def foreign_access_token(world: World, jti: str) -> str:
    return world.everybody.sign({**world.claims(jti), "iss": ISSUER, "aud": RESOURCE}, typ="at+jwt")


MADE: Mapping[str, Callable[[World, str], str]] = {
    "client assertion": client_assertion,
    "id-jag": id_jag,
    "workload": workload,
    "proof": proof,
    "access token of another": foreign_access_token,
}


async def as_client_assertion(world: World, token: str, jti: str) -> Answer:
    form = {"token": "x", "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}
    return await world.door.post_form(REVOKE, form)


async def as_id_jag(world: World, token: str, jti: str) -> Answer:
    form = {
        "grant_type": JWT_BEARER,
        "assertion": token,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": client_assertion(world, f"{jti}-client"),
    }
    return await world.door.post_form(TOKEN, form)


async def as_workload(world: World, token: str, jti: str) -> Answer:
    return await world.door.post_form(TOKEN, {"grant_type": JWT_BEARER, "assertion": token, "resource": RESOURCE})


async def as_proof(world: World, token: str, jti: str) -> Answer:
    form = {"grant_type": JWT_BEARER, "assertion": workload(world, f"{jti}-job"), "resource": RESOURCE}
    return await world.door.post_form(TOKEN, form, {"dpop": token})


async def as_access_token(world: World, token: str, jti: str) -> Answer:
    answer = await world.door.post_form(INTROSPECT, {"token": token}, bearer(world.key))
    assert answer.status == 200
    return replace(answer, status=200 if answer.json()["active"] else 401)


USED: Mapping[str, tuple[Callable[[World, str, str], Any], int]] = {
    "client assertion": (as_client_assertion, 401),
    "id-jag": (as_id_jag, 400),
    "workload": (as_workload, 400),
    "proof": (as_proof, 400),
    "access token": (as_access_token, 401),
}


@pytest.mark.parametrize("use", USED)
@pytest.mark.parametrize("kind", MADE)
async def test_a_token_works_as_what_it_is_and_as_nothing_else_at_08(world: World, kind: str, use: str) -> None:
    present, refused = USED[use]
    answer = await present(world, MADE[kind](world, "one"), "one")
    if kind == use:
        assert answer.status == 200, answer.body
    elif (kind, use) == ("id-jag", "workload"):
        assert answer.status == 401, answer.body  # an ID-JAG without a client: the client is missed
    else:
        assert answer.status == refused, answer.body


@pytest.mark.parametrize("use", [name for name in USED if name != "access token"])
async def test_an_access_token_of_ours_is_no_assertion_and_no_proof_at_08(world: World, use: str) -> None:
    job = (await as_workload(world, workload(world, "job"), "job")).json()["access_token"]
    person = (await as_id_jag(world, id_jag(world, "person"), "person")).json()["access_token"]
    assert claims_of(job).keys() | claims_of(person).keys() >= {"iss", "sub", "aud", "exp", "iat", "jti"}
    present, refused = USED[use]
    for token in (job, person):
        assert (await present(world, token, "two")).status == refused
        assert (await as_access_token(world, token, "two")).status == 200


async def test_one_id_is_free_in_each_use_of_it_and_spent_in_one(world: World) -> None:
    """The same `jti` as a client's assertion, as a proof and as a grant: they are spent apart."""
    assert (await as_client_assertion(world, client_assertion(world, "same"), "a")).status == 200
    assert (await as_proof(world, proof(world, "same"), "b")).status == 200
    assert (await as_id_jag(world, id_jag(world, "same"), "c")).status == 200
    # A person's and a workload's assertion of one issuer are ids of one issuer.
    assert (await as_workload(world, workload(world, "same"), "d")).status == 400


HARMLESS = {"kid missing", "header member x5t='abc'"}
"""What is wrong with an access token and not with an assertion: issuers leave `kid` out, or name a certificate."""
RIGHT_TYPES = {
    "id-jag": {"typ 'oauth-id-jag+jwt'"},
    "workload": {"typ 'JWT'", "typ 'jwt'", "typ ''", "typ missing"},
}


@pytest.mark.parametrize("use", ["id-jag", "workload"])
async def test_each_hostile_token_is_refused_for_its_one_fault_and_never_a_500_t33(world: World, use: str) -> None:
    typ = {"id-jag": "oauth-id-jag+jwt", "workload": "JWT"}[use]
    claims = {
        **world.claims("same"),
        "iss": "https://idp.example",
        "sub": "U1",
        "exp": world.door.clock() // 1000 + 900,
    }
    base = Base({"alg": "ES256", "typ": typ, "kid": KEY.kid}, claims)
    jwks = {"keys": [KEY.public_jwk()]}
    for kind, policy in (
        ("id-jag", TrustPolicy(subject_by="email", public_clients=True, reusable=True)),
        ("workload", TrustPolicy(claims=(("repository", "acme/deploy"),), reusable=True)),
    ):
        await trust.add(world.door.operator, world.door.project, claims["iss"], kind, policy=policy, jwks=jwks)  # type: ignore[arg-type]  # both are kinds
    present, _ = USED[use]
    right = set()
    for name, token in build_hostile(base).items():
        answer = await present(world, token, name)
        assert answer.status in (200, 400, 401, 413), (name, answer.status, answer.body)
        if answer.status == 200:
            right.add(name)
        world.door.clock.advance(seconds=3)
    assert right == HARMLESS | RIGHT_TYPES[use]
