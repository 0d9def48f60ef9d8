"""A client that is known by a document may push the first request it ever makes (PAR-02, PAR-09; CIMD-05)."""

from typing import Any

import pytest

from doorward.core.limits import DOCUMENT_SOURCE
from doorward.oauth.assertions import ASSERTION_TYPE
from tests.inside import Answer, Door
from tests.person import answer_parameters
from tests.registration.site import Page, Site
from tests.registration.steps import APP_REDIRECT, stored
from tests.registration.test_assertions import publish, sign
from tests.server.pushing import link, push, taken
from tests.server.steps import refusal, set_project


async def push_as(door: Door, client_id: str, **fields: str) -> Answer:
    return await push(door, client_id, redirect_uri=APP_REDIRECT, **fields)


async def test_a_published_app_pushes_before_anybody_let_it_in(door: Door, site: Site) -> None:
    client_id = site.publish()
    url = link(client_id, taken(await push_as(door, client_id)))
    assert await stored(door, client_id) is None
    assert site.requests == ["/client.json"]
    assert "code" in answer_parameters(await door.person().consent(url))
    assert await stored(door, client_id) is not None


async def test_one_with_keys_proves_itself_with_them_and_cannot_do_without(door: Door, site: Site) -> None:
    client_id = publish(site)
    proof = {"client_assertion_type": ASSERTION_TYPE}
    assert refusal(await push_as(door, client_id)) == (401, "invalid_client")
    taken(await push_as(door, client_id, client_assertion=sign(door, client_id), **proof))
    for_another = sign(door, client_id, aud="https://other.example")
    assert refusal(await push_as(door, client_id, client_assertion=for_another, **proof)) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("page", "status", "error"),
    [
        (Page(b'{"client_id": "https://other.example/client.json"}'), 401, "invalid_client"),
        (Page(b"not JSON"), 401, "invalid_client"),
        (Page(b"{}", status=404), 503, "temporarily_unavailable"),
        (Page(b"{}", status=503), 503, "temporarily_unavailable"),
    ],
)
async def test_an_app_whose_document_is_not_to_be_had_is_told_so(
    door: Door, site: Site, page: Page, status: int, error: str
) -> None:
    client_id = site.publish()
    site.pages["/client.json"] = page
    assert refusal(await push_as(door, client_id)) == (status, error)


@pytest.mark.parametrize("settings", [{"documents": False}, {"registration_mode": "closed"}])
async def test_where_documents_are_not_taken_nothing_is_fetched(
    door: Door, site: Site, settings: dict[str, Any]
) -> None:
    await set_project(door, **settings)
    assert refusal(await push_as(door, site.publish())) == (401, "invalid_client")
    assert site.connections == 0


async def test_a_source_makes_us_fetch_only_so_much_t48(door: Door, site: Site) -> None:
    for number in range(DOCUMENT_SOURCE.burst):
        assert (await push_as(door, site.url(f"/{number}.json"))).status in (401, 503)
    connections = site.connections
    answer = await push_as(door, site.publish())
    assert (*refusal(answer), answer.header("retry-after") != "") == (429, "temporarily_unavailable", True)
    assert site.connections == connections


async def test_a_document_can_say_that_its_app_pushes_everything_par_10(door: Door, site: Site) -> None:
    client_id = site.publish(require_pushed_authorization_requests=True)
    answer = await door.call("GET", door.authorization_url(client_id, "v" * 43, redirect_uri=APP_REDIRECT))
    assert answer_parameters(answer.header("location"))["error"] == "invalid_request"
    url = link(client_id, taken(await push_as(door, client_id)))
    assert "code" in answer_parameters(await door.person().consent(url))


async def test_no_other_endpoint_fetches_for_a_client_it_does_not_know(door: Door, site: Site) -> None:
    client_id = site.publish()
    for path, fields in (
        ("/api/oauth/token", {"grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43}),
        ("/api/oauth/revoke", {"token": "x"}),
        ("/api/oauth/introspect", {"token": "x"}),
    ):
        assert (await door.post_form(path, {"client_id": client_id, **fields})).status == 401
    assert site.connections == 0
