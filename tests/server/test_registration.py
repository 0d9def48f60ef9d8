"""Dynamic registration: what is answered to what clients really send.

Spec: RFC 7591, DCR-04, DCR-05, DCR-09 … DCR-15, DCR-19; DCM-08; REG-07 … REG-10; clients.md §3.2
"""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from doorward.core.limits import REGISTER_PROJECT, REGISTER_SOURCE
from doorward.manage import connections
from doorward.server import registration
from doorward.server.registration import UNUSED_LIFE_MS
from doorward.storage.clients import count_clients, find_client
from tests.inside import ISSUER, LOOPBACK, Answer, Door
from tests.server.steps import REGISTER, WEB_REDIRECT, assert_no_null, basic, refusal

NATIVE = {
    "redirect_uris": [LOOPBACK],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "application_type": "native",
    "scope": "tools:read",
}
CURSOR = ["cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", LOOPBACK]


async def registered(door: Door, **members: Any) -> dict[str, Any]:
    """The 201 to a registration, sure of its form."""
    answer = await door.post_json(REGISTER, members)
    assert answer.status == 201, answer.body
    assert answer.header("content-type") == "application/json"
    assert (answer.header("cache-control"), answer.header("pragma")) == ("no-store", "no-cache")
    assert_no_null(answer.json())
    return answer.json()


async def post(door: Door, body: bytes, content_type: str = "application/json") -> Answer:
    return await door.call("POST", REGISTER, body, {"content-type": content_type})


def managed(answer: dict[str, Any]) -> dict[str, Any]:
    """The two members with which a registration is managed."""
    assert answer["registration_access_token"].startswith("mra_")
    assert answer["registration_client_uri"] == f"{ISSUER}/api/oauth/register/{answer['client_id']}"
    return {name: answer[name] for name in ("registration_access_token", "registration_client_uri")}


async def test_a_native_client_is_answered_everything_registered_dcr_04_dcr_05_dcm_08(door: Door) -> None:
    answer = await registered(door, redirect_uris=[LOOPBACK], client_name="Inspector")
    assert answer == {
        "client_id": answer["client_id"],
        "client_id_issued_at": door.clock() // 1000,
        "client_name": "Inspector",
        **managed(answer),
        **NATIVE,
    }


async def test_a_web_client_gets_a_secret_that_does_not_expire_dcr_04_05_dcm_08(door: Door) -> None:
    answer = await registered(door, redirect_uris=[WEB_REDIRECT])
    assert answer == {
        "client_id": answer["client_id"],
        "client_id_issued_at": door.clock() // 1000,
        "client_secret": answer["client_secret"],
        "client_secret_expires_at": 0,
        **managed(answer),
        **NATIVE,
        "redirect_uris": [WEB_REDIRECT],
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",
    }


async def test_a_secret_is_stored_as_its_hash_only_pre_03(door: Door) -> None:
    answer = await registered(door, redirect_uris=[WEB_REDIRECT])
    client = await door.context.database.read(find_client, door.project.project_id, answer["client_id"])
    assert client is not None
    assert client.secret_hash is not None
    assert answer["client_secret"].encode() not in client.secret_hash
    assert len(client.secret_hash) == 32


async def test_ids_and_secrets_read_the_same_raw_and_encoded_and_never_repeat_dcr_12(door: Door) -> None:
    answers = [await registered(door, redirect_uris=[WEB_REDIRECT]) for _ in range(10)]
    for member in ("client_id", "client_secret"):
        values = {answer[member] for answer in answers}
        assert len(values) == 10
        assert all(value.replace("-", "").replace("_", "").isalnum() and value.isascii() for value in values)


@pytest.mark.parametrize(
    ("redirect_uris", "method", "application_type"),
    [
        ([LOOPBACK], "none", "native"),
        (["http://localhost/callback", "http://[::1]/callback"], "none", "native"),
        (["com.example.app:/callback"], "none", "native"),
        (CURSOR, "none", "native"),
        ([WEB_REDIRECT], "client_secret_basic", "web"),
    ],
)
async def test_what_a_client_leaves_out_is_inferred_from_where_it_lives_dcr_15_reg_09_c4(
    door: Door, redirect_uris: list[str], method: str, application_type: str
) -> None:
    answer = await registered(door, redirect_uris=redirect_uris)
    assert answer["redirect_uris"] == redirect_uris
    assert (answer["token_endpoint_auth_method"], answer["application_type"]) == (method, application_type)
    assert answer["grant_types"] == ["authorization_code", "refresh_token"]
    assert answer["response_types"] == ["code"]


