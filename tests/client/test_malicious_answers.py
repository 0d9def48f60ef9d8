"""Authorization servers, and whoever stands between, that answer something else than what was asked for.

Spec: T36; ISS-04 … ISS-08, AUTHZ-17, CRED-01, CLI-01, CLI-02
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from doorward.client.errors import (
    AccessDenied,
    AuthorizationFailed,
    CallbackIssuerMismatch,
    ClientError,
    DiscoveryFailed,
    RegistrationFailed,
    StateMismatch,
    TokenRequestFailed,
)
from tests.client.hostile_server import ABSENT, Stage, check_nothing_leaked, is_refused, open_stage, program
from tests.client.listening import Asked, Reply


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.fixture
async def public() -> AsyncIterator[Stage]:
    async with open_stage(public=True) as opened:
        yield opened


def with_members(**members: str) -> Callable[[str], str]:
    """Somebody who replaces members of a response; an empty one is left out."""

    def tamper(query: str) -> str:
        return urlencode({name: value for name, value in {**dict(parse_qsl(query)), **members}.items() if value})

    return tamper


async def is_not_redeemed(stage: Stage, tamper: Callable[[str], str], error: type[ClientError]) -> ClientError:
    """The tampered response ends in this error, and its code stays with the client."""
    client = program(stage)
    client.person.tamper = tamper
    raised = await is_refused(client, error)
    assert len(client.person.visited) == 1
    assert stage.good.posted() == []
    assert client.auth.session.held is None
    return raised


@pytest.mark.parametrize(
    "state",
    ["", "x", "A" * 43, "\u00e4", "null", "%00"],
)
async def test_a_response_with_another_state_is_dropped_t36_authz_17(stage: Stage, state: str) -> None:
    await is_not_redeemed(stage, with_members(state=state), StateMismatch)


async def test_a_state_that_differs_in_case_or_is_longer_is_another_t36_authz_17(stage: Stage) -> None:
    def swapped(query: str) -> str:
        return with_members(state=dict(parse_qsl(query))["state"].swapcase())(query)

    def longer(query: str) -> str:
        return with_members(state=dict(parse_qsl(query))["state"] + "=")(query)

    for tamper in (swapped, longer):
        await is_not_redeemed(stage, tamper, StateMismatch)


async def test_the_state_of_an_earlier_login_is_another_t36_authz_17(stage: Stage) -> None:
    client = program(stage)
    await client.request()
    earlier = dict(parse_qsl(client.person.visited[0].partition("?")[2]))["state"]
    forms = len(stage.good.posted())
    client.person.tamper = with_members(state=earlier)
    with pytest.raises(StateMismatch):
        await client.auth.session.login()
    assert len(stage.good.posted()) == forms


@pytest.mark.parametrize("name", ["state", "iss", "code"])
async def test_a_response_with_a_parameter_twice_is_dropped_t36(stage: Stage, name: str) -> None:
    for again in ("evil", None):

        def doubled(query: str, again: str | None = again) -> str:
            return f"{query}&{name}={quote(again or dict(parse_qsl(query))[name])}"

        await is_not_redeemed(stage, doubled, AuthorizationFailed)


async def test_a_response_without_a_code_and_without_an_error_is_dropped(stage: Stage) -> None:
    await is_not_redeemed(stage, with_members(code=""), AuthorizationFailed)
    await is_not_redeemed(stage, lambda query: query.replace("code=", "CODE="), AuthorizationFailed)


@pytest.mark.parametrize("tail", ["&x=%ff", "&x=%00", "&a" * 200, "\n", "&\u00e4=\u00e4"])
async def test_a_response_that_is_malformed_redeems_nothing_it_should_not(stage: Stage, tail: str) -> None:
    client = program(stage)
    client.person.tamper = lambda query: query + tail
    try:
        await client.request()
    except AuthorizationFailed:
        assert stage.good.posted() == []
    check_nothing_leaked(stage)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.example",
        "https://as.example/",
        "https://AS.example",
        "https://as.example:443",
        "https%3A%2F%2Fas.example",
        "https://a%73.example",
        "http://as.example",
        "https://\u0430s.example",
        "as.example",
        " https://as.example",
    ],
)
@pytest.mark.parametrize("advertised", [True, False, ABSENT])
async def test_a_response_of_another_issuer_keeps_its_code_iss_05_iss_06_iss_08_c20_t7(
    public: Stage, issuer: str, advertised: Any
) -> None:
    public.good.metadata["authorization_response_iss_parameter_supported"] = advertised
    await is_not_redeemed(public, with_members(iss=issuer), CallbackIssuerMismatch)
    assert public.evil.listener.connections == 0


async def test_a_response_that_does_not_say_whose_it_is_though_it_should_keeps_its_code_iss_05(stage: Stage) -> None:
    await is_not_redeemed(stage, with_members(iss=""), CallbackIssuerMismatch)


async def test_a_response_need_not_say_whose_it_is_where_nobody_said_it_would_iss_05(stage: Stage) -> None:
    stage.good.metadata["authorization_response_iss_parameter_supported"] = ABSENT
    client = program(stage)
    client.person.tamper = with_members(iss="")
    assert (await client.request()).json() == {"in": True}


async def test_what_an_error_of_another_issuer_says_is_not_shown_iss_07(public: Stage) -> None:
    said = "call+0900+EVIL"
    for code in ("access_denied", "server_error", "evil_code"):
        tamper = with_members(
            code="", error=code, error_description=said, error_uri="https://evil.example", iss="https://evil.example"
        )
        error = await is_not_redeemed(public, tamper, CallbackIssuerMismatch)
        assert "EVIL" not in str(error)
        assert code not in str(error)
        assert "evil.example" not in str(error)


async def test_an_error_with_a_foreign_state_is_not_shown_iss_07_t36(stage: Stage) -> None:
    tamper = with_members(code="", error="access_denied", error_description="EVIL", state="x")
    assert "EVIL" not in str(await is_not_redeemed(stage, tamper, StateMismatch))


async def test_an_error_is_an_error_though_a_code_comes_along(stage: Stage) -> None:
    await is_not_redeemed(stage, with_members(error="access_denied"), AccessDenied)
    error = await is_not_redeemed(
        stage, with_members(error="x\x1b[2J\ny", error_description="\x07ring"), AuthorizationFailed
    )
    assert str(error).isprintable()


async def test_a_code_goes_to_the_token_endpoint_of_the_issuer_that_was_asked_iss_04_iss_08(stage: Stage) -> None:
    """Even when its metadata changes while the person is away."""
    client = program(stage)

    def meanwhile(query: str) -> str:
        stage.good.metadata["token_endpoint"] = f"{stage.evil.origin}/token"
        stage.prm["authorization_servers"] = [stage.evil.origin]
        return query

    client.person.tamper = meanwhile
    assert (await client.request()).json() == {"in": True}
    assert len(stage.good.posted()) == 1
    assert stage.evil.listener.connections == 0


NO_TOKEN: dict[str, dict[str, Any]] = {
    "no token": {"access_token": ABSENT},
    "null": {"access_token": None},
    "a number": {"access_token": 7},
    "an array": {"access_token": ["a"]},
    "an object": {"access_token": {"a": 1}},
    "empty": {"access_token": ""},
    "a line end": {"access_token": "a\r\nx-evil: 1"},
    "a new line": {"access_token": "a\nb"},
    "a blank": {"access_token": "a b"},
    "a zero": {"access_token": "a\0b"},
    "other letters": {"access_token": "t\u00f6ken"},
    "too long": {"access_token": "a" * 40_000},
    "no type": {"token_type": ABSENT},
    "a null type": {"token_type": None},
    "an array of types": {"token_type": ["Bearer"]},
    "a mac": {"token_type": "mac"},
    "a type with a line end": {"token_type": "Bearer\r\nx: y"},
    "n_a": {"token_type": "N_A"},
    "bound though nobody asked": {"token_type": "DPoP"},
    "a refresh token with a line end": {"refresh_token": "a\r\nb"},
    "a refresh token that is a number": {"refresh_token": 7},
    "a refresh token that is an array": {"refresh_token": ["a"]},
}
NO_ANSWER = {
    "nothing": b"",
    "an array": b'[{"access_token": "a", "token_type": "Bearer"}]',
    "a string": b'"access_token"',
    "a form": b"access_token=a&token_type=Bearer",
    "a page": b"<html>access_token</html>",
    "two readings": b'{"access_token": "a", "token_type": "Bearer", "access_token": "b"}',
    "two types": b'{"access_token": "a", "token_type": "mac", "token_type": "Bearer"}',
    "no number": b'{"access_token": "a", "token_type": "Bearer", "expires_in": NaN}',
    "bad bytes": b'{"access_token": "a\xff", "token_type": "Bearer"}',
    "half a letter": b'{"access_token": "a", "token_type": "Bearer", "scope": "\\ud800"}',
    "deep": b'{"access_token": "a", "token_type": "Bearer", "x": ' + b"[" * 500_000,
    "deep and whole": b'{"access_token": "a", "token_type": "Bearer", "x": ' + b"[" * 250_000 + b"]" * 250_000 + b"}",
    "a long number": b'{"access_token": "a", "token_type": "Bearer", "expires_in": ' + b"9" * 100_000 + b"}",
    "cut off": b'{"access_token": "a", "token_type": "Bear',
}


async def test_a_token_that_cannot_be_one_is_none_cli_01(stage: Stage) -> None:
    for name, members in NO_TOKEN.items():
        stage.good.answer = members
        client = program(stage)
        error = await is_refused(client, TokenRequestFailed)
        assert str(error).isprintable(), name
        assert client.auth.session.held is None, name
    assert not any("authorization" in asked.headers for asked in stage.mcp.asked)


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_an_answer_that_can_be_read_in_two_ways_or_none_is_none(stage: Stage, name: str) -> None:
    stage.good.faults["/token"] = Reply(NO_ANSWER[name])
    client = program(stage)
    await is_refused(client, TokenRequestFailed)
    assert client.auth.session.held is None
    assert not any("authorization" in asked.headers for asked in stage.mcp.asked)


@pytest.mark.parametrize("life", [-1, 0, -(10**30), 10**30, 1e308, "3600", "x", None, True, [1], {"a": 1}])
async def test_a_life_that_cannot_be_costs_no_more_than_one_login(stage: Stage, life: Any) -> None:
    stage.good.answer["expires_in"] = life
    client = program(stage)
    assert (await client.request()).json() == {"in": True}
    assert (await client.request()).json() == {"in": True}
    assert len(client.person.visited) == 1
    assert len(stage.good.posted()) <= 3
    check_nothing_leaked(stage)


async def test_scopes_that_cannot_be_are_those_that_were_asked_for(stage: Stage) -> None:
    for scope in (None, 7, ["admin"], 'a"b', "a\nb", {"a": 1}):
        stage.good.answer["scope"] = scope
        client = program(stage, scopes=["tools"])
        await client.request()
        held = client.auth.session.held
        assert held is not None
        assert held.scope == ("tools",)


async def test_a_token_that_is_not_bound_though_that_was_asked_for_is_none(stage: Stage) -> None:
    client = program(stage, dpop=True)
    await is_refused(client, DiscoveryFailed)
    stage.good.metadata["dpop_signing_alg_values_supported"] = ["ES256"]
    await is_refused(client, TokenRequestFailed)
    assert client.auth.session.held is None
    assert not any("authorization" in asked.headers for asked in stage.mcp.asked)


NO_CLIENT: dict[str, dict[str, Any]] = {
    "no id": {"client_id": ABSENT},
    "null": {"client_id": None},
    "a number": {"client_id": 7},
    "an array": {"client_id": ["a"]},
    "empty": {"client_id": ""},
    "a line end": {"client_id": "a\r\nx-evil: 1"},
    "a new line": {"client_id": "a\nb"},
    "a zero": {"client_id": "a\0"},
    "other letters": {"client_id": "\u00e4"},
    "long": {"client_id": "a" * 100_000},
    "a secret with a line end": {"client_secret": "a\r\nb"},
    "a secret that is a number": {"client_secret": 7},
    "a secret that is an array": {"client_secret": ["a"]},
    "another redirect": {"redirect_uris": ["https://evil.example/callback"]},
    "a method of nobody": {"client_secret": "abc", "token_endpoint_auth_method": "tls_client_auth"},
}


async def test_a_registration_that_cannot_be_one_is_none_and_no_page_is_opened(stage: Stage) -> None:
    for name, members in NO_CLIENT.items():
        stage.good.registration = members
        client = program(stage)
        error = await is_refused(client, RegistrationFailed)
        assert str(error).isprintable(), name
        assert stage.good.posted() == [], name


@pytest.mark.parametrize("body", [b"", b"[]", b'{"client_id": "a", "client_id": "b"}', b"[" * 100_000, b"null"])
async def test_an_answer_that_is_no_registration_is_none(stage: Stage, body: bytes) -> None:
    for status in (200, 201):
        stage.good.faults["/register"] = Reply(body, status)
        client = program(stage)
        await is_refused(client, RegistrationFailed)
        assert client.person.visited == []


async def test_a_registration_managed_elsewhere_is_not_managed_at_all_t7(stage: Stage) -> None:
    """Its token would be sent to whoever the answer names."""
    for uri in (stage.evil.listener.url("/register/1"), "file:///etc/passwd", 7, "https://127.0.0.1/x", "/register/1"):
        stage.good.registration["registration_client_uri"] = uri
        client = program(stage)
        await client.request()
        await client.auth.session.logout()
    assert stage.evil.listener.connections == 0
    assert "DELETE" not in {asked.method for asked in stage.good.listener.asked}
    check_nothing_leaked(stage)


async def test_what_a_refusal_says_is_shown_without_what_was_sent_in_confidence(stage: Stage) -> None:
    def echoing(asked: Asked, reply: Reply) -> Reply:
        form = dict(parse_qsl(asked.body.decode()))
        stage.good.secrets.append(form["code_verifier"])
        said = f"\x1b[31m bad {form['code']} and {form['code_verifier']}\r\n"
        return Reply(json.dumps({"error": "invalid_grant", "error_description": said}).encode(), 400)

    stage.good.faults["/token"] = echoing
    error = await is_refused(program(stage), TokenRequestFailed)
    assert str(error).isprintable()
