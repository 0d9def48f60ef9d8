"""Host and Origin: a page that rebinds a name to this server gives itself away (T12, TRN-01)."""

from typing import Any

import pytest

from tests.resource.world import Echo, Mint, browse

LOCAL = "http://127.0.0.1:8400/demo/mcp"
PUBLIC = "https://api.test/mcp"


async def ask(resource: str, headers: list[tuple[str, str]], **options: Any) -> tuple[int, int]:
    """(status with a good token, how often the app was reached)."""
    mint, app = Mint(resource=resource), Echo()
    token = mint.header()["Authorization"]
    async with browse(mint.protect(app, **options), resource) as client:
        request = client.build_request("POST", resource, headers=[*headers, ("Authorization", token)])
        if not any(name.lower() == "host" for name, _ in headers):
            request.headers["host"] = resource.split("/")[2]
        return (await client.send(request)).status_code, app.calls


@pytest.mark.parametrize(
    ("resource", "host"),
    [
        (PUBLIC, "api.test"),
        (PUBLIC, "API.test"),
        (PUBLIC, "api.test:443"),
        (LOCAL, "127.0.0.1:8400"),
        (LOCAL, "localhost:8400"),
        (LOCAL, "[::1]:9999"),
        (LOCAL, "127.9.9.9"),
        (LOCAL, "LOCALHOST"),
        ("http://localhost:1/mcp", "127.0.0.1:2"),
        ("https://api.test:8443/mcp", "api.test:8443"),
    ],
)
async def test_the_resources_own_host_is_served(resource: str, host: str) -> None:
    assert await ask(resource, [("Host", host)]) == (200, 1)


@pytest.mark.parametrize(
    ("resource", "host"),
    [
        (PUBLIC, "evil.test"),
        (PUBLIC, "api.test.evil.test"),
        (PUBLIC, "evil.test:443"),
        (PUBLIC, "api.test:8443"),
        (PUBLIC, "api.test:80"),
        (PUBLIC, "127.0.0.1"),
        (PUBLIC, "localhost"),
        (PUBLIC, "user@api.test"),
        (PUBLIC, "api.test/"),
        (PUBLIC, "api.test evil.test"),
        (PUBLIC, "api.test,evil.test"),
        (PUBLIC, ""),
        (LOCAL, "evil.test"),
        (LOCAL, "evil.test:8400"),
        (LOCAL, "localhost.evil.test"),
        (LOCAL, "127.0.0.1.evil.test"),
        (LOCAL, "localhost.:8400"),
        (LOCAL, "127.0.0.1:8400:1"),
        (LOCAL, "0.0.0.0:8400"),
        (LOCAL, "[::ffff:127.0.0.1]:8400"),
        ("https://api.test:8443/mcp", "api.test"),
    ],
)
async def test_any_other_host_is_misdirected_t12(resource: str, host: str) -> None:
    assert await ask(resource, [("Host", host)]) == (421, 0)


async def test_two_hosts_are_none() -> None:
    assert await ask(PUBLIC, [("Host", "api.test"), ("Host", "api.test")]) == (421, 0)


async def test_no_host_is_none() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/mcp", "headers": []}
    await Mint().protect(Echo())(scope, None, send)  # type: ignore[arg-type]  # nothing is received before the answer
    assert sent[0]["status"] == 421


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource/mcp", "/mcp"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_a_rebound_name_learns_nothing_at_all(path: str, method: str) -> None:
    async with browse(Mint().protect(Echo())) as client:
        response = await client.request(method, path, headers={"Host": "evil.test"})
    assert (response.status_code, "access-control-allow-origin" in response.headers) == (421, False)


@pytest.mark.parametrize(
    ("resource", "origin"),
    [
        (PUBLIC, "https://api.test"),
        (PUBLIC, "https://api.test:443"),
        (LOCAL, "http://127.0.0.1:8400"),
        (LOCAL, "http://localhost:6274"),
        (LOCAL, "https://localhost"),
        (LOCAL, "http://[::1]:3000"),
    ],
)
async def test_the_resources_own_origin_is_served(resource: str, origin: str) -> None:
    assert await ask(resource, [("Origin", origin)]) == (200, 1)


@pytest.mark.parametrize(
    ("resource", "origin"),
    [
        (PUBLIC, "https://evil.test"),
        (PUBLIC, "http://api.test"),
        (PUBLIC, "https://api.test:8443"),
        (PUBLIC, "https://api.test.evil.test"),
        (PUBLIC, "https://evil.test/https://api.test"),
        (PUBLIC, "https://api.test@evil.test"),
        (PUBLIC, "http://localhost:6274"),
        (PUBLIC, "null"),
        (PUBLIC, "*"),
        (PUBLIC, ""),
        (LOCAL, "https://evil.test"),
        (LOCAL, "http://localhost.evil.test"),
        (LOCAL, "http://evil.test:8400"),
        (LOCAL, "null"),
        (LOCAL, "chrome-extension://localhost"),
    ],
)
async def test_pages_of_any_other_origin_are_turned_away_trn_01(resource: str, origin: str) -> None:
    assert await ask(resource, [("Origin", origin)]) == (403, 0)


async def test_two_origins_are_turned_away() -> None:
    assert await ask(PUBLIC, [("Origin", "https://api.test"), ("Origin", "https://api.test")]) == (403, 0)


async def test_a_turned_away_page_may_not_even_read_the_answer() -> None:
    async with browse(Mint().protect(Echo())) as client:
        for method in ("OPTIONS", "POST"):
            response = await client.request(method, "/mcp", headers={"Origin": "https://evil.test"})
            assert response.status_code == 403
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origin", ["https://app.test", "vscode-webview://abc", "null", "HTTPS://App.Test:443"])
async def test_origins_can_be_added(origin: str) -> None:
    options = {"allowed_origins": ["https://app.test", "vscode-webview://abc", "null"]}
    assert await ask(PUBLIC, [("Origin", origin)], **options) == (200, 1)
    assert await ask(PUBLIC, [("Origin", "https://api.test")], **options) == (200, 1)
    assert await ask(PUBLIC, [("Origin", "https://evil.test")], **options) == (403, 0)


async def test_a_server_can_be_opened_to_every_page_by_name() -> None:
    assert await ask(PUBLIC, [("Origin", "https://any.test")], allowed_origins=["*"]) == (200, 1)
    assert await ask(PUBLIC, [("Origin", "null")], allowed_origins=["*"]) == (200, 1)


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        (["backend"], "backend", 200),
        (["backend"], "backend:443", 200),
        (["backend"], "backend:3000", 421),
        (["backend:3000"], "backend:3000", 200),
        (["backend:*"], "backend:3000", 200),
        (["[::1]:*"], "[::1]:3000", 200),
        (["backend"], "api.test", 421),
        ([], "api.test", 421),
    ],
)
async def test_hosts_can_be_named_behind_a_proxy(allowed: list[str], host: str, status: int) -> None:
    assert (await ask(PUBLIC, [("Host", host)], allowed_hosts=allowed))[0] == status


async def test_naming_hosts_ends_the_freedom_of_loopback() -> None:
    assert (await ask(LOCAL, [("Host", "localhost:1")], allowed_hosts=["127.0.0.1:8400"]))[0] == 421
