"""The resource's metadata: at every address, in the spelling that was asked for."""

from typing import Any

import pytest

from tests.resource.world import ISSUER, RESOURCE, Echo, Mint, browse

ROOT = "/.well-known/oauth-protected-resource"


def document(resource: str, *scopes: str) -> dict[str, Any]:
    return {
        "resource": resource,
        "authorization_servers": [ISSUER],
        "scopes_supported": list(scopes or ["tools:read"]),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256", "Ed25519"],
    }


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        (f"{ROOT}/mcp", RESOURCE),
        (f"{ROOT}/mcp/", f"{RESOURCE}/"),
        (f"/mcp{ROOT}", RESOURCE),
        (ROOT, RESOURCE),
        (f"{ROOT}/", RESOURCE),
    ],
)
async def test_every_form_of_the_address_has_the_document_prm_01_02_04_06_07_13(path: str, resource: str) -> None:
    app = Echo()
    async with browse(Mint().protect(app)) as client:
        response = await client.get(path)
    assert (response.status_code, response.json()) == (200, document(resource))
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.headers["access-control-allow-origin"] == "*"
    assert app.calls == 0


@pytest.mark.parametrize(
    ("resource", "path", "spelled"),
    [
        ("https://api.test", ROOT, "https://api.test"),
        ("https://api.test/", ROOT, "https://api.test"),
        ("https://api.test/", f"{ROOT}/", "https://api.test/"),
        ("https://api.test/a/b", f"{ROOT}/a/b", "https://api.test/a/b"),
        ("https://api.test/mcp/", f"{ROOT}/mcp/", "https://api.test/mcp/"),
        ("https://api.test/mcp/", f"{ROOT}/mcp", "https://api.test/mcp"),
        ("https://api.test/mcp/", ROOT, "https://api.test/mcp/"),
        ("https://API.test:443/m%20p", f"{ROOT}/m%20p", "https://API.test:443/m%20p"),
    ],
)
async def test_no_slash_is_added_or_lost_prm_08_c15(resource: str, path: str, spelled: str) -> None:
    async with browse(Mint(resource=resource).protect(Echo())) as client:
        response = await client.get(path)
    assert response.json()["resource"] == spelled
    assert response.json()["authorization_servers"] == [ISSUER]


@pytest.mark.parametrize(
    ("resource", "path", "named"),
    [
        (RESOURCE, "/mcp", f"https://api.test{ROOT}/mcp"),
        (RESOURCE, "/mcp/", f"https://api.test{ROOT}/mcp/"),
        (RESOURCE, "/elsewhere/", f"https://api.test{ROOT}/mcp"),
        ("https://api.test/mcp/", "/mcp", f"https://api.test{ROOT}/mcp/"),
        ("https://api.test/mcp/", "/mcp/", f"https://api.test{ROOT}/mcp/"),
        ("https://api.test", "/", f"https://api.test{ROOT}"),
    ],
)
async def test_a_challenge_names_the_document_of_the_spelling_it_answers_www_01(
    resource: str, path: str, named: str
) -> None:
    async with browse(Mint(resource=resource).protect(Echo())) as client:
        response = await client.get(path)
    assert f'resource_metadata="{named}"' in response.headers["www-authenticate"]


async def test_what_is_supported_can_be_more_than_what_is_asked_for_first_prm_09_prm_10() -> None:
    guard = Mint().protect(Echo(), scopes_supported=["tools:read", "tools:write", "offline_access"], name="Tools")
    async with browse(guard) as client:
        response = await client.get(f"{ROOT}/mcp")
        assert response.json() == {**document(RESOURCE, "tools:read", "tools:write"), "resource_name": "Tools"}
        assert 'scope="tools:read"' in (await client.get("/mcp")).headers["www-authenticate"]


async def test_head_has_the_headers_alone_prm_04() -> None:
    async with browse(Mint().protect(Echo())) as client:
        head, get = await client.head(f"{ROOT}/mcp"), await client.get(f"{ROOT}/mcp")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == get.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed_prm_04(method: str) -> None:
    async with browse(Mint().protect(Echo())) as client:
        response = await client.request(method, f"{ROOT}/mcp")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_any_page_may_read_it_prm_14() -> None:
    headers = {"Origin": "https://evil.test", "Access-Control-Request-Method": "GET"}
    headers["Access-Control-Request-Headers"] = "mcp-protocol-version"
    async with browse(Mint().protect(Echo())) as client:
        preflight = await client.options(f"{ROOT}/mcp", headers=headers)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert preflight.headers["access-control-allow-headers"] == "mcp-protocol-version"
        read = await client.get(f"{ROOT}/mcp", headers={"Origin": "https://evil.test"})
        assert (read.status_code, read.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration",
        "/mcp/.well-known/openid-configuration",
        f"{ROOT}/other",
        f"{ROOT}/mcp//",
    ],
)
async def test_documents_that_do_not_exist_are_not_found_and_ask_for_no_token(path: str) -> None:
    app = Echo()
    async with browse(Mint().protect(app)) as client:
        response = await client.get(path)
    assert response.status_code == 404
    assert "www-authenticate" not in response.headers
    assert app.calls == 0
