"""Signing in by a provider: who is let in, what is sent, and what becomes of a client's request on the way."""

import pytest

from doorward.core.models import User
from doorward.core.upstream import SignUp
from doorward.manage import connections, projects, providers, users
from doorward.oauth.pkce import build_challenge
from doorward.storage.audit import list_events
from doorward.storage.identities import link_identity
from tests.inside import Door
from tests.running import ADMIN_EMAIL
from tests.upstream.identity_provider import CLIENT_ID, IdentityProvider
from tests.upstream.travellers import Traveller, asked

OPEN = SignUp("open")


async def let_join(door: Door, sign_up: SignUp = OPEN) -> None:
    await providers.change(door.operator, await providers.get(door.operator, door.project, "acme"), sign_up=sign_up)
    door.context.tenancy.forget()


async def know(door: Door, provider: IdentityProvider) -> User:
    """Carol as somebody whom an operator linked."""
    user = await users.add(door.operator, door.project, "carol@here.example", "a long walk in the hills")
    link = (door.project.project_id, provider.issuer, provider.subject, user.user_id, door.clock())
    assert await door.context.database.write(link_identity, *link)
    return user


async def test_a_person_whom_the_provider_knows_by_a_linked_subject_is_let_in(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    user = await know(door, provider)
    page = await carol.sign_in()
    assert (page.status, page.url.endswith("/account")) == (200, True)
    assert "carol@here.example" in page.text
    events = await door.context.database.read(list_events, door.project.project_id)
    started = next(event for event in events if event.action == "session.started")
    assert (started.actor, started.detail["by"]) == (f"user:{user.user_id}", "provider acme")


async def test_what_is_asked_of_the_provider_is_bound_to_this_sign_in_pxy_07(
    provider: IdentityProvider, carol: Traveller
) -> None:
    first, second = asked(await carol.leave()), asked(await carol.leave())
    assert first["redirect_uri"] == "https://auth.example.com/login/callback/acme"
    assert (first["client_id"], first["response_type"], first["tenant"]) == (CLIENT_ID, "code", "1")
    assert first["code_challenge_method"] == "S256"
    assert first["scope"] == "openid email profile"
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))
    assert len({first["state"], first["nonce"], first["code_challenge"]}) == 3
    assert {"prompt", "login_hint"} & first.keys() == set()
    # The verifier cannot be made from what the browser carries.
    assert first["code_challenge"] not in (build_challenge(first["nonce"]), build_challenge(first["state"][:128]))


