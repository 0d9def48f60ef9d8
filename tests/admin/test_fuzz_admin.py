"""Whatever the document lets be asked, and what it does not, is answered as it says, and never with a fault."""

from collections.abc import AsyncIterator, Container
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from doorward.admin.openapi import build_openapi
from doorward.admin.operations import OPERATIONS
from doorward.admin.table import PREFIX, Operation
from doorward.fetch import GuardedFetcher
from tests.admin.api import Api, make_api
from tests.admin.generated import ANYTHING, nearly, values
from tests.inside import Door, open_door
from tests.manage.ground import Ground, lay_ground

search = settings(
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
# Passwords are hashed for tenths of a second, and a new key of RSA takes as long: both are walked elsewhere.
SLOW = {"addUser", "setPassword", "rotateSigningKeys"}


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Api, Ground]]:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError(host, port)

    async with open_door(tmp_path_factory.mktemp("fuzz") / "data") as door:
        door.context.documents.fetcher = GuardedFetcher(resolve=resolve)
        ground = await lay_ground(door)
        yield await make_api(door), ground


def known_ids(ground: Ground) -> dict[str, tuple[str, ...]]:
    return {
        "resource_id": (ground.resource.resource_id, ground.stopped.resource_id),
        "client_id": (ground.client.client_id, ground.waiting.client_id, ground.suspended.client_id, "mcl_gone"),
        "user_id": (ground.owner.user_id,),
        "connection_id": (ground.grant.grant_id, ground.ended.grant_id),
        "key_id": (ground.key.key_id,),
        "token_id": (ground.admin_token.token_id,),
        "rule_id": (ground.rule.rule_id,),
        "trust_id": (ground.trust.trust_id,),
        "reference": ("abcdefghij",),
    }


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = build_openapi()["paths"][f"{PREFIX}{operation.path}"][operation.method.lower()]
    return found


@dataclass(frozen=True)
class Asked:
    """What is asked for. A number in place of an id stands for one that is known."""

    operation: Operation
    named: dict[str, int | str]
    query: dict[str, Any]
    body: Any
    headers: dict[str, str]


@st.composite
def requests(draw: st.DrawFn, among: Container[str]) -> Asked:
    operation = draw(st.sampled_from([each for each in OPERATIONS if each.name in among]))
    texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/?"), min_size=1, max_size=12)
    named = {name: draw(st.integers(0, 3) | texts) for name in operation.parameters}
    parameters = [each for each in described(operation)["parameters"] if each["in"] == "query"]
    query = {each["name"]: draw(values(each["schema"])) for each in parameters if draw(st.booleans())}
    body = None
    if operation.body:
        schema = described(operation)["requestBody"]["content"]["application/json"]["schema"]
        body = draw(values(schema) | values(schema) | nearly(schema) | ANYTHING)
    keys = st.sampled_from([{}, {}, {"idempotency-key": "a"}, {"idempotency-key": "b"}])
    return Asked(operation, named, query, body, draw(keys))


async def try_one(api: Api, ground: Ground, asked: Asked) -> None:
    ids = known_ids(ground)
    named = {
        name: ids[name][value % len(ids[name])] if isinstance(value, int) else value
        for name, value in asked.named.items()
    }
    answer = await api.ask(asked.operation.name, asked.body, named=named, query=asked.query, headers=asked.headers)
    assert answer.status < 500, (named, answer.body)
    event(f"{asked.operation.name} {answer.status}")


ENDINGS = {
    "removeClient",
    "removeResource",
    "removeUser",
    "distrustIssuer",
    "removeKey",
    "removeAdminToken",
    "removeRule",
}
"""What would end the search early."""
NAMES = {operation.name for operation in OPERATIONS}


@search
@given(asked=requests(NAMES - SLOW - ENDINGS))
async def test_no_request_that_the_document_allows_or_forbids_is_a_fault_i11_t47(
    api: tuple[Api, Ground], asked: Asked
) -> None:
    await try_one(*api, asked)


@settings(search, max_examples=30)
@given(asked=requests(ENDINGS | SLOW))
async def test_nor_is_any_that_ends_or_makes_something_costly_i11(api: tuple[Api, Ground], asked: Asked) -> None:
    await try_one(*api, asked)


@settings(search, max_examples=100)
@given(raw=st.binary(max_size=60), path=st.text(max_size=30), query=st.text(st.characters(max_codepoint=126)))
async def test_nor_are_bytes_at_any_address_i11_t47(api: tuple[Api, Ground], raw: bytes, path: str, query: str) -> None:
    door: Door = api[0].door
    headers = {**api[0].bearer, "content-type": "application/json"}
    for method in ("GET", "POST", "PATCH", "DELETE"):
        place = f"{PREFIX}/{path.replace('?', '')}?{query}"
        answer = await door.call(method, place, raw, headers)
        assert answer.status in (200, 400, 404, 405, 422), (method, path, answer.body)
        posted = await door.call("POST", f"{PREFIX}/keys?{query}", raw, headers)
        assert posted.status in (400, 422), posted.body
