"""What the pages of the dashboard show: of their own project only, names of strangers as text, and no secret."""

import json
from html import escape
from typing import Any

import pytest

from doorward.core.models import Scope, Tool
from doorward.core.timeline import STEPS, TimelineEvent, TimelineStep
from doorward.manage import activity, clients, keys, resources, users
from doorward.manage.activity import EventSearch
from doorward.web.board.charts import HEIGHT, WIDTH, draw
from doorward.web.board.fixes import find_fix
from doorward.web.board.table import BOARD
from tests.inside import ISSUER, LOOPBACK, RESOURCE, Door
from tests.person import Person
from tests.server.steps import add_neighbour
from tests.web.boards import PASSWORD, look, send, staff

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}{% raw %}",
    "\u202eevil\u202c name",
    "' onmouseover='alert(1)",
    "a" * 2000,
    "%(count)s %s",
    "&lt;b&gt;",
)
WEB = "https://app.example.com/cb"
PAGES = [path for path in BOARD if not path.endswith("/export")]


async def fill(door: Door, name: str) -> dict[str, str]:
    """A project where everything that can be named has this name; ids of what has a page of its own."""
    user = await users.add(door.operator, door.project, "named@example.com", PASSWORD, name=name)
    client_id = (await door.register(client_name=name, redirect_uris=[LOOPBACK]))["client_id"]
    code, verifier = await door.obtain_code(client_id, door.person("named@example.com", PASSWORD))
    assert (await door.redeem(client_id, code, verifier)).status == 200
    await door.redeem(client_id, "mac_wrong", verifier)
    await clients.add(door.operator, door.project, (WEB,), name=name)
    await keys.create(door.operator, door.project, ("introspect",), name=name)
    tool = Tool("tool", name[:100], since=1, digest="d")
    scopes = (Scope("all", name[:100], kind="write", tools=(tool,)),)
    server = await resources.add(door.operator, door.project, "https://x.example/mcp", name=name, scopes=scopes)
    await door.context.timeline.flush()
    return {"/dashboard/server": server.resource_id, "/dashboard/app": client_id, "/dashboard/person": user.user_id}


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_names_of_strangers_are_text_on_every_page(door: Door, person: Person, name: str) -> None:
    ids = await fill(door, name)
    for path in PAGES:
        query = {"id": ids[path]} if path in ids else {"q": name[:500], "actor": name[:500], "person": ""}
        page = await look(person, path.removeprefix("/dashboard"), **query)
        assert page.status == 200, path
        for markup in ("<script", "<img", "onerror=alert(1)>", "{{49", " onmouseover='"):
            assert markup not in page.html, (path, markup)
    shown = await look(person, "/person", id=ids["/dashboard/person"])
    assert escape(name[:60]).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in shown.html


async def test_no_page_shows_anything_of_another_project_i10_t18(door: Door, person: Person) -> None:
    acme = await add_neighbour(door)
    added, _ = await clients.add(door.operator, acme, ("https://acme.example.com/cb",), name="Acme app")
    eve = await users.add(door.operator, acme, "eve@acme.example", PASSWORD, role="owner")
    server = (await resources.list_all(door.operator, acme))[0]
    for path in BOARD:
        html = (await look(person, path.removeprefix("/dashboard"))).html
        assert "acme" not in html.lower(), path
    for path, key in (("/app", added.client_id), ("/person", eve.user_id), ("/server", server.resource_id)):
        assert (await look(person, path, id=key)).status == 404
        for act in ("revoke", "remove", "stop", "suspend", "disable"):
            page = await send(person, path, act, id=key, confirmed="yes")
            assert page.status == 404, (path, act)
    assert (await users.get(door.operator, acme, eve.user_id)).enabled
    assert await clients.get(door.operator, acme, added.client_id) == added


async def test_no_page_tells_a_secret_t49(door: Door, person: Person) -> None:
    _, key = await keys.create(door.operator, door.project, ("register",))
    client, secret = await clients.add(door.operator, door.project, (WEB,), confidential=True)
    _, tokens = await door.tokens(person)
    for path in PAGES:
        ids = {"/dashboard/app": client.client_id, "/dashboard/server": door.resource.resource_id}
        html = (await look(person, path.removeprefix("/dashboard"), id=ids.get(path, ""))).html
        for told in (key, secret, tokens["access_token"], tokens["refresh_token"]):
            assert str(told) not in html, path


