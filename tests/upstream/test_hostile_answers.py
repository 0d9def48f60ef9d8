"""What comes back from a provider, or from somebody who says so, and must not let anybody in (T2, T33, T36, T37)."""

import json
import re
from collections.abc import Callable

import pytest

from doorward.core.upstream import PENDING_LIFE_MS
from doorward.fetch import FetchRefused, GuardedFetcher
from doorward.manage import connections, providers, users
from doorward.oauth.jwt import generate_signing_key
from doorward.storage.identities import link_identity, list_identities
from doorward.storage.timeline import list_timeline_events
from tests.inside import Door
from tests.registration.site import Authority
from tests.running import ADMIN_EMAIL
from tests.upstream.identity_provider import (
    CLIENT_ID,
    SECRET,
    Claims,
    IdentityProvider,
    open_provider,
    sign,
    signed_by_hmac,
    unsigned,
)
from tests.upstream.travellers import Traveller, add_provider, asked

OVER = "This sign-in is over"
OTHER_KEY = generate_signing_key("ES256")


async def know_owner(door: Door, provider: IdentityProvider) -> None:
    """The owner, linked: whatever lets somebody in wrongly lets them in as the one with most to lose."""
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    link = (door.project.project_id, provider.issuer, provider.subject, owner.user_id, door.clock())
    assert await door.context.database.write(link_identity, *link)


async def nobody_is_in(door: Door) -> bool:
    people = await users.list_all(door.operator, door.project)
    return all([not await connections.sessions(door.operator, door.project, person) for person in people])