@pytest.mark.parametrize("application_type", ["native", "web"])
@pytest.mark.parametrize("redirect_uris", [[LOOPBACK], [WEB_REDIRECT], CURSOR])
async def test_an_application_type_is_kept_and_never_a_reason_to_refuse_dcr_15_c4(
    door: Door, redirect_uris: list[str], application_type: str
) -> None:
    answer = await registered(door, redirect_uris=redirect_uris, application_type=application_type)
    assert answer["application_type"] == application_type


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
async def test_the_method_that_was_asked_for_is_registered_reg_08(door: Door, method: str) -> None:
    answer = await registered(door, redirect_uris=[LOOPBACK], token_endpoint_auth_method=method)
    assert answer["token_endpoint_auth_method"] == method
    assert ("client_secret" in answer) is (method != "none")
    assert ("client_secret_expires_at" in answer) is (method != "none")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1",
        "http://127.0.0.1:7777",
        "http://localhost",
        "http://localhost:33418/",
        "http://[::1]:1/x?y=z",
        "https://claude.ai/api/mcp/auth_callback",
        "https://client.example.com",
        "https://client.example.com/cb?tenant=1",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "vscode://dynamicauthprovider/authorize",
        "warp://mcp/oauth2callback",
        "com.raycast:/oauth",
        "mcpjam://oauth/callback",
    ],
)
async def test_addresses_that_real_clients_use_are_taken_as_they_are_dcr_09(door: Door, uri: str) -> None:
    assert (await registered(door, redirect_uris=[uri]))["redirect_uris"] == [uri]


async def test_ten_redirect_uris_are_kept_in_the_order_they_came(door: Door) -> None:
    uris = [f"https://client.example.com/{number}" for number in range(9, -1, -1)]
    assert (await registered(door, redirect_uris=uris))["redirect_uris"] == uris


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (["authorization_code"], ["authorization_code"]),
        (["refresh_token", "authorization_code"], ["refresh_token", "authorization_code"]),
        (
            ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
            ["authorization_code", "refresh_token"],
        ),
        (["authorization_code", "implicit", "password"], ["authorization_code"]),
        ([], ["authorization_code", "refresh_token"]),
        (None, ["authorization_code", "refresh_token"]),
    ],
)
async def test_grant_types_are_narrowed_to_what_is_offered_dcr_14(
    door: Door, asked: list[str] | None, answered: list[str]
) -> None:
    assert (await registered(door, redirect_uris=[LOOPBACK], grant_types=asked))["grant_types"] == answered


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (None, "tools:read"),
        ("", "tools:read"),
        ("tools:write", "tools:write"),
        ("tools:read tools:write offline_access", "tools:read tools:write offline_access"),
        ("openid profile email tools:read", "tools:read"),
        ("openid profile email", "tools:read"),
        ('not"a scope\\', "tools:read"),
        ("x" * 60_000, "tools:read"),
    ],
)
async def test_a_scope_is_never_an_error_and_the_known_part_is_answered_reg_10(
    door: Door, asked: str | None, answered: str
) -> None:
    assert (await registered(door, redirect_uris=[LOOPBACK], scope=asked))["scope"] == answered


async def test_members_that_nobody_knows_are_left_out_dcr_10(door: Door) -> None:
    answer = await registered(
        door, redirect_uris=[LOOPBACK], resource="https://x", client_id="mine", client_secret="mine", nested={"a": [1]}
    )
    assert answer.keys() == {"client_id", "client_id_issued_at", *managed(answer), *NATIVE}
    assert answer["client_id"] != "mine"