async def test_the_overview_leads_from_nothing_to_a_connected_app(door: Door, person: Person) -> None:
    await resources.remove(door.operator, door.resource)
    door.context.tenancy.forget()
    page = await look(person, "")
    assert "What to do next" in page.text
    assert "/dashboard/servers" in page.links
    await send(person, "/servers", "add", uri=RESOURCE, name="Example", scopes="tools:read read Look")
    page = await look(person, "")
    assert f"doorward protect http://127.0.0.1:9000/mcp --public-url https://api.example.com --issuer {ISSUER}" in (
        page.text
    )
    await door.tokens(person)
    page = await look(person, "")
    assert "What to do next" not in page.text
    assert ISSUER in page.text
    assert f"claude mcp add --transport http example {RESOURCE}" in page.text


async def test_a_failure_is_told_with_its_reason_and_found_by_its_reference(door: Door, person: Person) -> None:
    client_id, _ = await door.tokens(person)
    answer = await door.redeem(client_id, "mac_wrong", "v" * 43)
    reference = answer.header("x-request-id")
    await door.context.timeline.flush()
    overview = await look(person, "")
    assert "Stopped at the token" in overview.text
    assert "What helps:" in overview.text
    found = await look(person, "/timeline", reference=f" {reference} ")
    assert (found.status, '<details class="mt-2" open>' in found.html, reference in found.text) == (200, True, True)
    missing = await look(person, "/timeline", reference="<b>nothing")
    assert "&lt;b&gt;nothing" in missing.html
    assert 'aria-invalid="true"' in missing.html
    of_app = await look(person, "/timeline", client=client_id, only="stopped")
    assert "Stopped at the token" in of_app.text
    nobody = await look(person, "/timeline", client="mcl_nobody")
    assert "Nothing of the kind happened" in nobody.text


@pytest.mark.parametrize("step", STEPS)
def test_every_step_that_stops_has_something_that_helps(step: TimelineStep) -> None:
    reasons = ("", "The redirect URI is not registered.", "This app waits for approval.")
    told = [find_fix(TimelineEvent(1, step, "refused", "192.0.2.1", "app", reason=reason)) for reason in reasons]
    assert all(text for text in told)
    assert "waits for approval" in told[-1]


async def test_apps_are_found_by_words_and_state(door: Door, person: Person) -> None:
    await clients.add(door.operator, door.project, (WEB,), name="Alpha")
    beta, _ = await clients.add(door.operator, door.project, ("https://beta.example.com/cb",), name="Beta")
    await send(person, "/app", "suspend", id=beta.client_id, confirmed="yes")
    for query, shown, hidden in (
        ({"q": "ALPH"}, "Alpha", "Beta"),
        ({"q": "beta.example"}, "Beta", "Alpha"),
        ({"state": "suspended"}, "Beta", "Alpha"),
        ({"state": "active"}, "Alpha", "Beta"),
        ({"state": "<nonsense>"}, "Alpha", "<nonsense>"),
    ):
        html = (await look(person, "/apps", **query)).html.split('class="grid-table"')[1].split("</table>")[0]
        assert shown in html, query
        assert hidden not in html, query
    assert "No app is like that" in (await look(person, "/apps", q="zzz")).text


async def test_long_lists_come_page_by_page(door: Door, person: Person) -> None:
    for number in range(51):
        await clients.add(door.operator, door.project, (f"https://a{number}.example/cb",), name=f"App {number:02}")
    first, second = await look(person, "/apps"), await look(person, "/apps", page="2", q="app")
    assert ("App 49" in first.text, "App 50" in first.text) == (True, False)
    assert ("App 50" in second.text, "App 49" in second.text) == (True, False)
    assert "/dashboard/apps?q=&state=&page=2" in first.links
    for nonsense in ("0", "-1", "x", "99999", "²", "1" * 50):
        assert (await look(person, "/apps", page=nonsense)).status == 200


