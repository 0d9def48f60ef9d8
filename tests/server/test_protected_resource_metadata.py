"""Documents of resources that live on the server's own origin (RFC 9728)."""

from typing import Any

import pytest

from doorward.core.models import Project, ResourceSettings
from doorward.manage import resources
from doorward.oauth.dpop import PROOF_ALGORITHMS
from tests.inside import ISSUER, SCOPES, Door
from tests.server.steps import add_neighbour, refusal

HERE = f"{ISSUER}/demo/mcp"
PREFIX = "/.well-known/oauth-protected-resource"


def document(resource: str = HERE, issuer: str = ISSUER) -> dict[str, Any]:
    return {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": ["tools:read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Demo",
    }


async def add_here(door: Door, uri: str = HERE, project: Project | None = None) -> None:
    await resources.add(door.operator, project or door.project, uri, name="Demo", scopes=SCOPES)
    door.clock.advance(seconds=1)


async def test_a_resource_here_has_its_document_at_the_path_form_prm_01_02_13(door: Door) -> None:
    await add_here(door)
    answer = await door.call("GET", f"{PREFIX}/demo/mcp")
    assert (answer.status, answer.json()) == (200, document())
    assert answer.header("cache-control") == "public, max-age=300"
    assert answer.header("access-control-allow-origin") == "*"


async def test_a_resource_that_asks_for_bound_tokens_says_so_prm_12(door: Door) -> None:
    await add_here(door)
    resource = await resources.get(door.operator, door.project, HERE)
    await resources.change(door.operator, resource, settings=ResourceSettings(dpop_required=True))
    door.clock.advance(seconds=1)
    assert (await door.call("GET", f"{PREFIX}/demo/mcp")).json() == document() | {
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
        "dpop_bound_access_tokens_required": True,
    }


@pytest.mark.parametrize("path", [f"{PREFIX}/demo/mcp/", "/demo/mcp/.well-known/oauth-protected-resource"])
async def test_the_spelling_that_was_asked_for_is_the_one_answered_prm_06(door: Door, path: str) -> None:
    await add_here(door)
    answer = await door.call("GET", path)
    assert answer.json() == document(f"{HERE}/" if path.endswith("/") else HERE)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_root_form_answers_for_the_only_resource_here_prm_03(door: Door, slash: str) -> None:
    await add_here(door)
    answer = await door.call("GET", f"{PREFIX}{slash}")
    assert (answer.status, answer.json()) == (200, document())


async def test_the_root_form_does_not_choose_between_two_prm_03_22(door: Door) -> None:
    await add_here(door)
    await add_here(door, f"{ISSUER}/other/mcp")
    assert refusal(await door.call("GET", PREFIX)) == (404, "not_found")
    assert (await door.call("GET", f"{PREFIX}/other/mcp")).json()["resource"] == f"{ISSUER}/other/mcp"


@pytest.mark.parametrize("path", ["/demo", "/demo/mcp/x", "/demo/mc", "/DEMO/mcp", "/mcp", "/demo%2Fmcp"])
async def test_another_path_is_another_resource(door: Door, path: str) -> None:
    await add_here(door)
    assert refusal(await door.call("GET", f"{PREFIX}{path}")) == (404, "not_found")


async def test_a_resource_elsewhere_has_no_document_here(door: Door) -> None:
    assert refusal(await door.call("GET", f"{PREFIX}/mcp")) == (404, "not_found")
    assert refusal(await door.call("GET", PREFIX)) == (404, "not_found")


async def test_offline_access_is_never_among_the_scopes_prm_10(door: Door) -> None:
    await add_here(door)
    assert "offline_access" not in (await door.call("GET", f"{PREFIX}/demo/mcp")).json()["scopes_supported"]


async def test_a_resource_of_a_project_names_the_projects_issuer_prm_07_08(door: Door) -> None:
    acme = await add_neighbour(door)
    await add_here(door, f"{ISSUER}/p/acme/mcp", acme)
    answer = await door.call("GET", f"{PREFIX}/p/acme/mcp")
    assert answer.json() == document(f"{ISSUER}/p/acme/mcp", f"{ISSUER}/p/acme")
