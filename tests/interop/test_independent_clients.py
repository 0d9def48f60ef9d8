"""openid-client and oauth4webapi, unmodified, in Node over real sockets: independent readings of the same standards.

Spec: TOK-03, TOK-04, RT-03, CC-01, CAU-02, CAU-07, PAR-05, DEV-06, DPOP-01 … DPOP-05, ISS-01, INT-03, REV-05
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from doorward.oauth.jwt import SigningKey, generate_signing_key
from tests.interop.browsers import FormBrowser
from tests.interop.node.independent import run_client
from tests.interop.node.programs import Step, find_node
from tests.running import RunningDoorward, start_doorward

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
OPENID, OAUTH = "openid.mjs", "oauth4webapi.mjs"
EITHER = pytest.mark.parametrize("program", [OPENID, OAUTH])


@pytest.fixture(scope="module", autouse=True)
def node() -> str:
    return find_node()


@pytest.fixture(scope="module")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoorward]:
    """A server that asks for a nonce in every proof, and lets devices in."""
    server = start_doorward(tmp_path_factory.mktemp("proving") / "data", "--demo")
    server.admin("project", "set", "dpop_nonces=true")
    server.admin("project", "set", "device_flow=true")
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def service(doorward: RunningDoorward) -> dict[str, Any]:
    """A client that an operator added to speak for itself."""
    made: dict[str, Any] = doorward.admin(
        "client", "add", "--name", "Nightly job", "--grant", "client_credentials", "--scope", "tools:read"
    )
    return made


@pytest.fixture(scope="module")
def keyed(doorward: RunningDoorward, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], SigningKey]:
    """A client that proves itself by a key of its own."""
    key = generate_signing_key("ES256")
    jwks = tmp_path_factory.mktemp("keys") / "jwks.json"
    jwks.write_text(json.dumps({"keys": [key.public_jwk()]}))
    made = doorward.admin(
        "client", "add", "--grant", "client_credentials", "--jwks-file", str(jwks), "--scope", "tools:read"
    )
    return made, key


def kept(tokens: dict[str, Any]) -> tuple[str, int, str]:
    return tokens["token_type"], tokens["expires_in"], tokens["scope"]


@EITHER
async def test_a_public_client_runs_code_refresh_and_revocation(
    doorward: RunningDoorward, browser: FormBrowser, program: str
) -> None:
    asked = {"resource": doorward.demo, "scope": "tools:read"}
    registered, first, second, revoked, again = await run_client(
        program,
        browser,
        doorward.issuer,
        ["register"],
        ["code", asked],
        ["refresh"],
        ["revoke"],
        ["refresh"],
        method="none",
    )
    assert registered["token_endpoint_auth_method"] == "none"
    assert kept(first) == kept(second) == ("bearer", 900, "tools:read")
    assert first["access_token"] != second["access_token"]
    assert first["refresh_token"] != second["refresh_token"]
    assert revoked == {}
    assert (again["error"], again["status"]) == ("invalid_grant", 400)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_with_a_secret_runs_code_refresh_and_introspects_its_own_token(
    doorward: RunningDoorward, browser: FormBrowser, method: str
) -> None:
    asked = {"resource": doorward.demo, "scope": "tools:read"}
    registered, _, second, told = await run_client(
        OPENID,
        browser,
        doorward.issuer,
        ["register", {"token_endpoint_auth_method": method}],
        ["code", asked],
        ["refresh"],
        ["introspect"],
        method=method,
    )
    assert (registered["token_endpoint_auth_method"], bool(registered["client_secret"])) == (method, True)
    assert (told["active"], told["client_id"], told["scope"]) == (True, registered["client_id"], second["scope"])


@EITHER
async def test_a_client_that_speaks_for_itself(
    doorward: RunningDoorward, browser: FormBrowser, service: dict[str, Any], program: str
) -> None:
    steps: list[Step] = [["credentials", {"resource": doorward.demo}], ["introspect"]]
    if program == OPENID:
        steps.insert(0, ["discover"])
    given = {"clientId": service["client_id"], "secret": service["client_secret"], "method": "client_secret_basic"}
    *_, tokens, told = await run_client(program, browser, doorward.issuer, *steps, **given)
    assert kept(tokens) == ("bearer", 900, "tools:read")
    assert "refresh_token" not in tokens
    assert (told["active"], told["sub"]) == (True, service["client_id"])


async def test_a_client_that_proves_itself_by_its_key(
    doorward: RunningDoorward, browser: FormBrowser, keyed: tuple[dict[str, Any], SigningKey]
) -> None:
    made, key = keyed
    _, tokens, told = await run_client(
        OPENID,
        browser,
        doorward.issuer,
        ["discover"],
        ["credentials", {"resource": doorward.demo}],
        ["introspect"],
        clientId=made["client_id"],
        key=key.private_jwk(),
        method="private_key_jwt",
    )
    assert kept(tokens) == ("bearer", 900, "tools:read")
    assert (told["active"], told["sub"]) == (True, made["client_id"])


@pytest.mark.parametrize("alg", ["ES256", "RS256", "Ed25519"])
async def test_tokens_bound_to_a_key_are_got_refreshed_and_used(
    doorward: RunningDoorward, browser: FormBrowser, alg: str
) -> None:
    asked = {"resource": doorward.demo, "scope": "tools:read"}
    _, first, second, called = await run_client(
        OPENID,
        browser,
        doorward.issuer,
        ["register"],
        ["code", asked],
        ["refresh"],
        ["call", doorward.demo],
        method="none",
        dpop=alg,
    )
    assert (first["token_type"], second["token_type"]) == ("dpop", "dpop")
    assert called == {"status": 200}


@EITHER
async def test_nonces_are_asked_for_and_sent(
    proving: RunningDoorward, fresh_browser: FormBrowser, program: str
) -> None:
    asked = {"resource": proving.demo, "scope": "tools:read"}
    steps: list[Step] = [["register"], ["prove"], ["code", {**asked, "bind": True}], ["refresh"]]
    if program == OPENID:
        steps = [["register"], ["code", asked], ["refresh"]]
    told = await run_client(program, fresh_browser, proving.issuer, *steps, method="none", dpop="ES256")
    assert [tokens["token_type"] for tokens in told[-2:]] == ["dpop", "dpop"]


@EITHER
@pytest.mark.parametrize("dpop", [None, "ES256"])
async def test_a_pushed_request_goes_all_the_way(
    doorward: RunningDoorward, browser: FormBrowser, program: str, dpop: str | None
) -> None:
    asked = {"resource": doorward.demo, "scope": "tools:read", "pushed": True}
    steps: list[Step] = [["register"], ["code", asked], ["refresh"]]
    if program == OAUTH and dpop:
        steps.insert(1, ["prove"])
    *_, refreshed = await run_client(program, browser, doorward.issuer, *steps, method="none", dpop=dpop)
    assert kept(refreshed) == ("dpop" if dpop else "bearer", 900, "tools:read")
    assert "request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A" in browser.visits[0]
    assert "scope=" not in browser.visits[0]


@pytest.mark.parametrize("dpop", [None, "ES256"])
async def test_a_device_waits_until_a_person_lets_it_in(
    proving: RunningDoorward, fresh_browser: FormBrowser, dpop: str | None
) -> None:
    async def approve(device: dict[str, Any]) -> None:
        await fresh_browser.person.let_in_device(device["verification_uri_complete"])

    registered, tokens, refreshed, told = await run_client(
        OPENID,
        fresh_browser,
        proving.issuer,
        ["register", {"grant_types": [DEVICE, "refresh_token"], "redirect_uris": []}],
        ["device", {"resource": proving.demo, "scope": "tools:read"}],
        ["refresh"],
        ["call", proving.demo],
        method="none",
        dpop=dpop,
        approve=approve,
    )
    assert registered["grant_types"] == [DEVICE, "refresh_token"]
    assert kept(tokens) == kept(refreshed) == ("dpop" if dpop else "bearer", 900, "tools:read")
    assert told == {"status": 200}


async def test_a_resource_server_of_another_library_takes_our_tokens(
    doorward: RunningDoorward, browser: FormBrowser
) -> None:
    asked = {"resource": doorward.demo, "scope": "tools:read"}
    steps: list[Step] = [
        ["register"],
        ["code", asked],
        ["validate", doorward.demo],
        ["validate", "https://other.example.com/mcp"],
    ]
    registered, _, claims, refused = await run_client(OAUTH, browser, doorward.issuer, *steps)
    assert (claims["iss"], claims["aud"]) == (doorward.issuer, doorward.demo)
    assert (claims["client_id"], claims["scope"]) == (registered["client_id"], "tools:read")
    assert "error" in refused


async def test_an_error_of_ours_is_read_as_what_it_says(doorward: RunningDoorward, browser: FormBrowser) -> None:
    (_, refused) = await run_client(
        OPENID,
        browser,
        doorward.issuer,
        ["register", {"token_endpoint_auth_method": "client_secret_basic"}],
        ["credentials", {"resource": doorward.demo}],
        method="client_secret_basic",
    )
    assert (refused["error"], refused["status"]) == ("unauthorized_client", 400)