async def test_people_are_found_by_words_and_role(door: Door, person: Person) -> None:
    await staff(door, "auditor")
    page = await look(person, "/people", role="auditor")
    assert "The auditor" in page.text
    assert "Ada" not in page.text
    assert "Nobody is like that" in (await look(person, "/people", q="zzz")).text


async def test_a_tool_that_nobody_was_shown_is_told_as_held_back(door: Door, person: Person) -> None:
    await door.tokens(person)
    tool = Tool("weather_forecast", "Weather forecast", since=2**50, digest="new")
    await resources.change(
        door.operator, door.resource, scopes=(Scope("tools:read", "Look", tools=(tool,)),), default_scopes=()
    )
    page = await look(person, "/server", id=door.resource.resource_id)
    assert "for 1 connection" in page.text


async def test_the_audit_trail_is_searched_and_paged(door: Door, person: Person) -> None:
    for number in range(60):
        await keys.create(door.operator, door.project, ("register",), name=f"k{number}")
        door.clock.advance(seconds=1)
    first = await look(person, "/audit", action="KEY.")
    assert first.html.count(">key.created</code>") == 50
    older = next(link for link in first.links if "older=" in link)
    second = await person.open(older)
    assert second.html.count(">key.created</code>") == 10
    assert "No event is like that" in (await look(person, "/audit", actor="nobody at all")).text
    nothing = await look(person, "/audit", since="2099-01-01")
    assert "No event is like that" in nothing.text
    wrong = await look(person, "/audit", since="soon")
    assert "Write the day as in" in wrong.text
    for nonsense in ("x", "1.", ".", "9" * 40, "-1.evt"):
        assert (await look(person, "/audit", older=nonsense)).status == 200


@pytest.mark.parametrize("role", ["owner", "auditor"])
async def test_the_audit_trail_is_exported_whole_as_json_lines(
    door: Door, person: Person, role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "EXPORTED_AT_ONCE", 3)
    for number in range(9):
        await keys.create(door.operator, door.project, ("register",), name=f"k{number}")
    visitor = person if role == "owner" else await staff(door, role)
    response = await visitor.http.get("/dashboard/audit/export", params={"action": "key.created"})
    assert response.headers["content-type"] == "application/jsonl; charset=utf-8"
    assert response.headers["content-disposition"].startswith('attachment; filename="audit-default-')
    assert response.headers["cache-control"] == "no-store"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert len({line["event_id"] for line in lines}) == len(lines) == 9
    found = await activity.search(door.operator, door.project, EventSearch("key.created"), at_most=1)
    assert lines[0] == activity.describe(found[0])
    assert (await visitor.http.head("/dashboard/audit/export")).content == b""


async def test_charts_count_what_happened_and_their_tables_say_the_same(door: Door, person: Person) -> None:
    client_id, _ = await door.tokens(person)
    await door.redeem(client_id, "mac_wrong", "v" * 43)
    await door.context.timeline.flush()
    page = await look(person, "/charts")
    titles = ("New apps", "Sign-ins", "Tokens given", "Steps refused")
    totals = [page.text.split(f"{title} ")[1].split()[0] for title in titles]
    assert totals == ["1", "1", "1", "1"]
    assert page.html.count("<rect") == 4
    assert page.html.count('<th class="py-1 text-left font-normal" scope="row">') == 14 * 4


def test_bars_stay_within_their_chart_and_the_smallest_is_seen() -> None:
    chart = draw([("a", 0), ("b", 1), ("c", 100_000)])
    assert (chart["highest"], chart["total"]) == (100_000, 100_001)
    for bar in chart["bars"]:
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
        assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT
    assert [bar.height > 0 for bar in chart["bars"]] == [False, True, True]
    assert draw([("a", 0)])["highest"] == 0


async def test_no_page_of_the_dashboard_has_a_script_or_leaves_the_policy(door: Door, person: Person) -> None:
    ids = {"/dashboard/server": door.resource.resource_id}
    for path in PAGES:
        page = await look(person, path.removeprefix("/dashboard"), id=ids.get(path, ""))
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert (page.headers["cache-control"], page.headers["x-frame-options"]) == ("no-store", "DENY")
        for forbidden in ("<script", " style=", " onclick", "javascript:"):
            assert forbidden not in page.html, path
