"""Servers that lie about who they are, whom they belong to and where to go: the right error, nothing told, nothing
opened.

Spec: T7, T8, T11; ASM-20, ASM-21, PRM-17, CLI-01, CLI-02, CLI-04, CLI-05, CRED-05
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from doorward.client.browser import BrowserInteraction
from doorward.client.errors import (
    AddressRefused,
    AnswerRefused,
    ClientError,
    DiscoveryFailed,
    IssuerMismatch,
    PkceUnsupported,
    RedirectRefused,
    ResourceMismatch,
    TokenRequestFailed,
    Unreachable,
)
from tests.client.hostile_server import ABSENT, Stage, check_nothing_leaked, is_refused, open_stage, program
from tests.client.listening import Asked, Reply, redirect
from tests.client.openers import Openers

METADATA = "/.well-known/oauth-authorization-server"
STATUSES = [301, 302, 303, 307, 308]
ENDPOINTS = [
    "authorization",
    "token",
    "registration",
    "revocation",
    "device_authorization",
    "pushed_authorization_request",
]
NOT_FOR_US = [
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "javascript:alert(document.domain)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "ftp://as.example/x",
    "//as.example/x",
    "/x",
    "as.example/x",
    "https://",
    "http://as.example/x",
    "http://127.0.0.1/x",
    "http://localhost:8080/x",
    "https://localhost/x",
    "https://127.0.0.1/x",
    "https://10.0.0.1/x",
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[fd00:ec2::254]/x",
    "https://2130706433/x",
    "https://0x7f.1/x",
    "https://user@as.example/x",
    "https://as.example@evil.example/x",
    "https://as.example\\@evil.example/x",
    "https://as.example/x#y",
    "https://as.example/x\r\nx-evil: 1",
    "https://as.example /x",
    "https://as.example:99999/x",
    "https://\u0430s.example/x",
]


RELATIVE = {"//as.example/x", "/x", "as.example/x", "https://"}
"""What a challenge may say: it is read as an address beside the server's own."""


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.fixture
async def public() -> AsyncIterator[Stage]:
    """The same, under names of the internet."""
    async with open_stage(public=True) as opened:
        yield opened


async def test_honest_servers_let_the_program_in_and_are_told_no_more_than_they_need(
    stage: Stage, public: Stage
) -> None:
    """So that the refusals below are refusals of the one fault in each."""
    for one in (stage, public):
        client = program(one)
        for _ in range(2):
            assert (await client.request()).json() == {"in": True}
        check_nothing_leaked(one)
        assert len(client.person.visited) == 1
        assert one.evil.listener.connections == 0


@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.example",
        "https://as.example/",
        "https://AS.example",
        "HTTPS://as.example",
        "https://as.example:443",
        "https://as.example/tenant",
        "https://as.example?",
        "https://as.example#",
        "https://as.example.",
        "http://as.example",
        "https://\u0430s.example",
        "https://a%73.example",
        "https://as.example\u200b",
        " https://as.example",
        "https://as.example\n",
    ],
)
async def test_metadata_of_another_issuer_however_alike_is_not_used_asm_20_t7(public: Stage, issuer: str) -> None:
    public.good.metadata["issuer"] = issuer
    client = program(public)
    await is_refused(client, IssuerMismatch)
    assert client.person.visited == []
    assert public.good.listener.paths("POST") == []
    assert public.evil.listener.connections == 0


@pytest.mark.parametrize("issuer", [ABSENT, None, 7, ["https://as.example"], {"https://as.example": 1}, "", True])
async def test_metadata_that_names_no_issuer_is_not_used_asm_20(public: Stage, issuer: Any) -> None:
    public.good.metadata["issuer"] = issuer
    client = program(public)
    await is_refused(client, DiscoveryFailed)
    assert client.person.visited == []
    assert public.good.listener.paths("POST") == []


async def test_of_two_documents_in_one_body_neither_counts_asm_20(public: Stage) -> None:
    document = b'{"issuer": "https://as.example", "issuer": "https://evil.example", "token_endpoint": "https://as.example/token"}'
    public.good.faults[METADATA] = Reply(document)
    await is_refused(program(public), DiscoveryFailed)


@pytest.mark.parametrize("methods", [ABSENT, None, [], ["plain"], "S256", ["s256"], {"S256": True}])
async def test_a_server_that_does_not_say_it_supports_pkce_is_not_signed_in_at_asm_21(
    stage: Stage, methods: Any
) -> None:
    stage.good.metadata["code_challenge_methods_supported"] = methods
    client = program(stage)
    await is_refused(client, PkceUnsupported)
    assert client.person.visited == []
    assert stage.good.listener.paths("POST") == []