async def test_the_owner_gets_in_when_nothing_is_wrong(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    # What every test below changes one thing of.
    await know_owner(door, provider)
    assert (await carol.sign_in()).url.endswith("/dashboard")


FORGERIES: dict[str, Callable[[IdentityProvider, Claims], str]] = {
    "another issuer": lambda p, c: sign(p.key, {**c, "iss": "https://other.example"}),
    "an issuer with a slash": lambda p, c: sign(p.key, {**c, "iss": f"{p.issuer}/"}),
    "no issuer": lambda p, c: sign(p.key, {**c, "iss": None}),
    "another audience": lambda p, c: sign(p.key, {**c, "aud": "another-client"}),
    "several audiences without azp": lambda p, c: sign(p.key, {**c, "aud": [CLIENT_ID, "another-client"]}),
    "another azp": lambda p, c: sign(p.key, {**c, "aud": [CLIENT_ID, "other"], "azp": "other"}),
    "another azp for us alone": lambda p, c: sign(p.key, {**c, "azp": "other"}),
    "no audience": lambda p, c: sign(p.key, {**c, "aud": []}),
    "another nonce": lambda p, c: sign(p.key, {**c, "nonce": "of-another-sign-in"}),
    "no nonce": lambda p, c: sign(p.key, {name: value for name, value in c.items() if name != "nonce"}),
    "expired": lambda p, c: sign(p.key, {**c, "exp": c["iat"] - 120, "iat": c["iat"] - 300}),
    "no expiry": lambda p, c: sign(p.key, {name: value for name, value in c.items() if name != "exp"}),
    "from the future": lambda p, c: sign(p.key, {**c, "iat": c["iat"] + 600, "exp": c["exp"] + 900}),
    "old but not expired": lambda p, c: sign(p.key, {**c, "iat": c["iat"] - 3600}),
    "no subject": lambda p, c: sign(p.key, {**c, "sub": ""}),
    "a subject that is no text": lambda p, c: sign(p.key, {**c, "sub": ["sub-1"]}),
    "a key of somebody else": lambda p, c: sign(OTHER_KEY, c),
    "a key of somebody else under the right name": lambda p, c: sign(OTHER_KEY, c, kid=p.key.kid),
    "alg none": lambda p, c: unsigned(c),
    "HMAC with the public key": lambda p, c: signed_by_hmac(p.key, c),
    "a key in the header": lambda p, c: sign(OTHER_KEY, c, jwk=OTHER_KEY.public_jwk()),
    "an access token": lambda p, c: sign(p.key, c, typ="at+jwt"),
    "a logout token": lambda p, c: sign(p.key, c, typ="logout+jwt"),
    "no JWT": lambda p, c: "garbage",
}


async def test_an_id_token_that_does_not_hold_lets_nobody_in_t33_t37(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    for tried, (forgery, provider.sign) in enumerate(FORGERIES.items(), 1):
        page = await carol.sign_in()
        assert (page.status, "cannot be relied on" in page.text) == (502, True), forgery
        assert await nobody_is_in(door), forgery
        assert provider.tokens_asked() == tried, forgery


@pytest.mark.parametrize("changed", ["azp is us", "aud is a list"])
async def test_spellings_that_the_standard_allows_are_fine(
    door: Door, provider: IdentityProvider, carol: Traveller, changed: str
) -> None:
    await know_owner(door, provider)
    provider.claims = (
        {"aud": [CLIENT_ID, "its-api"], "azp": CLIENT_ID} if changed == "azp is us" else {"aud": [CLIENT_ID]}
    )
    assert (await carol.sign_in()).url.endswith("/dashboard")


async def test_a_foreign_state_asks_for_no_token_t36_pxy_05(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    answer = provider.answer(await carol.leave())
    for state in ("", "x", answer["state"][:-1], answer["state"].swapcase()):
        page = await carol.come_back({**answer, "state": state})
        assert (page.status, OVER in page.text) == (400, True)
    assert (provider.tokens_asked(), await nobody_is_in(door)) == (0, True)


async def test_another_browser_cannot_finish_what_this_one_began_t2_t36_pxy_10(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    answer = provider.answer(await carol.leave())
    victim = Traveller(door.person(), provider)
    assert OVER in (await victim.come_back(answer)).text
    await victim.leave()  # one that is on a way of its own is another browser, too
    assert OVER in (await victim.come_back(answer)).text
    assert (provider.tokens_asked(), await nobody_is_in(door)) == (0, True)
    assert (await carol.come_back(answer)).url.endswith("/dashboard")


async def test_an_answer_counts_once_pxy_05(door: Door, provider: IdentityProvider, carol: Traveller) -> None:
    await know_owner(door, provider)
    answer = provider.answer(await carol.leave())
    await carol.come_back(answer)
    provider.codes[answer["code"]] = {}
    assert OVER in (await carol.come_back(answer)).text
    assert provider.tokens_asked() == 1


async def test_two_tabs_of_one_browser_may_both_come_back(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    first, second = await carol.leave(), await carol.leave()
    for left in (second, first):
        assert (await carol.come_back(provider.answer(left))).url.endswith("/dashboard")


async def test_who_stays_away_for_ten_minutes_starts_again_pxy_05(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    answer = provider.answer(await carol.leave())
    door.clock.advance(seconds=PENDING_LIFE_MS / 1000)
    carol.person.http.cookies.set("kept", "alive")
    assert OVER in (await carol.come_back(answer)).text
    assert provider.tokens_asked() == 0


async def test_a_code_of_another_persons_sign_in_is_of_no_use(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    # A stolen code, injected into a sign-in of one's own: neither verifier nor nonce fit it.
    await know_owner(door, provider)
    stolen = provider.answer(await Traveller(door.person(), provider).leave())["code"]
    page = await carol.sign_in(code=stolen)
    assert (page.status, await nobody_is_in(door)) == (502, True)


async def test_answers_of_two_providers_are_not_taken_for_one_another_pxy_07(
    door: Door, provider: IdentityProvider, carol: Traveller, authority: Authority
) -> None:
    await know_owner(door, provider)
    async with open_provider(authority, door.clock) as evil:
        await add_provider(door, evil, "evil")
        left = await carol.leave()
        answer = provider.answer(left)
        assert OVER in (await carol.come_back(answer, "evil")).text
        assert evil.tokens_asked() == 0
        page = await carol.come_back({**answer, "iss": evil.issuer})
        assert page.status == 502
        to_evil = Traveller(carol.person, provider, "evil")
        page = await to_evil.come_back({**evil.answer(await to_evil.leave()), "iss": provider.issuer})
        assert page.status == 502
        assert evil.tokens_asked() == provider.tokens_asked() == 0
        evil.claims = {"iss": provider.issuer}
        evil.key = provider.key
        assert (await Traveller(carol.person, evil, "evil").sign_in()).status == 502
    assert await nobody_is_in(door)


async def test_the_same_subject_at_another_provider_is_somebody_else_t37(
    door: Door, provider: IdentityProvider, carol: Traveller, authority: Authority
) -> None:
    await know_owner(door, provider)
    async with open_provider(authority, door.clock) as evil:
        await add_provider(door, evil, "evil")
        assert (await Traveller(carol.person, evil, "evil").sign_in()).status == 403
    assert await nobody_is_in(door)


async def test_a_provider_that_says_whose_its_answers_are_has_to_pxy_07(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    assert (await carol.sign_in(iss=None)).status == 502
    assert (provider.tokens_asked(), await nobody_is_in(door)) == (0, True)


async def test_one_that_does_not_promise_it_may_leave_it_out(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    provider.metadata["authorization_response_iss_parameter_supported"] = None
    assert (await carol.sign_in(iss=None)).url.endswith("/dashboard")
    again = Traveller(door.person(), provider)
    assert (await again.sign_in(iss="https://other.example")).status == 502


CLAIMED: dict[str, tuple[Claims, int]] = {
    "not proven": ({"email": ADMIN_EMAIL, "email_verified": False}, 403),
    "nothing said of a proof": ({"email": ADMIN_EMAIL}, 403),
    "a number for a proof": ({"email": ADMIN_EMAIL, "email_verified": 1}, 403),
    "proven": ({"email": ADMIN_EMAIL, "email_verified": True}, 409),
    "in capitals": ({"email": ADMIN_EMAIL.upper(), "email_verified": True}, 409),
    "in letters that look alike": ({"email": f"\uff41{ADMIN_EMAIL[1:]}", "email_verified": True}, 409),
    "a list": ({"email": [ADMIN_EMAIL], "email_verified": True}, 403),
    "with a character that nobody sees": ({"email": f"{ADMIN_EMAIL}\x00", "email_verified": True}, 403),
}


@pytest.mark.parametrize("mode", ["closed", "open"])
@pytest.mark.parametrize("claimed", CLAIMED)
async def test_an_address_never_opens_somebodys_account_t37(
    door: Door, provider: IdentityProvider, carol: Traveller, claimed: str, mode: str
) -> None:
    sign_up = providers.build_sign_up(mode, ())
    await providers.change(door.operator, await providers.get(door.operator, door.project, "acme"), sign_up=sign_up)
    door.context.tenancy.forget()
    provider.claims, status = CLAIMED[claimed]
    page = await carol.sign_in()
    assert page.status == status, page.text
    # Whether somebody has an address is told to nobody who did not prove that it is theirs.
    assert ("You have an account here already" in page.text) is (status == 409)
    assert await nobody_is_in(door)
    assert await door.context.database.read(list_identities, door.project.project_id) == []
    assert len(await users.list_all(door.operator, door.project)) == 1


async def test_userinfo_about_somebody_else_is_refused(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    provider.claims, provider.userinfo = {}, {"sub": "sub-2", "email": ADMIN_EMAIL, "email_verified": True}
    assert (await carol.sign_in()).status == 502
    assert await nobody_is_in(door)


ANSWERS: dict[str, tuple[int, bytes]] = {
    "no JSON": (200, b"<h1>oops</h1>"),
    "a list": (200, b"[]"),
    "no ID token": (200, b'{"access_token": "x"}'),
    "an ID token that is no text": (200, b'{"id_token": 7}'),
    "a member twice": (200, b'{"id_token": "a", "id_token": "b"}'),
    "more than anybody reads": (200, b'{"id_token": "' + b"x" * 100_000 + b'"}'),
    "deep": (200, b"[" * 50_000),
    "an error with 200": (200, b'{"error": "server_error", "id_token": "x"}'),
    "a failure": (500, b"<h1>Internal server error of the provider</h1>"),
}


async def test_whatever_the_token_endpoint_answers_the_page_is_calm_and_repeats_none_of_it(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    for tried, (what, provider.token_answer) in enumerate(ANSWERS.items(), 1):
        page = await carol.sign_in()
        assert page.status in (502, 503), what
        assert "<h1>oops" not in page.html
        assert "Internal server error" not in page.html
        assert await nobody_is_in(door), what
        assert provider.tokens_asked() == tried, what


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("access_denied", 403, "You were not signed in"),
        ("temporarily_unavailable", 503, "does not answer"),
        ("login_required", 502, "cannot be relied on"),
        ("<script>alert(1)</script>", 502, "cannot be relied on"),
    ],
)
async def test_a_refusal_of_the_provider_is_told_in_our_words_and_found_by_its_reference(
    door: Door, provider: IdentityProvider, carol: Traveller, error: str, status: int, words: str
) -> None:
    page = await carol.sign_in(
        code=None, error=error, error_description="<b>raw words</b>", error_uri="https://evil.example"
    )
    assert (page.status, words in page.text) == (status, True)
    assert "alert(1)" not in page.html
    assert "raw words" not in page.html
    assert "evil.example" not in page.html
    found = re.search(r"give this reference: (\w{10})", page.text)
    assert found, page.text
    await door.context.timeline.flush()
    events = await door.context.database.read(list_timeline_events, door.project.project_id, after=0)
    [event] = [event for event in events if event.reference == found[1]]
    assert (event.step, event.outcome) == ("sign_in", "refused")
    assert event.reason.startswith("acme: it answered with ")
    assert "script" not in event.reason


METADATA: dict[str, Claims] = {
    "of another issuer": {"issuer": "https://other.example"},
    "of an issuer with a slash": {"issuer": "https://127.0.0.1/"},
    "without a token endpoint": {"token_endpoint": None},
    "with an endpoint over http": {"authorization_endpoint": "http://127.0.0.1/authorize"},
    "with an endpoint that is a script": {"authorization_endpoint": "javascript:alert(1)"},
    "with quotes in an endpoint": {"authorization_endpoint": 'https://127.0.0.1/"onload="'},
    "without any algorithm that is verified": {"id_token_signing_alg_values_supported": ["HS256", "none"]},
    "without the flow": {"response_types_supported": ["id_token"]},
    "without a secret": {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
}


async def test_nobody_is_sent_to_a_provider_whose_metadata_does_not_hold_t37(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    added = await providers.get(door.operator, door.project, "acme")
    page = await carol.person.open("/login")
    for what, provider.metadata in METADATA.items():
        left = await carol.person.submit(page, page.forms[-1])
        assert (left.status, "That way in does not work just now" in left.text) == (503, True), what
        assert await providers.check(door.context.providers.fetcher, added), what


async def test_a_provider_that_is_inside_the_network_is_not_reached_unless_that_was_said_t5(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    with pytest.raises(FetchRefused):
        await GuardedFetcher().post_form(f"{provider.issuer}/token", {"code": "x"}, max_bytes=1024)
    assert provider.seen == []


async def test_the_secret_goes_to_the_token_endpoint_alone_and_into_the_form_only_where_it_must_t49(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    left = await carol.leave()
    assert SECRET not in str(asked(left))
    await carol.come_back(provider.answer(left))
    provider.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    door.clock.advance(seconds=86_400)
    assert (await Traveller(door.person(), provider).sign_in()).url.endswith("/dashboard")
    posts = [(headers.get("authorization", ""), form) for path, headers, form in provider.seen if path == "/token"]
    assert [("authorization" if head else "form", form.get("client_secret")) for head, form in posts] == [
        ("authorization", None),
        ("form", SECRET),
    ]
    assert SECRET.encode() not in b"".join(
        path.read_bytes() for path in door.context.settings.data.iterdir() if path.is_file()
    )
    assert SECRET not in json.dumps(providers.describe(await providers.get(door.operator, door.project, "acme")))


async def test_a_form_of_another_site_starts_nothing_and_a_link_neither_t36(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    page = await carol.person.open("/login")
    form = {**page.forms[-1]}
    action = form.pop("action")
    for fields, headers in (({**form, "csrf": "x"}, {}), (form, {"sec-fetch-site": "cross-site"})):
        answer = await carol.person.http.post(action, data=fields, headers=headers)
        assert answer.status_code == 403
    answer = await carol.person.http.get(action)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_a_provider_that_was_switched_off_lets_nobody_back_in(
    door: Door, provider: IdentityProvider, carol: Traveller
) -> None:
    await know_owner(door, provider)
    answer = provider.answer(await carol.leave())
    found = await providers.get(door.operator, door.project, "acme")
    await providers.change(door.operator, found, enabled=False)
    door.context.tenancy.forget()
    assert (await carol.come_back(answer)).status == 404
    assert "Acme" not in (await carol.person.open("/login")).text
    assert provider.tokens_asked() == 0