async def test_what_people_may_be_shown_is_answered_as_it_is_kept(door: Door) -> None:
    shown = {
        "client_name": "Zoë’s agent",
        "client_uri": "https://client.example.com",
        "logo_uri": "https://client.example.com/logo.png",
        "tos_uri": "https://client.example.com/tos",
        "policy_uri": "https://client.example.com/policy",
        "contacts": ["ops@client.example.com"],
        "software_id": "agent",
        "software_version": "1.2.3",
    }
    answer = await registered(door, redirect_uris=[LOOPBACK], **shown)
    assert {name: answer[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\u202egnp.exe", "a gnp.exe"),
        ("  spaced \t\n out  ", "spaced out"),
        ("zero\u200bwidth\ufeff", "zero width"),
        ("\x00\x1b[31mred", "[31mred"),
        ("", None),
        ("n" * 200, "n" * 64),
        ("e\u0301", "é"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
async def test_a_hostile_name_is_made_harmless_for_display_t4(door: Door, given: str, kept: str | None) -> None:
    body = json.dumps({"redirect_uris": [LOOPBACK], "client_name": given}).encode()
    answer = await post(door, body)
    assert answer.status == 201
    assert answer.json().get("client_name") == kept


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://x", "data:,x", "https://é", "https://a b", 7])
async def test_an_address_for_display_that_is_not_plain_https_is_left_out(door: Door, url: object) -> None:
    answer = await registered(door, redirect_uris=[LOOPBACK], client_uri=url, logo_uri=url)
    assert answer.keys().isdisjoint({"client_uri", "logo_uri"})


async def test_text_that_no_database_can_hold_is_cleaned(door: Door) -> None:
    answer = await post(door, b'{"contacts": ["a\\u0000b"], "redirect_uris": ["http://127.0.0.1/cb"]}')
    assert answer.status == 201
    assert answer.json()["contacts"] == ["a b"]


@pytest.mark.parametrize(
    "body", [b'{"contacts": ["\\ud800"]', b'{"software_id": "\\udfff"', b'{"client_name": "\\ud800"']
)
async def test_text_that_cannot_be_encoded_is_refused(door: Door, body: bytes) -> None:
    answer = await post(door, body + b', "redirect_uris": ["http://127.0.0.1/cb"]}')
    assert refusal(answer) == (400, "invalid_client_metadata")


async def test_an_unused_stored_registration_is_forgotten_after_its_time_dcr_13(door: Door) -> None:
    client = await registered(door, redirect_uris=[WEB_REDIRECT])
    door.clock.advance(seconds=UNUSED_LIFE_MS / 1000)
    secret = {"client_secret": client["client_secret"]}
    refused = await door.redeem(client["client_id"], "mac_x", "v" * 43, **secret)
    assert refusal(refused) == (401, "invalid_client")


async def test_a_public_registration_stores_nothing_and_is_known_for_ever(door: Door) -> None:
    client = await registered(door, redirect_uris=[LOOPBACK])
    assert await door.context.database.read(count_clients, door.project.project_id) == 0
    door.clock.advance(seconds=10 * UNUSED_LIFE_MS / 1000)
    known = await door.redeem(client["client_id"], "mac_x", "v" * 43)
    assert refusal(known) == (400, "invalid_grant")


async def test_a_registration_is_audited_once_with_its_source_i7(door: Door) -> None:
    client = await registered(door, redirect_uris=[WEB_REDIRECT], client_name="Inspector")
    events = await connections.recent_events(door.operator, door.project)
    found = [event for event in events if event.action == "client.registered"]
    assert [(event.actor, event.target, event.detail) for event in found] == [
        (
            "source:203.0.113.9",
            f"client:{client['client_id']}",
            {"name": "Inspector", "redirects": [urlsplit(WEB_REDIRECT).netloc], "status": "active"},
        )
    ]


async def test_one_source_is_limited_and_told_when_to_come_back_dcr_19(door: Door) -> None:
    for _ in range(REGISTER_SOURCE.burst):
        await registered(door, redirect_uris=[WEB_REDIRECT])
    answer = await door.post_json(REGISTER, {"redirect_uris": [WEB_REDIRECT]})
    assert refusal(answer) == (429, "temporarily_unavailable")
    assert answer.header("retry-after") == str(REGISTER_SOURCE.period_ms // 1000)
    assert answer.header("access-control-allow-origin") == "*"
    other = json.dumps({"redirect_uris": ["https://other.example.com/callback"]}).encode()
    media = {"content-type": "application/json"}
    assert (await door.call("POST", REGISTER, other, media, source="198.51.100.7")).status == 201
    door.clock.advance(seconds=REGISTER_SOURCE.period_ms / 1000)
    assert (await door.post_json(REGISTER, {"redirect_uris": [WEB_REDIRECT]})).status == 201


async def test_a_whole_project_is_limited_however_many_sources_there_are(door: Door) -> None:
    media = {"content-type": "application/json"}
    statuses = []
    for n in range(REGISTER_PROJECT.burst + 1):
        body = json.dumps({"redirect_uris": [f"https://app{n}.example.com/callback"]}).encode()
        answer = await door.call("POST", REGISTER, body, media, source=f"10.{n >> 8}.{n & 255}.1")
        statuses.append(answer.status)
    assert statuses == [201] * REGISTER_PROJECT.burst + [429]


async def test_a_project_holds_no_more_clients_than_its_quota_dcr_13_i13(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MAX_CLIENTS", 2)
    for _ in range(2):
        await registered(door, redirect_uris=[WEB_REDIRECT])
    answer = await door.post_json(REGISTER, {"redirect_uris": [WEB_REDIRECT]})
    assert refusal(answer) == (429, "temporarily_unavailable")
    assert int(answer.header("retry-after")) >= 60
    assert await door.context.database.read(count_clients, door.project.project_id) == 2


async def test_credentials_of_another_kind_are_not_a_registration_secret(door: Door) -> None:
    answer = await door.post_json(REGISTER, {"redirect_uris": [LOOPBACK]}, basic("somebody", "secret"))
    assert answer.status == 201
