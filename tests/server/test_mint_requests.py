"""What a backend asks for is read in one way or not at all, and nobody gets a name that is another's (TX-10, REG-07).

Spec: TX-10, REG-07, T44
"""

import json
from typing import Any

import pytest

from doorward.manage import clients, users
from tests.inside import ISSUER, LOOPBACK, Door
from tests.server.minting import MINT, mint, public_client
from tests.server.steps import bearer, claims_of, project_key, refusal, success
from tests.storage.rows import dump


@pytest.mark.parametrize(
    "members",
    [
        {"subject": None},
        {"client_id": None},
        {"scopes": None},
        {"subject": ""},
        {"subject": 7},
        {"subject": ["user-1"]},
        {"subject": "user 1"},
        {"subject": "user\n1"},
        {"subject": "usér"},
        {"subject": "u" * 256},
        {"client_id": ""},
        {"client_id": {"a": 1}},
        {"client_id": "x" * 2049},
        {"scopes": "tools:read"},
        {"scopes": [7]},
        {"scopes": [None]},
        {"scopes": {"tools:read": True}},
        {"scopes": ["a"] * 101},
        {"resource": 7},
        {"resource": ""},
        {"may_act": "mcl_one"},
        {"may_act": {}},
        {"may_act": {"sub": 7}},
        {"may_act": {"sub": ""}},
        {"may_act": {"sub": "mcl_one", "iss": ISSUER}},
        {"may_act": ["mcl_one"]},
    ],
)
async def test_a_request_is_read_strictly_and_nothing_is_made_of_a_wrong_one(
    door: Door, members: dict[str, Any]
) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    before = await dump(door.context.database, door.project.project_id)
    assert refusal(await mint(door, secret, **{"client_id": client_id, **members})) == (400, "invalid_request")
    assert await dump(door.context.database, door.project.project_id) == before


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b'{"subject": "user-1", "subject": "root"}', "application/json"),
        (b'{"scopes": NaN}', "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 30_000, "application/json"),
        (b"{}", "text/plain"),
        (b"subject=user-1", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_that_can_be_read_in_two_ways_or_in_none_is_refused(door: Door, body: bytes, media: str) -> None:
    headers = {**bearer(await project_key(door, "mint")), "content-type": media}
    assert refusal(await door.call("POST", MINT, body, headers)) == (400, "invalid_request")


async def test_members_it_does_not_know_and_those_that_are_null_change_nothing_t44(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    asked = {"client_id": client_id, "subject": "user-1", "scopes": ["tools:read"]}
    more = {"resource": None, "may_act": None, "expires_in": 86_400, "role": "owner", "act": {"sub": "root"}}
    tokens = success(await door.post_json(MINT, {**asked, **more}, bearer(secret)))
    assert tokens["expires_in"] == 900
    assert "act" not in claims_of(tokens["access_token"])
    assert (await users.get(door.operator, door.project, "user-1")).role == "member"


@pytest.mark.parametrize(
    "subject",
    [
        "usr_nobody",
        "USR_nobody",
        "mcl_nobody",
        "mcx_AAAA",
        "tru_nobody",
        "key_nobody",
        "mat_token",
        "workload:tru_one:repo:acme/shop:ref:refs/heads/main",
        "https://client.example.com/metadata.json",
        "HTTPS://client.example.com/metadata.json",
    ],
)
async def test_nobody_is_called_like_a_client_or_an_id_of_ours_reg_07(door: Door, subject: str) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    before = await dump(door.context.database, door.project.project_id)
    assert refusal(await mint(door, secret, client_id=client_id, subject=subject)) == (400, "invalid_request")
    after = await dump(door.context.database, door.project.project_id)
    assert {name for name in after if after[name] != before.get(name)} == {"throttles"}


async def test_nobody_is_called_like_a_client_that_is_there_whatever_it_is_called_reg_07(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    success(await mint(door, secret, client_id=client_id))
    for taken in (client_id, (await clients.add(door.operator, door.project, (LOOPBACK,)))[0].client_id):
        refused = await mint(door, secret, client_id=client_id, subject=taken)
        assert refusal(refused) == (400, "invalid_request")


async def test_its_log_and_its_errors_repeat_nothing_it_was_sent(door: Door) -> None:
    client_id, secret = await public_client(door), await project_key(door, "mint")
    for members in ({"subject": "canary-subject x"}, {"scopes": ["canary-scope"]}, {"may_act": {"canary": "x"}}):
        answer = await mint(door, secret, **{"client_id": client_id, **members})
        assert answer.status == 400
        assert b"canary" not in answer.body
    assert secret not in json.dumps(await dump(door.context.database, door.project.project_id), default=str)