async def test_where_nobody_may_join_an_unknown_account_opens_nothing(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    page = await carol.sign_in()
    assert (page.status, "Nobody here is known by that account" in page.text) == (403, True)
    assert not await carol.is_signed_in()
    assert len(await users.list_all(door.operator, door.project)) == 1
    assert "carol@example.com" not in page.html


async def test_where_anybody_may_join_a_proven_address_makes_a_member_once(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await let_join(door)
    provider.claims["name"] = "Carol"
    assert (await carol.sign_in()).url.endswith("/account")
    made = await users.get(door.operator, door.project, "carol@example.com")
    assert (made.name, made.role) == ("Carol", "member")
    provider.claims["email"] = "carol@elsewhere.example"
    again = Traveller(door.person(), provider)
    assert "carol@example.com" in (await again.sign_in()).text
    assert len(await users.list_all(door.operator, door.project)) == 2


@pytest.mark.parametrize(
    ("email", "status"),
    [
        ("carol@EXAMPLE.com", 200),
        ("carol@sub.example.com", 403),
        ("carol@example.com.evil.example", 403),
        ("carol@notexample.com", 403),
        ('"carol@example.com"@evil.example', 403),
    ],
)
async def test_a_domain_is_the_whole_of_what_comes_after_the_at_sign_t37(
    door: Door, provider: IdentityProvider, carol: Traveller, email: str, status: int
) -> None:
    await let_join(door, SignUp("domains", ("example.com",)))
    provider.claims["email"] = email
    assert (await carol.sign_in()).status == status
    assert await carol.is_signed_in() is (status == 200)


async def test_a_password_never_opens_the_account_of_somebody_who_has_none(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await let_join(door)
    await carol.sign_in()
    for password in ("", "a password that nobody has", "x" * 20):
        stranger = door.person("carol@example.com", password)
        assert (await stranger.sign_in(await stranger.open("/login"))).status == 401


async def test_a_disabled_person_is_refused_whoever_vouches_for_them_t43(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await users.change(door.operator, await know(door, provider), enabled=False)
    page = await carol.sign_in()
    assert (page.status, "Your account is switched off" in page.text) == (403, True)
    assert not await carol.is_signed_in()


async def test_address_and_name_may_come_from_the_userinfo_endpoint(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await let_join(door)
    provider.claims = {}
    provider.userinfo = {"sub": "sub-1", "email": "carol@example.com", "email_verified": True, "name": "Carol"}
    await carol.sign_in()
    assert (await users.get(door.operator, door.project, "carol@example.com")).name == "Carol"


async def test_a_client_that_waits_gets_its_person_after_their_consent(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know(door, provider)
    client_id = (await door.register())["client_id"]
    url = door.authorization_url(client_id, "v" * 43, login_hint="carol@example.com", prompt="select_account")
    login = await carol.person.open(url)
    left = await carol.leave(login)
    assert (asked(left)["login_hint"], asked(left)["prompt"]) == ("carol@example.com", "select_account")
    page = await carol.come_back(provider.answer(left))
    assert ("decision", "allow") in page.buttons, page.text
    assert "code" in (await carol.person.submit(page, decision="allow")).links["continue"]


async def test_another_account_can_be_chosen_after_a_refusal(provider: IdentityProvider, carol: Traveller) -> None:
    refused = await carol.sign_in()
    assert asked(await carol.leave(refused))["prompt"] == "select_account"


@pytest.mark.parametrize("next_path", ["https://evil.example/", "//evil.example", "/account\\@evil.example"])
async def test_nobody_is_sent_elsewhere_afterwards_t50(
    door: Door, provider: IdentityProvider, carol: Traveller, next_path: str
) -> None:
    await know(door, provider)
    left = await carol.leave(next=next_path)
    assert (await carol.come_back(provider.answer(left))).url == "https://auth.example.com/account"


async def test_a_session_that_was_there_is_replaced(door: Door, provider: IdentityProvider) -> None:
    carol = await know(door, provider)
    both = Traveller(door.person(), provider)
    left = await both.leave()
    await both.person.sign_in(await both.person.open("/login"))
    page = await both.come_back(provider.answer(left))
    assert "carol@here.example" in page.text
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    assert await connections.sessions(door.operator, door.project, owner) == []
    assert len(await connections.sessions(door.operator, door.project, carol)) == 1


async def test_one_project_offers_and_knows_nothing_of_anothers(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know(door, provider)
    await projects.create_project(door.operator, "other", "Other")
    page = await carol.person.open("/p/other/login")
    assert "Acme" not in page.text
    left = await carol.leave()
    for path in ("/p/other/login/callback/acme", "/login/callback/other"):
        answer = await carol.person.http.get(path, params=provider.answer(left))
        assert answer.status_code == 404
    assert provider.tokens_asked() == 0


async def test_who_has_a_second_step_here_is_asked_for_it_whoever_vouched_for_the_first_t41(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    link = (door.project.project_id, provider.issuer, provider.subject, owner.user_id, door.clock())
    assert await door.context.database.write(link_identity, *link)
    await projects.change_project(door.operator, door.project, {"require_second_factor": True})
    door.context.tenancy.forget()
    page = await carol.sign_in()
    assert "/login/second-step" in page.url, page.text
    assert not await carol.is_signed_in()
