"""When documents are fetched, how long they count, who may be known by one, and what happens when one changes.

Spec: CIMD-05, CIMD-12, CIMD-14 … CIMD-16, CIMD-23, CIMD-25; T6; complaints 9 and 24
"""

import asyncio
from typing import Any

import pytest

from doorward.manage import admission, clients
from doorward.oauth.jwt import generate_signing_key
from tests.inside import Door, open_door
from tests.person import Person
from tests.registration.conftest import with_documents
from tests.registration.site import Authority, Page, Site
from tests.registration.steps import (
    APP_REDIRECT,
    WEB,
    audited,
    authorize,
    consent_page,
    is_accepted,
    let_in,
    stored,
    tokens_of,
    told,
)
from tests.server.steps import is_active, refusal, set_project

MINUTE, HOUR, DAY = 60, 3600, 86_400
CLAUDE = "https://claude.ai/oauth/claude-code-client-metadata"
OTHER = "https://client.example.com/other"


@pytest.mark.parametrize(
    ("cache", "fresh"),
    [
        ("", HOUR),
        ("max-age=0", 5 * MINUTE),
        ("max-age=60", 5 * MINUTE),
        ("no-store", 5 * MINUTE),
        ("no-cache, max-age=9999", 5 * MINUTE),
        ("max-age=1800", 30 * MINUTE),
        ('public, Max-Age="1800"', 30 * MINUTE),
        ("s-maxage=60, max-age=1800", 30 * MINUTE),
        ("max-age=99999999", DAY),
        ("max-age=nonsense", HOUR),
    ],
)
async def test_a_document_is_used_as_long_as_it_says_within_bounds_cimd_05_cimd_14(
    door: Door, site: Site, cache: str, fresh: int
) -> None:
    client_id = site.publish(cache=cache)
    for seconds, fetches in ((0, 1), (fresh - 1, 1), (1, 2)):
        door.clock.advance(seconds=seconds)
        assert await is_accepted(door, client_id)
        assert len(site.requests) == fetches


async def test_the_stored_copy_of_a_client_is_used_after_a_restart(
    door: Door, site: Site, authority: Authority
) -> None:
    client_id = site.publish()
    await let_in(door, client_id)
    async with open_door(door.context.settings.data, door.clock) as restarted:
        again = with_documents(restarted, authority)
        assert await is_accepted(again, client_id)
        assert len(site.requests) == 1
        door.clock.advance(seconds=HOUR)
        assert await is_accepted(again, client_id)
        assert len(site.requests) == 2


async def test_requests_at_the_same_time_share_one_fetch_cimd_12(door: Door, site: Site) -> None:
    client_id = site.publish()
    site.gate.clear()
    waiting = [asyncio.create_task(authorize(door, client_id)) for _ in range(5)]
    await site.asked.wait()
    site.gate.set()
    answers = await asyncio.gather(*waiting)
    assert {answer.status for answer in answers} <= {302, 303}
    assert len(site.requests) == 1


async def test_somebody_who_leaves_does_not_stop_the_fetch_for_the_others(door: Door, site: Site) -> None:
    client_id = site.publish()
    site.gate.clear()
    leaving, staying = (asyncio.create_task(authorize(door, client_id)) for _ in range(2))
    await site.asked.wait()
    leaving.cancel()
    site.gate.set()
    assert (await staying).status in (302, 303)
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Page(b"{}", 500),
        Page(b"{}", 404),
        Page(b"{}", 204),
        Page(b"<html>", media="text/html"),
        Page(b"not JSON"),
        Page(b"[]"),
    ],
)
async def test_a_failure_is_never_kept_cimd_15(door: Door, site: Site, failure: Page) -> None:
    client_id = site.publish()
    good = site.pages["/client.json"]
    site.pages["/client.json"] = failure
    told(await authorize(door, client_id))
    site.pages["/client.json"] = good
    assert await is_accepted(door, client_id)


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Page(status=404), "It answered 404"),
        (Page(status=503), "It answered 503"),
        (Page(status=302, headers=(("location", "https://localhost/"),)), "It answered 302"),
        (Page(media="text/html"), "not JSON by its content type"),
        (Page(b"x" * 6000), "larger than 5120 bytes"),
        (Page(b"x", headers=(("content-encoding", "gzip"),)), "compressed"),
        (Page(raw=b""), "could not be fetched"),
    ],
)
async def test_a_page_says_that_the_fetch_failed_and_why_complaint_9_cimd_06_09_16(
    door: Door, site: Site, page: Page, why: str
) -> None:
    client_id = site.publish()
    site.pages["/client.json"] = page
    text = told(await authorize(door, client_id))
    assert "This app's description could not be fetched" in text
    assert client_id in text
    assert why in text
    assert "Try again in a minute" in text
    assert "not known here" not in text


