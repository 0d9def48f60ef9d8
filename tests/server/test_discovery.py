"""Well-known documents: the same for everybody, found wherever clients look, never an error but 404 and 405."""

import pytest

from doorward.manage import projects
from tests.inside import ISSUER, SCOPES, Door
from tests.server.steps import add_neighbour, assert_no_null, refusal, set_project

METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/oauth/authorize",
    "token_endpoint": f"{ISSUER}/api/oauth/token",
    "pushed_authorization_request_endpoint": f"{ISSUER}/api/oauth/par",
    "require_pushed_authorization_requests": False,
    "registration_endpoint": f"{ISSUER}/api/oauth/register",
    "revocation_endpoint": f"{ISSUER}/api/oauth/revoke",
    "introspection_endpoint": f"{ISSUER}/api/oauth/introspect",
    "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
    "scopes_supported": ["tools:read", "offline_access"],
    "response_types_supported": ["code"],
    "response_modes_supported": ["query"],
    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none", "private_key_jwt"],
    "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256"],
    "revocation_endpoint_auth_methods_supported": [
        "client_secret_post",
        "client_secret_basic",
        "none",
        "private_key_jwt",
    ],
    "revocation_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256"],
    "introspection_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
    "introspection_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256"],
    "client_id_metadata_document_supported": True,
    "code_challenge_methods_supported": ["S256"],
    "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256", "Ed25519"],
    "prompt_values_supported": ["none", "login", "consent", "select_account"],
    "authorization_response_iss_parameter_supported": True,
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["ES256"],
}
ROOT_FORMS = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/",
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/",
]
PROJECT_FORMS = [
    f"{before}/.well-known/{name}{after}{slash}"
    for name in ("oauth-authorization-server", "openid-configuration")
    for before, after in (("", "/p/acme"), ("/p/acme", ""))
    for slash in ("", "/")
]
UNKNOWN = [
    "/.well-known/",
    "/.well-known/nothing",
    "/.well-known/oauth-authorization-server/nothing",
    "/.well-known/oauth-authorization-server/p/nobody",
    "/.well-known/oauth-authorization-server/p/default",
    "/.well-known/oauth-authorization-server/p/",
    "/p/nobody/.well-known/oauth-authorization-server",
    "/p/default/.well-known/oauth-authorization-server",
    "/nothing/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/openid-credential-issuer",
    "/api/oauth/token/.well-known/jwks.json",
]


async def test_the_metadata_is_complete_and_says_nothing_else_asm_02_04_05_06_07_08_09_10_11_12_14_15(
    door: Door,
) -> None:
    answer = await door.call("GET", "/.well-known/oauth-authorization-server")
    assert answer.status == 200
    assert answer.json() == METADATA


@pytest.mark.parametrize("path", ROOT_FORMS)
async def test_every_form_of_the_address_serves_the_same_bytes_asm_01_03_16(door: Door, path: str) -> None:
    answer = await door.call("GET", path)
    assert (answer.status, answer.json()) == (200, METADATA)
    assert "location" not in answer.headers


@pytest.mark.parametrize("path", PROJECT_FORMS)
async def test_a_projects_issuer_has_its_path_before_or_after_the_well_known_part_asm_03(door: Door, path: str) -> None:
    await add_neighbour(door)
    answer = await door.call("GET", path)
    issuer = f"{ISSUER}/p/acme"
    assert (answer.status, answer.json()["issuer"]) == (200, issuer)
    endpoints = {name: value for name, value in answer.json().items() if name.endswith(("_endpoint", "_uri"))}
    assert len(endpoints) == 7
    assert all(value.startswith(f"{issuer}/") for value in endpoints.values())


async def test_the_endpoints_in_the_metadata_exist(door: Door) -> None:
    await add_neighbour(door)
    for before in ("", "/p/acme"):
        document = (await door.call("GET", f"{before}/.well-known/oauth-authorization-server")).json()
        paths = {name: url.removeprefix(ISSUER) for name, url in document.items() if name.endswith("_endpoint")}
        assert len(paths) == 6
        for path in paths.values():
            assert (await door.call("GET", path)).status in (400, 405)
        assert (await door.call("GET", document["jwks_uri"].removeprefix(ISSUER))).status == 200


async def test_no_document_holds_a_null(door: Door) -> None:
    for path in (*ROOT_FORMS, "/.well-known/jwks.json"):
        assert_no_null((await door.call("GET", path)).json())


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_unknown_document_is_404_as_json_whoever_asks_asm_17(door: Door, path: str, method: str) -> None:
    answer = await door.call(method, path, headers={"authorization": "Bearer nonsense"})
    assert (answer.status, answer.header("content-type")) == (404, "application/json")
    assert answer.header("access-control-allow-origin") == "*"
    if method == "GET":
        assert refusal(answer) == (404, "not_found")


