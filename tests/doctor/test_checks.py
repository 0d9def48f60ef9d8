"""Each check at a server that is wrong in that one way: it tells so, and no other check does."""

import tomllib
from collections.abc import Callable

import pytest

from doorward.doctor.examining import examine
from doorward.doctor.findings import Report
from doorward.doctor.logging_in import Login
from doorward.doctor.profiles import find_profile, known_profiles
from doorward.doctor.wording import headline
from tests.doctor.pretending import NOT_FOUND, Answer, Asked, Members, Pretended, Willing, answer_json, pretend
from tests.needs import ROOT

PLAYED = tuple(map(find_profile, ("cursor", "typescript-sdk-2", "zed", "q-cli-kiro-cli", "spring-mcp-security")))
HEALTHY_PATH = "/.well-known/oauth-protected-resource/mcp"
OPENID = "/.well-known/openid-configuration"
Change = Callable[[Pretended], None]


def told(report: Report) -> dict[str, str]:
    return {one.check: one.outcome for one in report.findings if one.outcome in ("failed", "warning")}


def without(*names: str) -> Callable[[Members], Members]:
    return lambda members: {name: value for name, value in members.items() if name not in names}


def answers(path: str, answer: Callable[[Pretended, Asked], Answer]) -> Change:
    def change(server: Pretended) -> None:
        server.answers[path] = lambda asked: answer(server, asked)

    return change


def metadata(edit: Callable[[Members], Members]) -> Change:
    def change(server: Pretended) -> None:
        server.edit_metadata = edit

    return change


def resource(edit: Callable[[Members], Members]) -> Change:
    def change(server: Pretended) -> None:
        server.edit_resource = edit

    return change


def registered(edit: Callable[[Members], Members]) -> Change:
    def change(server: Pretended) -> None:
        server.edit_registered = edit

    return change


def answered(edit: Callable[[Members], Members]) -> Change:
    def change(server: Pretended) -> None:
        server.edit_answer = edit

    return change


def challenged(*fields: str) -> Change:
    def change(server: Pretended) -> None:
        named = f"{server.rs}{HEALTHY_PATH}"
        server.challenge = [one.replace("{url}", named) for one in fields]
        server.answers["/mcp/"] = lambda asked: NOT_FOUND  # so that the other spelling is another matter

    return change


def mcp(status: int, when: Callable[[Asked], bool], *headers: tuple[str, str]) -> Change:
    """The MCP endpoint answers like that when asked like this."""
    return answers(
        "/mcp",
        lambda server, asked: answer_json({}, status, *headers) if when(asked) else server.answer_healthily(asked),
    )


def refuse(error: str, when: Callable[[Members], bool]) -> Change:
    """Registrations like this are refused."""

    def answer(server: Pretended, asked: Asked) -> Answer:
        body = Asked(asked.method, asked.path, "", {}, asked.body)
        refused = bool(body.body) and b"redirect_uris" in body.body and when({"text": body.body.decode()})
        return answer_json({"error": error}, 400) if refused else server.answer_healthily(asked)

    return answers("/register", answer)


def refuse_scope(word: str) -> Change:
    def answer(server: Pretended, asked: Asked) -> Answer:
        if word not in asked.form.get("scope", ""):
            return server.answer_healthily(asked)
        return 302, [("location", f"{asked.form['redirect_uri']}?error=invalid_scope&iss={server.issuer}")], b""

    return answers("/authorize", answer)


def go_anywhere(server: Pretended, asked: Asked) -> Answer:
    if "doorward-doctor.example" in asked.form.get("redirect_uri", ""):
        return 302, [("location", asked.form["redirect_uri"] + "?error=unauthorized_client")], b""
    return server.answer_healthily(asked)