async def test_an_address_that_must_not_be_reached_is_told_as_such(door: Door) -> None:
    text = told(await authorize(door, "https://private.example/client.json"))
    assert "leads to an address that must not be reached" in text


async def test_a_host_that_fails_is_asked_ten_times_and_then_let_be(door: Door, site: Site) -> None:
    urls = [site.url(f"/{number}.json") for number in range(11)]
    for url in urls[:10]:
        assert "It answered 404" in told(await authorize(door, url))
    assert "not asked again just now" in told(await authorize(door, urls[10]))
    assert "It answered 404" in told(await authorize(door, urls[0]))
    assert len(site.requests) == 10
    site.publish("/10.json")
    door.clock.advance(seconds=6)
    assert await is_accepted(door, urls[10])
    other = site.publish("/other.json", host="other.example")
    assert await is_accepted(door, other)


async def test_one_source_has_twenty_unknown_documents_a_minute(door: Door) -> None:
    for number in range(20):
        told(await authorize(door, f"https://private.example/{number}"))
    answer = await authorize(door, "https://private.example/20")
    told(answer, status=429)
    assert answer.header("retry-after") == "3"


async def test_deciding_costs_nothing_of_anybodys_limit(door: Door, site: Site, person: Person) -> None:
    client_id = site.publish(cache="no-store")
    page = await consent_page(door, person, client_id)
    for number in range(20):
        await authorize(door, f"https://private.example/{number}")
    door.clock.advance(seconds=5 * MINUTE)
    page = await person.submit(page, decision="allow")
    assert page.links["continue"].startswith(APP_REDIRECT)


async def test_a_stored_client_outlives_its_host_for_a_week_and_no_longer(door: Door, site: Site) -> None:
    client_id = site.publish()
    await let_in(door, client_id)
    del site.pages["/client.json"]
    door.context.documents._kept.clear()
    door.clock.advance(seconds=HOUR + 7 * DAY - 1)
    assert await is_accepted(door, client_id)
    assert not await is_accepted(door, client_id, WEB)
    door.clock.advance(seconds=1)
    assert "could not be fetched" in told(await authorize(door, client_id))


async def test_a_copy_in_memory_outlives_its_host_for_a_week(door: Door, site: Site) -> None:
    client_id = site.publish()
    assert await is_accepted(door, client_id)
    del site.pages["/client.json"]
    door.clock.advance(seconds=7 * DAY - 1)
    assert await is_accepted(door, client_id)
    door.clock.advance(seconds=1)
    assert not await is_accepted(door, client_id)


async def test_a_known_client_works_although_its_host_does_not_answer_complaint_9(door: Door) -> None:
    assert "access_token" in await tokens_of(door, CLAUDE, APP_REDIRECT)
    assert not await is_accepted(door, CLAUDE, WEB)
    client = await stored(door, CLAUDE)
    assert client is not None
    assert (client.kind, client.metadata.client_name) == ("document", "Claude Code")
    door.clock.advance(seconds=30 * DAY)
    assert await is_accepted(door, CLAUDE)