@pytest.mark.parametrize(
    "resource",
    [
        "https://mcp.example/mcp2",
        "https://mcp.example/mcp/admin",
        "https://mcp.example/mc",
        "https://mcp.example/MCP",
        "https://mcp.example/other/../mcp",
        "https://mcp.example/mcp?x",
        "https://mcp.example/mcp#x",
        "https://mcp.example:8443/mcp",
        "https://evil.example/mcp",
        "https://mcp.example.evil.example/mcp",
        "https://mcp.example@evil.example/mcp",
        "http://mcp.example/mcp",
        "https://m\u0441p.example/mcp",
        "mcp.example/mcp",
    ],
)
async def test_metadata_of_another_resource_is_not_used_prm_17(public: Stage, resource: str) -> None:
    public.prm["resource"] = resource
    public.challenge = None
    client = program(public)
    await is_refused(client, ResourceMismatch)
    assert client.person.visited == []
    assert public.good.listener.connections == 0
    assert public.evil.listener.connections == 0


@pytest.mark.parametrize("resource", [ABSENT, None, 7, ["https://mcp.example/mcp"], {"a": 1}, "", True])
async def test_metadata_that_names_no_resource_leads_nowhere_prm_17(public: Stage, resource: Any) -> None:
    public.prm |= {"resource": resource, "authorization_servers": [public.evil.origin]}
    client = program(public)
    with pytest.raises(ClientError):
        await client.request()
    assert public.evil.listener.connections == 0
    assert public.good.listener.connections == 0


async def test_metadata_of_the_whole_origin_at_the_place_of_one_path_leads_nowhere_prm_17(public: Stage) -> None:
    public.prm |= {"resource": public.mcp_origin, "authorization_servers": [public.evil.origin]}
    with pytest.raises(ClientError):
        await program(public).request()
    assert public.evil.listener.connections == 0


@pytest.mark.parametrize("servers", [ABSENT, None, [], [None], "https://evil.example", {"https://evil.example": 1}])
async def test_metadata_that_names_no_authorization_server_leads_nowhere(public: Stage, servers: Any) -> None:
    public.prm["authorization_servers"] = servers
    await is_refused(program(public), DiscoveryFailed)
    assert public.evil.listener.connections == 0


async def test_a_challenge_that_points_where_nobody_should_go_is_not_followed_cli_04_cli_05(public: Stage) -> None:
    client = program(public)
    for url in NOT_FOR_US:
        if url in RELATIVE or not url.isascii() or not url.isprintable():  # no header can hold it
            continue
        escaped = url.replace("\\", "\\\\")
        public.challenge = f'Bearer resource_metadata="{escaped}"'
        await is_refused(client, AddressRefused)
    assert client.person.visited == []
    assert public.good.listener.connections == 0
    assert public.evil.listener.connections == 0
    assert set(public.mcp.paths()) == {"/mcp"}


async def test_an_issuer_where_nobody_should_go_is_not_contacted_cli_04_cli_05(public: Stage) -> None:
    client = program(public)
    for url in NOT_FOR_US:
        public.prm["authorization_servers"] = [url]
        await is_refused(client, AddressRefused)
    assert client.person.visited == []
    assert public.good.listener.connections == 0
    assert public.evil.listener.connections == 0


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_an_endpoint_where_nobody_should_go_is_neither_contacted_nor_opened_t11_cli_04(
    public: Stage, name: str
) -> None:
    client = program(public)
    for url in NOT_FOR_US:
        public.good.metadata[f"{name}_endpoint"] = url
        await is_refused(client, AddressRefused)
    assert client.person.visited == []
    assert set(public.good.listener.paths()) == {METADATA}
    assert public.evil.listener.connections == 0


@pytest.mark.parametrize(
    "path", ["$(touch x)", "`touch x`", "x;calc.exe", "x|calc.exe", "x'y", "%PATH%", "x^y", "x?a=$(touch%20x)"]
)
async def test_a_page_whose_address_is_a_command_is_not_opened_t11(public: Stage, path: str) -> None:
    public.good.metadata["authorization_endpoint"] = f"https://as.example/{path}"
    client = program(public)
    await is_refused(client, AddressRefused)
    assert client.person.visited == []


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://10.0.0.1/x", "http://evil.example/x", "javascript:x"])
async def test_a_server_on_this_machine_does_not_get_away_with_more_t11_cli_05(
    stage: Stage, name: str, url: str
) -> None:
    stage.good.metadata[f"{name}_endpoint"] = url
    client = program(stage)
    await is_refused(client, AddressRefused)
    assert client.person.visited == []


