"""Signing in and out: what a password opens, and that a refusal tells nothing (T39 … T41, T50)."""

from typing import Literal
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher

from doorward.core import passwords
from doorward.core.passwords import email_key
from doorward.manage import connections, users
from doorward.storage.users import find_credentials, set_password
from tests.inside import Door
from tests.person import Person
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.web.people import EMAIL, PASSWORD, SESSION, add_bob, cookies_set, is_signed_in, try_password

REFUSED = "That e-mail and password do not match anybody here."


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that passwords were checked against."""
    seen: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002  # argon2's own name
            seen.append(str(hash))
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "_hasher", Counting(time_cost=2, memory_cost=19 * 1024, parallelism=1))
    return seen


async def test_the_owner_comes_to_the_dashboard_and_a_member_to_the_account(door: Door, person: Person) -> None:
    await add_bob(door)
    page = await try_password(door.person(), EMAIL, PASSWORD)
    assert (page.status, page.url.endswith("/account")) == (200, True)
    assert await is_signed_in(person)


@pytest.mark.parametrize("spelling", [ADMIN_EMAIL.upper(), f"  {ADMIN_EMAIL} ", "Ada@Example.COM"])
async def test_an_address_is_found_in_any_case(door: Door, spelling: str) -> None:
    page = await try_password(door.person(), spelling, ADMIN_PASSWORD)
    assert page.url.endswith("/dashboard")


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (ADMIN_EMAIL, "wrong"),
        (ADMIN_EMAIL, ADMIN_PASSWORD.upper()),
        (ADMIN_EMAIL, f"{ADMIN_PASSWORD} "),
        (ADMIN_EMAIL, ""),
        (ADMIN_EMAIL, "x" * 5000),
        ("nobody@example.com", ADMIN_PASSWORD),
        ("no address", ADMIN_PASSWORD),
        ("", ""),
        ("' OR 1=1 --", "' OR 1=1 --"),
    ],
)
async def test_whatever_is_wrong_reads_the_same_t40(door: Door, email: str, password: str) -> None:
    person = door.person()
    page = await try_password(person, email, password)
    assert page.status == 401
    assert REFUSED in page.text
    assert not await is_signed_in(person)


async def test_a_disabled_person_is_refused_in_the_same_words(door: Door) -> None:
    user = await add_bob(door)
    await users.change(door.operator, user, enabled=False)
    page = await try_password(door.person(), EMAIL, PASSWORD)
    assert (page.status, REFUSED in page.text) == (401, True)


@pytest.mark.parametrize(
    ("email", "password"), [(ADMIN_EMAIL, "wrong"), ("nobody@example.com", "wrong"), ("no address", "wrong")]
)
async def test_the_same_work_is_done_for_somebody_and_for_nobody_t40(
    door: Door, hashed: list[str], email: str, password: str
) -> None:
    await try_password(door.person(), "warm@example.com", "up")
    hashed.clear()
    await try_password(door.person(), email, password)
    assert len(hashed) == 1
    parameters = {hash_.rpartition("$")[0].rpartition("$")[0] for hash_ in hashed}
    assert parameters == {"$argon2id$v=19$m=19456,t=2,p=1"}


async def test_the_address_is_kept_in_the_form_and_the_password_never(door: Door) -> None:
    page = await try_password(door.person(), "bob@example.com", "a wrong password")
    assert page.forms[0]["email"] == "bob@example.com"
    assert page.forms[0]["password"] == ""
    assert "a wrong password" not in page.html


async def test_an_old_hash_is_made_anew_when_its_owner_signs_in(door: Door) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    user = await add_bob(door)
    await door.context.database.write(set_password, door.project.project_id, user.user_id, weak)
    await try_password(door.person(), EMAIL, "wrong")

    async def stored() -> str:
        found = await door.context.database.read(find_credentials, door.project.project_id, email_key(EMAIL) or "")
        assert found is not None
        return found.password_hash

    assert await stored() == weak
    assert (await try_password(door.person(), EMAIL, PASSWORD)).status == 200
    assert (await stored()).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await try_password(door.person(), EMAIL, PASSWORD)).status == 200


async def test_a_sign_in_makes_a_session_of_its_own_and_takes_none_it_was_given_t36(door: Door) -> None:
    seen = set()
    for planted in ("", "mss_planted", "x" * 100):
        person = door.person()
        if planted:
            person.http.cookies.set(SESSION, planted, domain="auth.example.com")
        page = await person.open("/login")
        response = await person.http.post(
            "/login",
            data={"csrf": page.forms[0]["csrf"], "next": "", "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD},
        )
        assert response.status_code == 303
        seen.add(cookies_set(response)[SESSION].partition(";")[0])
    assert len(seen) == 3
    assert planted not in seen


async def test_signing_in_again_gives_a_new_session(door: Door, person: Person) -> None:
    before = person.http.cookies.get(SESSION)
    await person.sign_in(await person.open("/login"))
    assert person.http.cookies.get(SESSION) != before
    assert await is_signed_in(person)


async def test_signing_out_ends_the_session_on_the_server(door: Door, person: Person) -> None:
    kept = person.http.cookies.get(SESSION) or ""
    page = await person.open("/account")
    (form,) = [form for form in page.forms if form["action"].endswith("/logout")]
    response = await person.http.post("/logout", data={"csrf": form["csrf"]})
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in cookies_set(response)[SESSION]
    thief = door.person()
    thief.http.cookies.set(SESSION, kept, domain="auth.example.com")
    assert not await is_signed_in(thief)


async def test_signing_in_and_out_is_recorded_i7(door: Door, person: Person) -> None:
    page = await person.open("/account")
    (form,) = [form for form in page.forms if form["action"].endswith("/logout")]
    await person.http.post("/logout", data={"csrf": form["csrf"]})
    events = await connections.recent_events(door.operator, door.project)
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    found = sorted((e.action, e.actor) for e in events if e.action.startswith("session."))
    assert found == [("session.ended", f"user:{ada.user_id}"), ("session.started", f"user:{ada.user_id}")]


@pytest.mark.parametrize(
    ("next_path", "leads_to"),
    [
        ("", "/dashboard"),
        ("/account", "/account"),
        ("/dashboard", "/dashboard"),
        ("/oauth/authorize?client_id=x", "/oauth/authorize?client_id=x"),
        ("https://evil.test/", "/dashboard"),
        ("//evil.test/", "/dashboard"),
        ("/\\evil.test/", "/dashboard"),
        ("\\\\evil.test", "/dashboard"),
        ("/account\\@evil.test", "/dashboard"),
        ("javascript:alert(1)", "/dashboard"),
        ("/login?next=https://evil.test", "/dashboard"),
        ("/logout", "/dashboard"),
        ("/oauth/consent", "/dashboard"),
        ("account", "/dashboard"),
        ("/account\r\nSet-Cookie: a=b", "/dashboard"),
        ("/account\t", "/dashboard"),
        ("/p/acme/account", "/dashboard"),
        ("/äccount", "/dashboard"),
        (f"/oauth/authorize?{'x' * 20_000}", "/dashboard"),
    ],
)
async def test_a_sign_in_leads_to_pages_of_ours_alone_authz_07_t50(door: Door, next_path: str, leads_to: str) -> None:
    person = door.person()
    page = await person.open(f"/login?next={quote(next_path)}")
    for form_next in (page.forms[0]["next"], next_path):
        data = {**page.forms[0], "next": form_next, "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
        del data["action"]
        response = await person.http.post("/login", data=data)
        assert (response.status_code, response.headers["location"]) == (303, leads_to)
        person.http.cookies.delete(SESSION)


async def test_a_page_for_people_sends_others_to_sign_in_and_back(door: Door) -> None:
    for path in ("/account", "/dashboard"):
        person = door.person()
        page = await person.open(path)
        assert page.url.endswith(f"/login?next={path}")
        assert (await person.sign_in(page)).url.endswith(path)


async def test_the_sign_in_page_names_the_app_and_only_as_text(door: Door) -> None:
    client_id = (await door.register(client_name="<b>Bank</b>"))["client_id"]
    page = await door.person().open(door.authorization_url(client_id, "v" * 43))
    assert "Sign in to continue to" in page.text
    assert "<b>Bank</b>" in page.text
    assert "<b>" not in page.html


@pytest.mark.parametrize("query", ["next=%FF", "next=a%00b", "next=/account&next=/dashboard", "%", "next[]=x"])
async def test_a_sign_in_link_that_cannot_be_read_is_a_plain_sign_in(door: Door, query: str) -> None:
    page = await door.person().open(f"/login?{query}")
    assert (page.status, page.forms[0]["next"] in ("", "/account")) == (200, True)