async def test_a_copy_does_not_stand_in_for_a_host_that_leads_inside(
    door: Door, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id = site.publish()
    await let_in(door, client_id)
    door.clock.advance(seconds=HOUR)

    async def lead_inside(host: str, port: int) -> list[str]:
        del host, port
        return ["10.0.0.1"]

    monkeypatch.setattr(door.context.documents.fetcher, "_resolve", lead_inside)
    door.context.documents._kept.clear()
    assert "must not be reached" in told(await authorize(door, client_id))


async def test_a_project_without_documents_takes_none_and_fetches_nothing(door: Door, site: Site) -> None:
    await set_project(door, documents=False)
    assert "does not accept apps" in told(await authorize(door, site.publish()))
    assert site.connections == 0


@pytest.mark.parametrize(
    "policy",
    [
        {"blocked_hosts": ("app.example",)},
        {"blocked_hosts": ("example",)},
        {"blocked_hosts": ("APP.Example",)},
        {"blocked_hosts": (".app.example.",)},
        {"document_hosts": ("other.example",)},
        {"document_hosts": ("pp.example",)},
        {"document_hosts": ("app.example",), "blocked_hosts": ("app.example",)},
    ],
)
async def test_a_host_that_is_not_welcome_is_not_even_asked_cimd_23(
    door: Door, site: Site, policy: dict[str, Any]
) -> None:
    client_id = site.publish()
    await set_project(door, **policy)
    for spelling in (
        client_id,
        client_id.replace("app.example", "APP.example"),
        client_id.replace("app.example", "app.example."),
    ):
        assert "not accepted here" in told(await authorize(door, spelling))
    assert site.connections == 0


@pytest.mark.parametrize("hosts", [("app.example",), ("example",), ("Other.example", "App.example")])
async def test_a_listed_host_is_welcome_with_everything_below_it(
    door: Door, site: Site, hosts: tuple[str, ...]
) -> None:
    await set_project(door, document_hosts=hosts)
    assert await is_accepted(door, site.publish())


async def test_a_host_that_is_blocked_later_cannot_ask_again(door: Door, site: Site) -> None:
    client_id = site.publish()
    await let_in(door, client_id)
    await set_project(door, blocked_hosts=("app.example",))
    assert not await is_accepted(door, client_id)


async def test_documents_of_this_machine_are_for_projects_in_development_cimd_11(door: Door, site: Site) -> None:
    client_id = site.publish(host="localhost")
    assert "for development only" in told(await authorize(door, client_id))
    assert site.connections == 0
    await set_project(door, development=True)
    assert await is_accepted(door, client_id)


async def test_development_needs_the_servers_own_settings_too_cimd_11(
    data: Any, authority: Authority, site: Site
) -> None:
    client_id = site.publish(host="localhost")
    async with open_door(data) as door:
        await set_project(door, development=True)
        assert not await is_accepted(door, client_id)
        assert site.connections == 0
    settings = {"allow_cidrs": ["127.0.0.0/8", "::1/128"], "ca_file": authority.trust}
    async with open_door(data, door.clock, cimd=settings) as door:
        assert await is_accepted(door, client_id)


async def test_changed_redirects_take_effect_and_are_asked_about_again_cimd_25(
    door: Door, site: Site, person: Person
) -> None:
    client_id = site.publish(redirect_uris=[WEB])
    await let_in(door, client_id, WEB)
    site.publish(redirect_uris=[OTHER], client_name="Renamed")
    assert await is_accepted(door, client_id, WEB)
    door.clock.advance(seconds=HOUR)
    assert not await is_accepted(door, client_id, WEB)
    page = await consent_page(door, person, client_id, OTHER)
    assert ("decision", "allow") in page.buttons
    client = await stored(door, client_id)
    assert client is not None
    assert client.metadata.redirect_uris == (OTHER,)
    assert (await audited(door)).count("client.changed") == 1


async def test_nothing_goes_to_a_place_that_left_the_document_while_the_person_decided_t6(
    door: Door, site: Site, person: Person
) -> None:
    client_id = site.publish(redirect_uris=[WEB], cache="no-store")
    page = await consent_page(door, person, client_id, WEB)
    site.publish(redirect_uris=[OTHER])
    door.clock.advance(seconds=5 * MINUTE)
    page = await person.submit(page, decision="allow")
    assert page.status == 400
    assert "continue" not in page.links
    assert await stored(door, client_id) is None


async def test_changed_keys_count_at_once_where_nobody_approves(door: Door, site: Site) -> None:
    client_id = site.publish(jwks={"keys": [generate_signing_key("ES256").public_jwk()]})
    await let_in(door, client_id)
    new = {"keys": [generate_signing_key("ES256").public_jwk()]}
    site.publish(jwks=new)
    door.clock.advance(seconds=HOUR)
    assert await is_accepted(door, client_id)
    client = await stored(door, client_id)
    assert client is not None
    assert client.metadata.jwks == new


async def approved(door: Door, site: Site, **members: Any) -> str:
    """The id of a client that an operator approved from the queue, and that somebody let in."""
    await set_project(door, registration_mode="approval")
    client_id = site.publish(**members)
    page = await consent_page(door, door.person(), client_id, WEB)
    assert (page.status, "Waiting for approval" in page.text) == (403, True)
    await admission.approve(door.operator, await clients.get(door.operator, door.project, client_id))
    await let_in(door, client_id, WEB)
    return client_id


async def test_where_operators_approve_a_changed_document_waits_with_its_difference(door: Door, site: Site) -> None:
    client_id = await approved(door, site, redirect_uris=[WEB])
    site.publish(redirect_uris=[WEB, OTHER], client_name="Renamed")
    door.clock.advance(seconds=HOUR)
    assert await is_accepted(door, client_id, WEB)
    assert not await is_accepted(door, client_id, OTHER)
    (queued,) = await admission.list_queue(door.operator, door.project)
    described = admission.describe_queued(queued)
    assert described["waits_as"] == "changed"
    assert described["changes"] == {
        "client_name": {"before": "Sample app", "after": "Renamed"},
        "redirect_uris": {"before": (WEB,), "after": (WEB, OTHER)},
    }
    await admission.approve(door.operator, queued.client)
    assert await is_accepted(door, client_id, OTHER)
    assert await admission.list_queue(door.operator, door.project) == []


async def test_a_changed_document_that_is_denied_leaves_the_client_as_it_was(door: Door, site: Site) -> None:
    client_id = await approved(door, site, redirect_uris=[WEB])
    site.publish(redirect_uris=[OTHER])
    door.clock.advance(seconds=HOUR)
    assert await is_accepted(door, client_id, WEB)
    (queued,) = await admission.list_queue(door.operator, door.project)
    await admission.deny(door.operator, queued.client)
    assert await is_accepted(door, client_id, WEB)
    assert not await is_accepted(door, client_id, OTHER)
    assert await admission.list_queue(door.operator, door.project) == []


async def test_a_copy_in_memory_does_not_pass_what_waits_for_approval(door: Door, site: Site) -> None:
    client_id = await approved(door, site, redirect_uris=[WEB])
    site.publish(redirect_uris=[OTHER])
    door.clock.advance(seconds=HOUR)
    assert await is_accepted(door, client_id, WEB)
    del site.pages["/client.json"]
    door.clock.advance(seconds=DAY)
    assert not await is_accepted(door, client_id, OTHER)


async def test_a_client_suspended_during_a_fetch_stays_suspended(door: Door, site: Site) -> None:
    client_id = site.publish()
    answer = await tokens_of(door, client_id)
    site.publish(redirect_uris=["http://localhost/callback", WEB])
    door.clock.advance(seconds=HOUR)
    site.asked.clear()
    site.gate.clear()
    asking = asyncio.create_task(authorize(door, client_id))
    await site.asked.wait()
    await admission.suspend(door.operator, await clients.get(door.operator, door.project, client_id))
    site.gate.set()
    await asking
    client = await stored(door, client_id)
    assert client is not None
    assert client.status == "suspended"
    assert not await is_active(door, answer["access_token"])
    assert refusal(await door.refresh(client_id, answer["refresh_token"]))[0] in (400, 401)