@pytest.mark.parametrize("status", STATUSES)
async def test_metadata_that_redirects_elsewhere_is_not_fetched_there_t8(stage: Stage, status: int) -> None:
    evil = stage.evil.listener
    away = redirect(status, evil.url(METADATA))
    stage.good.faults[METADATA] = away
    client = program(stage)
    await is_refused(client, RedirectRefused)
    stage.good.faults.clear()
    stage.faults[urlsplit(stage.prm_url).path] = redirect(status, evil.url("/.well-known/oauth-protected-resource/mcp"))
    with pytest.raises(ClientError):
        await client.request()
    assert evil.connections == 0
    assert client.person.visited == []


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("path", ["/register", "/token"])
async def test_an_endpoint_that_redirects_is_not_sent_anything_again_t8(stage: Stage, path: str, status: int) -> None:
    for location in (stage.evil.listener.url(path), stage.good.listener.url("/else"), "/else"):
        stage.good.listener.asked.clear()
        stage.good.faults[path] = redirect(status, location)
        await is_refused(program(stage), RedirectRefused)
        assert stage.good.listener.paths("POST")[-1] == path
        assert "/else" not in stage.good.listener.paths()
    assert stage.evil.listener.connections == 0


@pytest.mark.parametrize("status", STATUSES)
async def test_a_refresh_that_redirects_keeps_the_refresh_token_at_home_t8(stage: Stage, status: int) -> None:
    client = program(stage)
    await client.request()
    stage.good.tokens.clear()
    stage.good.faults["/token"] = redirect(status, stage.evil.listener.url("/token"))
    await is_refused(client, RedirectRefused)
    held = client.auth.session.held
    assert held is not None
    assert held.refresh_token in stage.good.secrets
    assert stage.evil.listener.connections == 0
    stage.good.faults["/revoke"] = redirect(status, stage.evil.listener.url("/revoke"))
    assert not await client.auth.session.logout()
    assert stage.evil.listener.connections == 0
    check_nothing_leaked(stage)


HUGE = Reply(b" " * 65536, endless=True)
SLOW = Reply(b" ", drip=True)
BEYOND = {
    "huge": (HUGE, 20.0, AnswerRefused),
    "slow": (SLOW, 0.4, Unreachable),
    "silent": (Reply(raw=b"", silent=True), 0.4, Unreachable),
    "packed": (Reply(b"x", headers=(("content-encoding", "gzip"),)), 20.0, AnswerRefused),
    "headers": (Reply(headers=tuple((f"x-{n}", "y" * 1000) for n in range(80))), 20.0, AnswerRefused),
}


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("step", ["resource metadata", METADATA, "/register", "/token"])
async def test_a_step_that_is_answered_beyond_the_caps_ends_there_t8(stage: Stage, step: str, name: str) -> None:
    reply, seconds, error = BEYOND[name]
    client = program(stage)

    def hurry(_: Asked, honest: Reply) -> Reply:
        """Only the step that is never answered is waited for a moment: the honest ones have all the time they need."""
        client.auth.session.sender._seconds = seconds
        return honest

    prm = urlsplit(stage.prm_url).path
    if step == "resource metadata":
        stage.faults[prm] = reply
    else:
        stage.good.faults[step] = reply
    before, path = {
        "resource metadata": (stage.faults, "/mcp"),
        METADATA: (stage.faults, prm),
        "/register": (stage.good.faults, METADATA),
        "/token": (stage.good.faults, "/authorize"),
    }[step]
    before[path] = hurry
    await is_refused(client, error)
    assert client.auth.session.held is None
    assert len(client.person.visited) == (1 if step == "/token" else 0)


async def test_a_list_of_thousands_floods_nobody_and_fits_into_an_address(stage: Stage) -> None:
    stage.prm["scopes_supported"] = [f"scope-{number}" for number in range(20_000)] + ["a b", 'a"', "a\n", 7]
    client = program(stage)
    assert (await client.request()).json() == {"in": True}
    assert len(client.person.visited[0]) < 8192
    stage.prm["authorization_servers"] = [f"{stage.evil.origin}/{number}" for number in range(1000)]
    await is_refused(program(stage), DiscoveryFailed)
    assert len(stage.evil.listener.asked) <= 20


async def test_no_program_is_started_for_an_address_that_must_not_be_opened_t11(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the interaction that opens real browsers, and an opener that a shell would have to run."""
    openers = Openers(tmp_path)
    openers.add("xdg-open")
    for name, value in openers.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BROWSER", raising=False)
    for url in (
        "file:///etc/passwd",
        "javascript:x",
        f"{stage.good.origin}/$(touch${{IFS}}x)",
        "--help",
        "-a Calculator",
    ):
        stage.good.metadata["authorization_endpoint"] = url
        await is_refused(program(stage, interaction=BrowserInteraction(timeout_seconds=20)), AddressRefused)
    assert openers.started() == []
    opened = openers.add_browser("xdg-open")
    stage.good.metadata |= {
        "authorization_endpoint": f"{stage.good.origin}/authorize",
        "authorization_response_iss_parameter_supported": False,
    }
    assert opened.exists()
    with pytest.raises(TokenRequestFailed):  # that browser brings a code of its own: it was opened, then
        await program(stage, interaction=BrowserInteraction(timeout_seconds=20)).request()
