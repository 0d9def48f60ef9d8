"""A client known by a document may come by a device first: known while that waits, without a row until it is let in.

Spec: DEV-01, DEV-06; CIMD-05, CIMD-14, CIMD-16; CAU-07; clients.md nos. 12, 49
"""

from typing import Any

import pytest

from doorward.manage import admission, clients
from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.server.device import CODE_LIFE_MS
from tests.inside import Door
from tests.person import Person
from tests.registration.site import Page, Site
from tests.registration.steps import stored
from tests.registration.test_assertions import EC, jwks, sign
from tests.server.devices import GRANTS, PENDING, ask, enter, let_in, offer, poll, request
from tests.server.steps import refusal, set_project, success

UNKNOWN = (401, "invalid_client")
VS_CODE = "https://vscode.dev/oauth/client-metadata.json"


@pytest.fixture
async def offering(door: Door) -> Door:
    """The server with the device grant switched on."""
    return await offer(door)


def publish(site: Site, **members: Any) -> str:
    return site.publish(grant_types=GRANTS, **members)


async def test_a_published_app_gets_in_by_a_device_without_ever_being_at_the_authorization_endpoint(
    offering: Door, site: Site, person: Person
) -> None:
    client_id = publish(site)
    device = await ask(offering, client_id)
    assert refusal(await poll(offering, client_id, device["device_code"])) == PENDING
    assert await stored(offering, client_id) is None  # nothing is kept of an app that nobody has let in
    page = await enter(person, device["user_code"])
    assert "Sample app" in page.text
    assert "It says it is from app.example" in page.text
    await person.submit(page, decision="allow")
    client = await stored(offering, client_id)
    assert client is not None
    assert client.kind == "document"
    tokens = success(await poll(offering, client_id, device["device_code"]))
    assert (await offering.refresh(client_id, tokens["refresh_token"])).status == 200
    assert site.requests == ["/client.json"]


async def test_a_document_is_fetched_for_a_device_and_for_nobody_who_has_none(offering: Door, site: Site) -> None:
    client_id = publish(site)
    assert refusal(await poll(offering, client_id, "mdc_x")) == UNKNOWN
    assert site.requests == []
    device = await ask(offering, client_id)
    assert refusal(await poll(offering, client_id, device["device_code"])) == PENDING
    offering.clock.advance(seconds=CODE_LIFE_MS / 1000)
    assert refusal(await poll(offering, client_id, device["device_code"])) == UNKNOWN
    assert site.requests == ["/client.json"]


async def test_a_restart_while_a_device_waits_makes_its_client_known_again(
    offering: Door, site: Site, person: Person
) -> None:
    client_id = publish(site)
    device = await ask(offering, client_id)
    offering.context.documents.forget(client_id)  # what a process that starts anew holds
    assert refusal(await poll(offering, client_id, device["device_code"])) == PENDING
    assert site.requests == ["/client.json"] * 2
    site.pages.clear()
    offering.context.documents.forget(client_id)
    assert refusal(await poll(offering, client_id, device["device_code"])) == UNKNOWN
    page = await enter(person, device["user_code"])
    assert (page.status, "This request is over" in page.text) == (400, True)


@pytest.mark.parametrize(
    ("page", "status", "code"),
    [
        (Page(b"nothing", 404), 503, "temporarily_unavailable"),
        (Page(b"no json"), 401, "invalid_client"),
        (Page(b'{"client_id": "https://other.example/"}'), 401, "invalid_client"),
    ],
)
async def test_a_document_that_cannot_be_used_is_told_to_the_device(
    offering: Door, site: Site, page: Page, status: int, code: str
) -> None:
    client_id = site.url()
    site.pages["/client.json"] = page
    answer = await request(offering, client_id)
    assert refusal(answer) == (status, code)
    assert "document" in answer.json()["error_description"]


async def test_a_document_without_the_grant_is_refused(offering: Door, site: Site) -> None:
    assert refusal(await request(offering, site.publish())) == (400, "unauthorized_client")


async def test_the_rules_for_documents_hold_for_devices_cimd_23(offering: Door, site: Site) -> None:
    client_id = publish(site)
    await set_project(offering, blocked_hosts=("app.example",))
    assert refusal(await request(offering, client_id)) == UNKNOWN
    for rule in ({"documents": False}, {"documents": True, "registration_mode": "closed"}):
        await set_project(offering, blocked_hosts=(), **rule)
        assert refusal(await request(offering, client_id)) == UNKNOWN
    assert site.requests == []


async def test_an_app_that_an_administrator_removed_is_not_known_by_its_device_again(
    offering: Door, site: Site, person: Person
) -> None:
    client_id = publish(site)
    await let_in(person, (await ask(offering, client_id))["user_code"])
    waiting = await ask(offering, client_id)
    await clients.remove(offering.operator, await clients.get(offering.operator, offering.project, client_id))
    assert refusal(await poll(offering, client_id, waiting["device_code"])) == UNKNOWN
    assert refusal(await request(offering, client_id)) == UNKNOWN


async def test_in_a_project_that_approves_apps_a_new_document_waits_for_it(
    offering: Door, site: Site, person: Person
) -> None:
    await set_project(offering, registration_mode="approval")
    client_id = publish(site)
    device = await ask(offering, client_id)
    page = await enter(person, device["user_code"])
    assert (page.status, "Waiting for approval" in page.text) == (403, True)
    assert refusal(await poll(offering, client_id, device["device_code"])) == (400, "unauthorized_client")
    queued = await clients.get(offering.operator, offering.project, client_id)
    await admission.approve(offering.operator, queued)
    await let_in(person, device["user_code"])
    success(await poll(offering, client_id, device["device_code"]))


async def test_an_app_that_proves_itself_by_a_key_does_so_at_every_step_cau_07(
    offering: Door, site: Site, person: Person
) -> None:
    client_id = publish(site, token_endpoint_auth_method="private_key_jwt", jwks=jwks(EC))
    assert refusal(await request(offering, client_id)) == UNKNOWN

    def assertion() -> dict[str, str]:
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": sign(offering, client_id)}

    device = await ask(offering, None, **assertion())
    assert refusal(await poll(offering, client_id, device["device_code"])) == UNKNOWN
    assert refusal(await poll(offering, client_id, device["device_code"], None, **assertion())) == PENDING
    await let_in(person, device["user_code"])
    success(await poll(offering, client_id, device["device_code"], None, **assertion()))


async def test_vs_code_gets_in_by_its_bundled_document_while_its_host_does_not_answer(
    offering: Door, person: Person
) -> None:
    device = await ask(offering, VS_CODE)
    assert refusal(await poll(offering, VS_CODE, device["device_code"])) == PENDING
    await let_in(person, device["user_code"])
    assert success(await poll(offering, VS_CODE, device["device_code"]))["refresh_token"]