FAULTS: dict[str, tuple[dict[str, str], Change]] = {
    "GET is answered 405": ({"unauthorized-get": "warning"}, mcp(405, lambda asked: asked.method == "GET")),
    "HEAD is answered 404": ({"unauthorized-head": "warning"}, mcp(404, lambda asked: asked.method == "HEAD")),
    "an empty body is looked at first": (
        {"unauthorized-empty": "failed"},
        mcp(400, lambda asked: asked.method == "POST" and not asked.body),
    ),
    "it asks nobody for a token": (
        {"unauthorized-post": "failed"},
        lambda server: server.answers.update(
            dict.fromkeys(("/mcp", "/mcp/"), lambda asked: answer_json({"jsonrpc": "2.0", "id": 1, "result": {}}))
        ),
    ),
    "no MCP server is at the address": (
        {"unauthorized-post": "failed"},
        lambda server: server.answers.update(dict.fromkeys(("/mcp", "/mcp/"), lambda asked: NOT_FOUND)),
    ),
    "anything gets in": (
        {"challenge-invalid-token": "failed"},
        mcp(200, lambda asked: "authorization" in asked.headers),
    ),
    "a wrong token is an error of the server": (
        {"challenge-invalid-token": "failed"},
        mcp(500, lambda asked: "authorization" in asked.headers),
    ),
    "no challenge at all": (
        {"challenge-bearer": "failed", "challenge-invalid-token": "warning", "unauthorized-slash": "warning"},
        challenged('Basic realm="x"'),
    ),
    "bearer in small letters": (
        {"challenge-scheme-spelling": "warning", "challenge-invalid-token": "warning", "unauthorized-slash": "warning"},
        challenged('bearer resource_metadata="{url}"'),
    ),
    "another scheme first": (
        {"challenge-order": "warning", "challenge-invalid-token": "warning", "unauthorized-slash": "warning"},
        challenged('DPoP algs="ES256", Bearer resource_metadata="{url}"'),
    ),
    "no quotes": (
        {"challenge-quoted": "warning", "challenge-invalid-token": "warning", "unauthorized-slash": "warning"},
        challenged("Bearer resource_metadata={url}"),
    ),
    "no address in the challenge": (
        {"challenge-metadata": "warning", "challenge-invalid-token": "warning", "unauthorized-slash": "warning"},
        challenged('Bearer scope="read"'),
    ),
    "a relative address in the challenge": (
        {
            "challenge-metadata-absolute": "failed",
            "challenge-invalid-token": "warning",
            "unauthorized-slash": "warning",
        },
        challenged(f'Bearer resource_metadata="{HEALTHY_PATH}"'),
    ),
    "an error without a token": (
        {"challenge-error": "warning", "unauthorized-slash": "warning"},
        challenged('Bearer resource_metadata="{url}", error="invalid_token"'),
    ),
    "the other spelling is about this one": (
        {"resource-metadata-slash": "warning"},
        answers(
            f"{HEALTHY_PATH}/", lambda server, asked: server.answer_healthily(Asked("GET", HEALTHY_PATH, "", {}, b""))
        ),
    ),
    "an error where no document is": (
        {"resource-metadata-errors": "failed"},
        answers("/mcp/.well-known/oauth-protected-resource", lambda server, asked: answer_json({}, 503)),
    ),
    "no authorization server": (
        {"resource-metadata-issuers": "failed", "registration-offered": "x"}
        and {"resource-metadata-issuers": "failed"},
        resource(without("authorization_servers")),
    ),
    "two authorization servers": (
        {"resource-metadata-issuers": "warning"},
        resource(
            lambda members: {
                **members,
                "authorization_servers": [*members["authorization_servers"], "https://b.example"],
            }
        ),
    ),
    "no scopes": ({"resource-metadata-scopes": "warning"}, resource(without("scopes_supported"))),
    "offline_access of a resource": (
        {"resource-metadata-scopes": "warning"},
        resource(lambda members: {**members, "scopes_supported": ["read", "offline_access"]}),
    ),
    "a null in the resource's metadata": (
        {"resource-metadata-nulls": "failed"},
        resource(lambda members: {**members, "jwks_uri": None}),
    ),
    "no metadata of the authorization server": (
        {"metadata-found": "failed", "legacy-metadata": "warning"},
        lambda server: (
            answers("/.well-known/oauth-authorization-server", lambda server, asked: NOT_FOUND)(server),
            answers(OPENID, lambda server, asked: NOT_FOUND)(server),
        )[0],
    ),
    "an OpenID document that is not whole": (
        {"metadata-openid": "failed"},
        metadata(without("subject_types_supported")),
    ),
    "another OpenID document": (
        {"metadata-same": "warning"},
        answers(
            OPENID,
            lambda server, asked: answer_json({**server.healthy_metadata(), "token_endpoint": "https://x.example/t"}),
        ),
    ),
    "no token endpoint": ({"metadata-endpoints": "failed"}, metadata(without("token_endpoint"))),
    "no PKCE": ({"metadata-pkce": "failed"}, metadata(without("code_challenge_methods_supported"))),
    "keys that are nowhere": (
        {"endpoints-reachable": "failed"},
        metadata(lambda members: {**members, "jwks_uri": members["issuer"] + "/nowhere"}),
    ),
    "documents without none": (
        {"documents-need-none": "failed"},
        metadata(lambda members: {**members, "token_endpoint_auth_methods_supported": ["client_secret_post"]}),
    ),
    "no word of iss": (
        {"metadata-iss": "warning", "iss-sent": "warning"},
        metadata(without("authorization_response_iss_parameter_supported")),
    ),
    "registration that is closed": (
        {"registration-open": "failed"},
        answers("/register", lambda server, asked: answer_json({"error": "access_denied"}, 403)),
    ),
    "registration that is limited": (
        {"registration-limit": "failed"},
        answers("/register", lambda server, asked: answer_json({"error": "slow_down"}, 429)),
    ),
    "scopes that are refused at registration": (
        {"registration-scopes": "failed"},
        refuse("invalid_scope", lambda body: "openid" in body["text"]),
    ),
    "a client that is refused": (
        {"registration-accepted": "failed"},
        refuse("invalid_client_metadata", lambda body: "TypeScript" in body["text"]),
    ),
    "an answer without grants": ({"registration-complete": "warning"}, registered(without("grant_types"))),
    "a redirect that is lost": (
        {"registration-redirects": "warning"},
        registered(lambda members: {**members, "redirect_uris": members["redirect_uris"][:1]}),
    ),
    "another method": (
        {"registration-method": "warning"},
        registered(lambda members: {**members, "token_endpoint_auth_method": "client_secret_post"}),
    ),
    "scopes that are refused": ({"scopes-narrowed": "warning"}, refuse_scope("doorward-doctor-unknown")),
    "an open redirect": ({"redirect-exact": "failed", "unknown-client": "failed"}, answers("/authorize", go_anywhere)),
    "state that is changed": (
        {"state-kept": "failed"},
        answered(lambda members: {**members, "state": members["state"].replace("+", " ")}),
    ),
    "an unknown client is told another thing": (
        {"token-unknown-client": "warning"},
        answers(
            "/token",
            lambda server, asked: (
                answer_json({"error": "invalid_grant"}, 400, ("cache-control", "no-store"))
                if "unknown-client" in asked.form.get("client_id", "")
                else server.answer_healthily(asked)
            ),
        ),
    ),
    "tokens that may be cached": (
        {"token-cache": "warning"},
        answers(
            "/token", lambda server, asked: (*server.answer_healthily(asked)[:1], [], server.answer_healthily(asked)[2])
        ),
    ),
    "unknown addresses that are forbidden": (
        {"unknown-well-known": "warning"},
        answers("/.well-known/doorward-doctor-unknown", lambda server, asked: answer_json({}, 403)),
    ),
}


