"""What is wrong once the redirect URI is right is told to the client, with `state` and `iss`, and goes out by itself
only where it cannot lead a person to a stranger's site (AUTHZ-06, AUTHZ-11, ISS-03, T50)."""

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from doorward.manage import clients, resources
from tests.inside import ISSUER, LOOPBACK, RESOURCE, Answer, Door
from tests.person import answer_parameters, read_page
from tests.server.steps import VERIFIER, WEB_REDIRECT, redirect_parameters, stop

WRONG = [
    ({"response_type": ""}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code token"}, "unsupported_response_type"),
    ({"response_type": "CODE"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"response_mode": "form_post"}, "invalid_request"),
    ({"code_challenge": ""}, "invalid_request"),
    ({"code_challenge_method": ""}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": "s256"}, "invalid_request"),
    ({"code_challenge": "c" * 42}, "invalid_request"),
    ({"code_challenge": "c" * 44}, "invalid_request"),
    ({"code_challenge": "c" * 42 + "+"}, "invalid_request"),
    ({"code_challenge": "c" * 42 + "="}, "invalid_request"),
    ({"resource": "https://unknown.example.com/mcp"}, "invalid_target"),
    ({"resource": "mcp.example.com"}, "invalid_target"),
    ({"resource": "/mcp"}, "invalid_target"),
    ({"resource": f"{RESOURCE}#fragment"}, "invalid_target"),
    ({"resource": f"{RESOURCE}/deeper"}, "invalid_target"),
    ({"resource": RESOURCE.removesuffix("/mcp")}, "invalid_target"),
    ({"resource": RESOURCE.replace("/mcp", "/MCP")}, "invalid_target"),
    ({"resource": RESOURCE.replace("https", "http")}, "invalid_target"),
    ({"resource": "https://[::1"}, "invalid_target"),
    ({"resource": f"https://{'x' * 3000}"}, "invalid_target"),
    ({"scope": "nothing known"}, "invalid_scope"),
    ({"scope": "TOOLS:READ"}, "invalid_scope"),
    ({"scope": 'not"allowed'}, "invalid_scope"),
    ({"scope": "x" * 200}, "invalid_scope"),
    ({"scope": " ".join(f"s{number}" for number in range(200))}, "invalid_scope"),
    ({"request": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"max_age": "soon"}, "invalid_request"),
    ({"authorization_details": '[{"type":"payment"}]'}, "invalid_authorization_details"),
]
TWICE = ["state=two", "response_type=code", "scope=a&scope=b", "code_challenge_method=S256", "x=1&x=2"]


def assert_told(parameters: dict[str, str], error: str, state: str | None = "state-1") -> None:
    """A whole error response, nothing missing and nothing else in it."""
    told = {**parameters}
    assert told.pop("error_description")
    expected = {"error": error, "iss": ISSUER}
    assert told == (expected if state is None else {**expected, "state": state})


async def authorize(door: Door, client_id: str, **parameters: str) -> Answer:
    return await door.call("GET", door.authorization_url(client_id, VERIFIER, **parameters))


@pytest.mark.parametrize(("parameters", "error"), WRONG, ids=str)
async def test_a_client_on_this_machine_is_told_by_redirect_authz_03_11_pkce_02_03_res_03_04_iss_03(
    door: Door, parameters: dict[str, str], error: str
) -> None:
    client_id = (await door.register())["client_id"]
    answer = await authorize(door, client_id, **parameters)
    assert answer.status == 302
    assert answer.header("location").startswith(f"{LOOPBACK}?")
    assert_told(redirect_parameters(answer), error)
    assert answer.header("cache-control") == "no-store"
    assert answer.header("referrer-policy") == "no-referrer"


@pytest.mark.parametrize(("parameters", "error"), WRONG[::5], ids=str)
async def test_somebody_signed_in_changes_nothing_about_an_error(
    door: Door, parameters: dict[str, str], error: str
) -> None:
    client_id, person = (await door.register())["client_id"], door.person()
    await person.consent(door.authorization_url(client_id, VERIFIER))
    response = await person.http.get(door.authorization_url(client_id, VERIFIER, **parameters))
    assert response.status_code == 302
    assert_told(answer_parameters(response.headers["location"]), error)


@pytest.mark.parametrize("extra", TWICE)
async def test_a_repeated_parameter_is_an_error_authz_02(door: Door, extra: str) -> None:
    client_id = (await door.register())["client_id"]
    answer = await door.call("GET", f"{door.authorization_url(client_id, VERIFIER)}&{extra}")
    assert_told(redirect_parameters(answer), "invalid_request", None if extra.startswith("state") else "state-1")


@pytest.mark.parametrize(("parameters", "error"), [*WRONG[::4]], ids=str)
@pytest.mark.parametrize("redirect_uri", [WEB_REDIRECT, "com.example.app:/callback"])
async def test_a_strangers_site_or_app_is_never_told_by_redirect_authz_06_iss_03_t50(
    door: Door, redirect_uri: str, parameters: dict[str, str], error: str
) -> None:
    client_id = (await door.register(redirect_uris=[redirect_uri]))["client_id"]
    for http in (door.http, await signed_in(door)):
        response = await http.get(door.authorization_url(client_id, VERIFIER, redirect_uri=redirect_uri, **parameters))
        assert response.status_code == 400
        assert "location" not in response.headers
        assert "http-equiv" not in response.text
        page = read_page(response)
        assert_told(answer_parameters(page.links["continue"]), error)


async def signed_in(door: Door) -> httpx2.AsyncClient:
    person = door.person()
    await person.sign_in(await person.open("/login"))
    return person.http


@pytest.mark.parametrize(("parameters", "error"), [*WRONG[::4]], ids=str)
async def test_a_client_that_an_operator_added_is_told_by_redirect_iss_03(
    door: Door, parameters: dict[str, str], error: str
) -> None:
    client, _ = await clients.add(door.operator, door.project, (WEB_REDIRECT,), name="Known")
    answer = await authorize(door, client.client_id, redirect_uri=WEB_REDIRECT, **parameters)
    assert answer.header("location").startswith(f"{WEB_REDIRECT}?")
    assert_told(redirect_parameters(answer), error)


async def test_a_client_with_a_secret_uses_pkce_as_well_pkce_02(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (WEB_REDIRECT,), confidential=True)
    without = {"code_challenge": "", "code_challenge_method": ""}
    answer = await authorize(door, client.client_id, redirect_uri=WEB_REDIRECT, **without)
    assert_told(redirect_parameters(answer), "invalid_request")


@pytest.mark.parametrize("what", ["resource", "project"])
async def test_a_client_is_told_that_a_server_is_stopped_authz_11(door: Door, what: str) -> None:
    client_id = (await door.register())["client_id"]
    await stop(door, what)
    assert_told(redirect_parameters(await authorize(door, client_id)), "temporarily_unavailable")


async def test_without_a_state_none_is_returned(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await authorize(door, client_id, state="", response_type="token")
    assert_told(redirect_parameters(answer), "unsupported_response_type", None)


async def test_a_state_over_4_kib_is_refused(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    answer = await authorize(door, client_id, state="s" * 4097)
    assert redirect_parameters(answer)["error"] == "invalid_request"


async def test_the_query_of_a_registered_address_is_kept_authz_13(door: Door) -> None:
    uri = "http://127.0.0.1/callback?tenant=a%20b&x="
    client_id = (await door.register(redirect_uris=[uri]))["client_id"]
    answer = await authorize(door, client_id, redirect_uri=uri, response_type="token")
    assert answer.header("location").startswith(f"{uri}&error=")
    assert parse_qs(urlsplit(answer.header("location")).query)["tenant"] == ["a b"]


async def test_two_resources_are_refused_and_two_spellings_of_one_are_not_res_08(door: Door) -> None:
    await resources.add(door.operator, door.project, "https://second.example.com/mcp", name="Second")
    door.clock.advance(seconds=1)
    client_id = (await door.register())["client_id"]
    url = door.authorization_url(client_id, VERIFIER)
    two = await door.call("GET", f"{url}&resource=https://second.example.com/mcp")
    assert_told(redirect_parameters(two), "invalid_target")
    one = await door.call("GET", f"{url}&resource={RESOURCE}/&resource={RESOURCE}")
    assert one.header("location").startswith("/login?")


async def test_without_resource_and_without_a_default_there_is_no_token_res_05_at_04(door: Door) -> None:
    client_id = (await door.register())["client_id"]
    assert (await authorize(door, client_id, resource="")).header("location").startswith("/login?")
    await resources.add(door.operator, door.project, "https://second.example.com/mcp", name="Second")
    await resources.change(door.operator, door.resource, is_default=False)
    door.clock.advance(seconds=1)
    assert_told(redirect_parameters(await authorize(door, client_id, resource="")), "invalid_target")
    await resources.change(door.operator, door.resource, is_default=True)
    door.clock.advance(seconds=1)
    assert (await authorize(door, client_id, resource="")).header("location").startswith("/login?")


@pytest.mark.parametrize("name", ["prompt", "audience", "access_type", "nonce", "login_hint", "ui_locales", "unknown"])
async def test_parameters_that_nobody_knows_are_ignored_authz_02(door: Door, name: str) -> None:
    client_id = (await door.register())["client_id"]
    answer = await authorize(door, client_id, **{name: "consent"})
    assert (answer.status, answer.header("location")[:7]) == (303, "/login?")
