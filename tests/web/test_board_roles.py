"""Who may see and do what on the dashboard, route by route: generated from the table that serves it."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from doorward.core.models import ROLES, Role
from doorward.manage import connections, users
from doorward.web.board.desk import CHANGERS, OWNERS, STAFF
from doorward.web.board.table import BOARD
from tests.inside import Door, open_door
from tests.person import Person
from tests.web.boards import look, send, staff

ACTS = [(path, name) for path, page in BOARD.items() for name in page.acts]
# What cannot be taken back, or many feel, is never one click away.
ASKED = {
    ("server", "stop"), ("server", "revoke"), ("server", "remove"),
    ("apps", "refuse"), ("app", "refuse"), ("app", "suspend"), ("app", "revoke"), ("app", "remove"),
    ("person", "disable"), ("person", "revoke"), ("person", "remove"), ("connections", "revoke"),
    ("keys", "revoke"), ("keys", "replace"),
    ("stop", "stop"), ("stop", "revoke"), ("stop", "stop_server"), ("stop", "suspend"), ("stop", "disable"),
}  # fmt: skip


@pytest.fixture(scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder: Path = tmp_path_factory.mktemp("roles")
    async with open_door(folder / "data") as opened:
        yield opened


@pytest.fixture(scope="module")
async def people(door: Door) -> dict[Role, Person]:
    return {role: await staff(door, role) for role in ROLES}


@pytest.fixture(scope="module")
async def ids(door: Door, people: dict[Role, Person]) -> dict[str, str]:
    client_id, _ = await door.tokens(people["member"])
    user = await users.get(door.operator, door.project, "member@staff.example")
    return {
        "/dashboard/server": door.resource.resource_id,
        "/dashboard/app": client_id,
        "/dashboard/person": user.user_id,
    }


@pytest.mark.parametrize("path", BOARD)
async def test_pages_are_for_staff_and_for_nobody_else(
    door: Door, people: dict[Role, Person], ids: dict[str, str], path: str
) -> None:
    query = {"id": ids[path]} if path in ids else {}
    for role, person in people.items():
        response = await person.http.get(path, params=query)
        assert response.status_code == (200 if role in STAFF else 403), role
    stranger = await door.person().http.get(path, params=query)
    assert (stranger.status_code, urlsplit(stranger.headers["location"]).path) == (303, "/login")


@pytest.mark.parametrize(("path", "act"), ACTS)
async def test_an_act_is_judged_by_the_role_and_not_by_what_the_page_shows(
    people: dict[Role, Person], path: str, act: str
) -> None:
    allowed = BOARD[path].acts[act].roles
    assert allowed in (CHANGERS, OWNERS)
    for role, person in people.items():
        page = await send(person, path.removeprefix("/dashboard"), act)
        assert (page.status == 403) is (role not in allowed), (role, page.text)


def test_what_cannot_be_taken_back_is_asked_about_first() -> None:
    asked = {(path.rpartition("/")[2], name) for path, name in ACTS if BOARD[path].acts[name].ask is not None}
    assert asked == ASKED


@pytest.mark.parametrize(("path", "act"), [(path, act) for path, act in ACTS if BOARD[path].acts[act].ask])
async def test_asking_changes_nothing(
    door: Door, people: dict[Role, Person], ids: dict[str, str], path: str, act: str
) -> None:
    before = await connections.recent_events(door.operator, door.project)
    await send(people["owner"], path.removeprefix("/dashboard"), act, id=ids.get(path, "x"))
    assert await connections.recent_events(door.operator, door.project) == before


@pytest.mark.parametrize("path", [path for path, page in BOARD.items() if page.acts])
async def test_a_form_of_the_dashboard_without_its_token_is_refused_con_04_t36(
    people: dict[Role, Person], path: str
) -> None:
    owner = people["owner"]
    act = next(iter(BOARD[path].acts))
    right = (await owner.open("/account")).forms[0]["csrf"]
    other = (await people["admin"].open("/account")).forms[0]["csrf"]
    for wrong in ("", "x", other):
        assert (await owner.http.post(path, data={"csrf": wrong, "act": act})).status_code == 403
    foreign = {"sec-fetch-site": "cross-site"}
    response = await owner.http.post(path, data={"csrf": right, "act": act}, headers=foreign)
    assert response.status_code == 403


async def test_an_act_that_there_is_none_of_is_not_found(people: dict[Role, Person]) -> None:
    for act in ("", "nothing", "change\n"):
        assert (await send(people["owner"], "/servers", act)).status == 404


async def test_what_is_not_here_is_not_found(people: dict[Role, Person]) -> None:
    for path in ("/server", "/app", "/person"):
        for wrong in ("", "x", "é", "x" * 5000, "../.."):
            assert (await look(people["auditor"], path, id=wrong)).status == 404, (path, wrong)


async def test_an_auditor_is_shown_no_form_but_searches(people: dict[Role, Person], ids: dict[str, str]) -> None:
    for path in BOARD:
        if path.endswith("/export"):
            continue
        query = {"id": ids[path]} if path in ids else {}
        page = await look(people["auditor"], path.removeprefix("/dashboard"), **query)
        assert page.status == 200
        acts = [form for form in page.forms if "act" in form]
        assert acts == [], path


async def test_signing_in_leads_to_the_page_that_was_asked_for(door: Door, people: dict[Role, Person]) -> None:
    visitor = door.person(people["admin"].email, people["admin"].password)
    page = await visitor.sign_in(await visitor.open("/dashboard/audit?action=session.&actor=a%26b"))
    assert page.url.endswith("/dashboard/audit?action=session.&actor=a%26b")
    assert page.status == 200
