"""The doctor with a login: at Doorward, and at servers whose answers are not as they should be."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import pytest

from doorward.client.effects import ShowUserCode
from doorward.client.interaction import Redirect
from doorward.doctor.examining import examine
from doorward.doctor.findings import Finding, Report
from doorward.doctor.logging_in import Login
from doorward.doctor.profiles import find_profile, known_profiles
from tests.doctor.pretending import (
    NOT_FOUND,
    REDIRECT,
    Answer,
    Asked,
    Members,
    Pretended,
    Willing,
    answer_json,
    pretend,
)
from tests.person import Person
from tests.running import RunningDoorward

ONE = (find_profile("typescript-sdk-2"),)


class Asking:
    """A person at Doorward, in a browser that follows no link by itself."""

    uses_device_grant = False

    def open(self, *, registered: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Redirect]:
        del registered
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Redirect]:
        yield _AtDoorward()

    async def show_user_code(self, shown: ShowUserCode) -> None:
        raise AssertionError(shown)


class _AtDoorward:
    redirect_uri = REDIRECT

    async def visit(self, url: str, *, state: str) -> str:
        assert state in url
        async with httpx2.AsyncClient() as http:
            return urlsplit(await Person(http).consent(url)).query


def failing(report: Report) -> dict[str, Finding]:
    return {finding.check: finding for finding in report.findings if finding.outcome in ("failed", "warning")}


async def test_a_login_at_doorward_is_green_and_a_tool_is_called(doorward: RunningDoorward) -> None:
    login = Login(
        Asking(), tool="weather_forecast", arguments={"city": "Lisbon"}, siblings=(f"{doorward.issuer}/other",)
    )
    # Documents were looked at by the tests of a healthy server, and are asked for a bounded number of times a minute.
    profiles = tuple(profile for profile in known_profiles() if not profile.document)
    report = await examine(doorward.demo, profiles=profiles, login=login)
    assert report.outcome == "passed", failing(report)
    outcomes = {finding.check: finding.outcome for finding in report.findings if finding.step == "Login"}
    assert set(outcomes.values()) == {"passed"}, outcomes
    assert all(client.outcome == "passed" for client in report.clients)
    assert all(removed for _, removed in report.registered)


async def log_in_at(server: Pretended, **wishes: str) -> Report:
    return await examine(server.url, profiles=ONE, login=Login(Willing(), **wishes))  # type: ignore[arg-type]  # all text


def _without(*names: str) -> Callable[[Members], Members]:
    return lambda members: {name: value for name, value in members.items() if name not in names}


WRONG_TOKENS: dict[str, tuple[str, Callable[[Members], Members]]] = {
    "another spelling of its type": ("token-type", lambda members: {**members, "token_type": "bearer"}),
    "time as text": ("token-expires-in", lambda members: {**members, "expires_in": "300"}),
    "no time": ("token-expires-in", _without("expires_in")),
    "no scope": ("token-scope", _without("scope")),
    "no refresh token": ("refresh-token", _without("refresh_token")),
    "a null": ("token-nulls", lambda members: {**members, "id_token": None}),
    "no token": ("token-answer", _without("access_token")),
}


@pytest.mark.parametrize("fault", WRONG_TOKENS)
async def test_what_is_wrong_with_a_token_answer_is_told(fault: str) -> None:
    check, edit = WRONG_TOKENS[fault]
    with pretend() as server:
        server.edit_token = edit
        found = failing(await log_in_at(server))
    assert set(found) == {check}


async def test_a_login_at_a_server_that_is_well_has_nothing_to_tell() -> None:
    with pretend() as server:
        report = await log_in_at(server)
    assert failing(report) == {}
    assert {name for name, _ in report.registered} == set(server.removed) == set(server.registered)


async def test_a_token_that_the_server_refuses_is_told_with_everybody_it_keeps_out() -> None:
    with pretend() as server:
        server.answers["/mcp"] = lambda asked: server.answer_healthily(
            type(asked)(asked.method, asked.path, asked.query, {}, asked.body)
        )
        report = await log_in_at(server)
    assert set(failing(report)) >= {"first-call"}
    assert failing(report)["first-call"].hurts == ("typescript-sdk-2",)
    assert report.clients[0].stage == "Login"


async def test_a_tool_that_says_that_it_failed_is_told() -> None:
    with pretend() as server:
        wrong = {"content": [{"type": "text", "text": "Unknown tool"}], "isError": True}

        def fail(asked: Asked) -> Answer:
            called = b"tools/call" in asked.body
            return (
                answer_json({"jsonrpc": "2.0", "id": 3, "result": wrong}) if called else server.answer_healthily(asked)
            )

        server.answers["/mcp"] = fail
        report = await examine(server.url, profiles=ONE, login=Login(Willing(), tool="typo"))
    assert {(one.check, one.outcome, one.evidence) for one in failing(report).values()} == {
        ("tool-call", "warning", "typo")
    }


async def test_a_second_refresh_at_the_same_time_that_is_refused_is_told() -> None:
    with pretend() as server:
        used: dict[str, object] = {}

        def refuse_twice(asked: object) -> tuple[int, list[tuple[str, str]], bytes]:
            held = asked.form.get("refresh_token", "")  # type: ignore[attr-defined]  # an Asked
            if held and used.setdefault(held, asked) is not asked:
                return answer_json({"error": "invalid_grant"}, 400, ("cache-control", "no-store"))
            return server.answer_healthily(asked)  # type: ignore[arg-type]  # an Asked

        server.answers["/token"] = refuse_twice
        found = failing(await log_in_at(server))
    assert set(found) == {"refresh-race"}


async def test_a_server_that_takes_the_token_of_another_is_told() -> None:
    with pretend() as server:
        login = Login(Willing(), siblings=(server.url + "/",))
        report = await examine(server.url, profiles=ONE, login=login)
    assert set(failing(report)) == {"audience"}


async def test_a_revoked_token_that_is_still_good_is_told() -> None:
    with pretend() as server:
        server.answers["/revoke"] = lambda asked: (200, [], b"")
        found = failing(await log_in_at(server))
    assert set(found) == {"revocation"}


async def test_a_login_that_was_refused_says_so_and_the_rest_is_not_guessed() -> None:
    with pretend() as server:
        server.edit_answer = lambda members: {**_without("code")(members), "error": "access_denied"}
        report = await log_in_at(server)
    assert "access_denied" in failing(report)["token-answer"].why


async def test_a_login_without_a_way_to_register_asks_for_a_client() -> None:
    with pretend() as server:
        server.edit_metadata = _without("registration_endpoint")
        report = await log_in_at(server)
    assert "--client-id" in failing(report)["token-answer"].why


async def test_a_client_that_is_named_logs_in_without_registering() -> None:
    with pretend() as server:
        server.registered["known"] = {"redirect_uris": [REDIRECT]}
        report = await examine(server.url, register=False, profiles=ONE, login=Login(Willing(), client_id="known"))
        assert list(server.registered) == ["known"]
    assert failing(report) == {}
    assert report.registered == ()


async def test_a_code_is_sent_to_nobody_when_the_answer_is_of_another_issuer_iss_05() -> None:
    with pretend() as server:
        server.edit_answer = lambda members: {**members, "iss": "https://honest.example.com"}
        report = await log_in_at(server)
        assert [asked for asked in server.asked if b"the-code" in asked.body] == []
    assert set(failing(report)) == {"iss-sent"}


async def test_a_code_is_sent_to_nobody_when_a_promised_issuer_is_missing_iss_05() -> None:
    with pretend() as server:
        server.edit_answer = _without("iss")
        await log_in_at(server)
        assert [asked for asked in server.asked if b"the-code" in asked.body] == []


async def test_no_token_is_asked_for_that_is_for_another_server_prm_17() -> None:
    with pretend() as server:
        server.edit_resource = lambda members: {**members, "resource": "https://honest.example.com/mcp"}
        report = await log_in_at(server)
        assert [asked for asked in server.asked if "7070" in asked.query] == []
    assert set(failing(report)) >= {"resource-equals-url"}
    assert "token-answer" not in failing(report)


async def test_nobody_is_sent_to_a_server_whose_metadata_is_in_the_name_of_another_asm_20() -> None:
    with pretend() as honest, pretend() as evil:
        evil.edit_metadata = lambda members: {
            **members,
            "issuer": honest.issuer,
            "authorization_endpoint": f"{honest.issuer}/authorize",
        }
        report = await log_in_at(evil)
        assert [asked for asked in honest.asked if "7070" in asked.query] == []
    assert "metadata-issuer" in failing(report)


async def test_nobody_is_sent_to_an_issuer_that_a_server_without_metadata_of_its_own_claims_to_be_asm_20() -> None:
    with pretend() as honest, pretend() as evil:
        for path in ("", "/mcp", "/mcp/"):
            evil.answers[f"/.well-known/oauth-protected-resource{path}"] = lambda asked: NOT_FOUND
        evil.answers["/mcp/.well-known/oauth-protected-resource"] = lambda asked: NOT_FOUND
        evil.edit_metadata = lambda members: {
            **members,
            "issuer": honest.issuer,
            "authorization_endpoint": f"{honest.issuer}/authorize",
        }
        report = await log_in_at(evil)
        assert [asked for asked in honest.asked if "7070" in asked.query] == []
        assert [asked for asked in evil.asked if b"the-code" in asked.body] == []
    assert "nobody was sent there" in failing(report)["token-answer"].why


async def test_nothing_secret_is_in_any_report() -> None:
    with pretend() as server:
        server.edit_registered = lambda members: {**members, "client_secret": "s3cr3t-of-a-client"}
        server.answers["/nowhere"] = lambda asked: NOT_FOUND
        report = await log_in_at(server)
        told = repr(report)
        secrets = {
            "s3cr3t-of-a-client",
            "the-code",
            *server.tokens,
            *(one for one in server.refresh_tokens),
            *(f"manage-{client_id}" for client_id in server.registered),
        }
    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in told] == []
    assert json.loads(json.dumps(told))
