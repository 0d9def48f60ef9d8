"""Apps that an operator lets in by the URL of their document, before anybody comes with them.

Spec: REG-04, CIMD-01, CIMD-05, CIMD-11, CIMD-23; complaint 23
"""

import pytest

from doorward.fetch import GuardedFetcher
from doorward.manage import admission, clients, documents
from doorward.manage.operator import ActionRefused
from doorward.server.jobs import sweep
from tests.inside import Door
from tests.person import Person
from tests.registration.conftest import resolve
from tests.registration.site import Authority, Page, Site
from tests.registration.steps import (
    APP_REDIRECT,
    audited,
    authorize,
    consent_page,
    is_accepted,
    stored,
    tokens_of,
    told,
)
from tests.server.steps import set_project

WEB_APP = "https://client.example.com/cb"


async def add(door: Door, authority: Authority, client_id: str) -> str:
    fetcher = GuardedFetcher(allow_cidrs=["127.0.0.0/8"], trust=authority.trust, resolve=resolve)
    client = await documents.add_document(door.operator, door.project, client_id, fetcher, max_bytes=5120)
    return str(client.client_id)


@pytest.mark.parametrize("mode", ["open", "approved_redirects", "approval", "protected", "closed"])
async def test_it_gets_in_whoever_else_may_register_reg_04(
    door: Door, site: Site, authority: Authority, mode: str
) -> None:
    await set_project(door, registration_mode=mode)
    client_id = await add(door, authority, site.publish(redirect_uris=[WEB_APP]))
    other = site.publish("/other.json", redirect_uris=[WEB_APP])
    assert "access_token" in await tokens_of(door, client_id, WEB_APP)
    if mode == "closed":
        assert "takes no new apps" in told(await authorize(door, other, WEB_APP))


async def test_people_are_told_that_an_administrator_vouches_for_it(
    door: Door, site: Site, authority: Authority, person: Person
) -> None:
    client_id = await add(door, authority, site.publish(redirect_uris=[WEB_APP]))
    page = await consent_page(door, person, client_id, WEB_APP)
    assert "Verified app" in page.text
    assert "vouched for by an administrator" in page.text
    assert "app.example" in page.text


async def test_its_document_is_read_anew_and_it_stays_however_long_it_is_away(
    door: Door, site: Site, authority: Authority
) -> None:
    client_id = await add(door, authority, site.publish())
    site.publish(redirect_uris=[WEB_APP])
    assert await is_accepted(door, client_id, WEB_APP)
    assert not await is_accepted(door, client_id, APP_REDIRECT)
    await tokens_of(door, client_id, WEB_APP)
    await set_project(door, registration_mode="closed")
    door.clock.advance(seconds=3 * 365 * 86_400)
    await sweep(door.context)
    assert await is_accepted(door, client_id, WEB_APP)


async def test_one_that_was_removed_may_be_let_in_again(door: Door, site: Site, authority: Authority) -> None:
    client_id = await add(door, authority, site.publish())
    await clients.remove(door.operator, await clients.get(door.operator, door.project, client_id))
    told(await authorize(door, client_id))
    await add(door, authority, client_id)
    assert await is_accepted(door, client_id)
    with pytest.raises(ActionRefused, match="known here already"):
        await add(door, authority, client_id)
    await admission.suspend(door.operator, await clients.get(door.operator, door.project, client_id))
    with pytest.raises(ActionRefused, match="known here already"):
        await add(door, authority, client_id)
    told_of = [action for action in await audited(door) if action.startswith("client.")]
    assert sorted(told_of) == ["client.added", "client.added", "client.removed", "client.suspended"]


async def test_a_known_one_whose_host_does_not_answer_is_taken_as_it_is_published(
    door: Door, authority: Authority
) -> None:
    client_id = await add(door, authority, "https://zed.dev/oauth/client-metadata.json")
    client = await stored(door, client_id)
    assert client is not None
    assert client.metadata.redirect_uris == ("http://127.0.0.1/callback",)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://app.example/c", "must be https"),
        ("https://app.example/", "must have a path"),
        ("https://10.0.0.1/c", "only names"),
        ("https://private.example/c", "must not be reached"),
        ("https://nobody.example/c", "could not be fetched"),
        ("{site}/missing.json", "It answered 404"),
        ("{site}/wrong.json", "not the URL it was fetched from"),
        ("{site}/large.json", "larger than"),
    ],
)
async def test_what_cannot_be_an_app_is_refused_and_nothing_kept_cimd_11(
    door: Door, site: Site, authority: Authority, url: str, words: str
) -> None:
    site.pages["/wrong.json"] = Page(b'{"client_id": "https://other.example/c"}')
    site.pages["/large.json"] = Page(b"x" * 6000)
    before = await audited(door)
    with pytest.raises(ActionRefused, match=words):
        await add(door, authority, url.format(site=site.url("")))
    assert await clients.list_all(door.operator, door.project) == []
    assert await audited(door) == before
