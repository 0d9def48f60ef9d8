"""GitHub speaks OAuth alone: who somebody is says its API, by a number."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from doorward.core.upstream import GITHUB, SignUp
from doorward.manage import providers, users
from doorward.server.upstream.github import endpoints_of
from doorward.storage.identities import list_identities
from tests.inside import Door
from tests.registration.site import Authority
from tests.running import ADMIN_EMAIL
from tests.upstream.identity_provider import IdentityProvider, open_provider
from tests.upstream.travellers import Traveller, add_provider, asked

PROVEN = {"email": "carol@example.com", "primary": True, "verified": True}


@pytest.fixture
async def github(door: Door, authority: Authority) -> AsyncIterator[IdentityProvider]:
    async with open_provider(authority, door.clock) as opened:
        await add_provider(door, opened, "github", kind="github", name="GitHub", sign_up=SignUp("open"))
        yield opened


@pytest.fixture
def carol(door: Door, github: IdentityProvider) -> Traveller:
    return Traveller(door.person(), github, "github")


async def come(traveller: Traveller, **changes: str | None) -> Any:
    return await traveller.sign_in(None, **{"iss": None, **changes})


async def test_a_number_and_a_verified_primary_address_make_a_member(
    door: Door, github: IdentityProvider, carol: Traveller
) -> None:
    github.claims = {"emails": [{"email": "old@example.com", "primary": False, "verified": True}, PROVEN]}
    page = await carol.person.open(
        "/login",
    )
    question = asked(await carol.leave(page))
    assert question["scope"] == "read:user user:email"
    assert question["code_challenge_method"] == "S256"
    assert "nonce" not in question
    assert (await come(carol)).url.endswith("/account")
    assert (await users.get(door.operator, door.project, "carol@example.com")).name == "Carol"
    [identity] = await door.context.database.read(list_identities, door.project.project_id)
    assert (identity.issuer, identity.subject) == (github.issuer, "583231")


async def test_a_login_that_changed_hands_is_another_person_t37(
    door: Door, github: IdentityProvider, carol: Traveller
) -> None:
    github.claims = {"emails": [PROVEN]}
    await come(carol)
    github.claims = {"user": {"id": 7, "login": "carol"}, "emails": [PROVEN]}
    other = Traveller(door.person(), github, "github")
    assert (await come(other)).status == 409
    assert not await other.is_signed_in()


@pytest.mark.parametrize(
    "emails",
    [
        [{"email": ADMIN_EMAIL, "primary": True, "verified": False}],
        [{"email": ADMIN_EMAIL, "primary": False, "verified": True}],
        [{"email": ADMIN_EMAIL, "primary": True, "verified": "yes"}],
        {"message": "Not Found"},
        [],
    ],
)
async def test_an_address_that_is_not_verified_and_primary_is_none_t37(
    door: Door, github: IdentityProvider, carol: Traveller, emails: Any
) -> None:
    github.claims = {"emails": emails}
    assert (await come(carol)).status == 403
    assert len(await users.list_all(door.operator, door.project)) == 1


@pytest.mark.parametrize("number", [None, True, "583231", -1, 1.5])
async def test_an_api_that_does_not_say_who_it_is_lets_nobody_in(
    github: IdentityProvider, carol: Traveller, number: Any
) -> None:
    github.claims = {"user": {"id": number}, "emails": [PROVEN]}
    assert (await come(carol)).status == 502


@pytest.mark.parametrize("iss", [None, "path"])
async def test_an_issuer_is_checked_where_it_is_sent(
    github: IdentityProvider, carol: Traveller, iss: str | None
) -> None:
    github.claims = {"emails": [PROVEN]}
    assert (await come(carol, iss=github.issuer)).status == 502
    sent = f"{github.issuer}/login/oauth" if iss else None
    assert (await come(carol, iss=sent)).url.endswith("/account")


async def test_a_wrong_code_and_a_failing_api_are_told_calmly(github: IdentityProvider, carol: Traveller) -> None:
    page = await come(carol, code="another")
    assert (page.status, "raw" in page.html) == (502, False)
    github.pages["/api/v3/user"] = (403, b'{"message": "rate limited"}')
    assert (await come(carol)).status == 502


def test_the_public_github_has_an_api_of_its_own_host() -> None:
    found = endpoints_of(GITHUB)
    assert found.token == "https://github.com/login/oauth/access_token"
    assert found.api == "https://api.github.com"
    assert providers.github_issuer("https://git.example.com/") == "https://git.example.com"