async def test_the_requirements_of_a_check_are_of_the_list() -> None:
    known = tomllib.loads((ROOT / "tests/spec/requirements.toml").read_text(encoding="utf-8"))
    ids = {name for section in known["section"] for name in section["rows"]}
    with pretend() as server:
        report = await examine(server.url, profiles=PLAYED[:1], login=Login(Willing()))
    assert {one for finding in report.findings for one in finding.requirements} <= ids
    assert len({finding.check for finding in report.findings}) == len(report.findings)


async def test_a_healthy_server_has_nothing_to_tell() -> None:
    with pretend() as server:
        report = await examine(server.url)
        assert report.outcome == "passed", told(report)
        assert {client for client, _ in report.registered} == set(server.registered) == set(server.removed)
        assert len(server.registered) <= len(known_profiles())


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_told_by_its_own_check(fault: str) -> None:
    expected, change = FAULTS[fault]
    with pretend() as server:
        change(server)
        report = await examine(server.url, profiles=PLAYED)
    assert told(report) == expected
    for finding in report.findings:
        assert finding.outcome in ("passed", "skipped") or (finding.why and finding.change), finding
    for client in report.clients:
        assert client.outcome != "failed" or {check for check in client.because if check in told(report)}, client


async def test_a_server_that_asks_for_no_token_lets_clients_in_and_one_at_another_address_is_looked_for() -> None:
    with pretend() as server:
        for path in ("/mcp", "/mcp/"):
            server.answers[path] = lambda asked: answer_json({"jsonrpc": "2.0", "id": 1, "result": {}})
        report = await examine(server.url, profiles=PLAYED)
        assert {(one.outcome, one.because) for one in report.clients} == {("warning", ("unauthorized-post",))}
        first = next(one for one in report.findings if one.check == "unauthorized-post")
        assert "begins a session with whoever has no token" in first.why
        assert headline(report) == "The server asks nobody to sign in."
        report = await examine(f"{server.rs}/typo", profiles=PLAYED)
    assert {one.outcome for one in report.clients} == {"failed"}
    first, about = (
        next(one for one in report.findings if one.check == check)
        for check in ("unauthorized-post", "resource-equals-url")
    )
    assert first.why == "There seems to be no MCP server at this address."
    assert (server.url in about.why, about.change.startswith("Give people the address")) == (True, True)