async def test_documents_are_never_limited(door: Door) -> None:
    answers = {(await door.call("GET", path)).status for _ in range(300) for path in (ROOT_FORMS[0], UNKNOWN[1])}
    assert answers == {200, 404}


@pytest.mark.parametrize("path", [*ROOT_FORMS, "/.well-known/jwks.json"])
async def test_documents_may_be_kept_for_five_minutes_and_are_not_sent_again_asm_04(door: Door, path: str) -> None:
    first = await door.call("GET", path)
    assert first.header("cache-control") == "public, max-age=300"
    assert first.header("content-type") == "application/json"
    again = await door.call("GET", path, headers={"if-none-match": first.header("etag")})
    assert (again.status, again.body, again.header("etag")) == (304, b"", first.header("etag"))
    other = await door.call("GET", path, headers={"if-none-match": '"something else"'})
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize("given", ["W/{etag}", '"other", {etag}', "{etag}"])
async def test_an_entity_tag_is_recognised_among_others_and_weakened(door: Door, given: str) -> None:
    etag = (await door.call("GET", ROOT_FORMS[0])).header("etag")
    answer = await door.call("GET", ROOT_FORMS[0], headers={"if-none-match": given.format(etag=etag)})
    assert answer.status == 304


async def test_the_entity_tag_changes_with_the_document(door: Door) -> None:
    before = (await door.call("GET", ROOT_FORMS[0])).header("etag")
    await set_project(door, registration_mode="protected")
    answer = await door.call("GET", ROOT_FORMS[0], headers={"if-none-match": before})
    assert answer.status == 200
    assert answer.header("etag") != before


async def test_head_is_get_without_the_body(door: Door) -> None:
    get, head = [await door.call(method, ROOT_FORMS[0]) for method in ("GET", "HEAD")]
    assert (head.status, head.body) == (200, b"")
    ignored = {"x-request-id"}
    assert {name: get.headers[name] for name in get.headers.keys() - ignored} == {
        name: head.headers[name] for name in head.headers.keys() - ignored
    }


async def test_browsers_of_any_origin_may_read_documents_and_see_challenges_asm_18(door: Door) -> None:
    answer = await door.call("GET", ROOT_FORMS[0], headers={"origin": "https://inspector.example.com"})
    assert answer.headers["access-control-allow-origin"] == ["*"]
    assert "WWW-Authenticate" in answer.header("access-control-expose-headers")
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", [ROOT_FORMS[0], "/.well-known/nothing"])
async def test_a_preflight_of_a_document_is_allowed_asm_18(door: Door, path: str) -> None:
    asked = {"origin": "https://a.example", "access-control-request-headers": "mcp-protocol-version"}
    answer = await door.call("OPTIONS", path, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ["*"]
    assert "mcp-protocol-version" in answer.header("access-control-allow-headers").lower()
    assert "GET" in answer.header("access-control-allow-methods")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_documents_are_only_read_asm_04(door: Door, method: str) -> None:
    answer = await door.call(method, ROOT_FORMS[0])
    assert refusal(answer) == (405, "invalid_request")
    assert answer.header("allow") == "GET, HEAD"


@pytest.mark.parametrize("version", ["2024-11-05", "2025-11-25", "2026-07-28", "nonsense"])
async def test_the_protocol_version_of_mcp_changes_nothing(door: Door, version: str) -> None:
    answer = await door.call("GET", ROOT_FORMS[0], headers={"mcp-protocol-version": version})
    assert (answer.status, answer.json()) == (200, METADATA)


@pytest.mark.parametrize(("mode", "is_there"), [("open", True), ("protected", False), ("closed", False)])
async def test_registration_is_advertised_only_to_those_who_can_use_it_asm_13_c1(
    door: Door, mode: str, *, is_there: bool
) -> None:
    await set_project(door, registration_mode=mode)
    assert ("registration_endpoint" in (await door.call("GET", ROOT_FORMS[0])).json()) is is_there


async def test_the_issuer_never_comes_from_a_request_t38(door: Door) -> None:
    forged = {"host": "evil.test", "x-forwarded-host": "evil.test", "x-forwarded-proto": "http", "forwarded": "host=e"}
    answer = await door.call("GET", ROOT_FORMS[0], headers=forged)
    assert answer.json() == METADATA


async def test_a_change_by_another_process_is_seen_within_a_second(door: Door) -> None:
    await door.call("GET", ROOT_FORMS[0])
    await projects.change_project(door.operator, door.project, {"registration_mode": "closed"})
    door.clock.advance(seconds=1)
    assert "registration_endpoint" not in (await door.call("GET", ROOT_FORMS[0])).json()


async def test_scopes_supported_is_the_small_set_with_offline_access_asm_12(door: Door) -> None:
    supported = (await door.call("GET", ROOT_FORMS[0])).json()["scopes_supported"]
    assert supported == ["tools:read", "offline_access"]
    assert len(supported) < len(SCOPES) + 1
