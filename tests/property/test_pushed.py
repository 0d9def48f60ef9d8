"""A request is taken in when it is pushed exactly when it is taken in as a link, and refused with the same code.

Spec: RFC 9126 §2.1; PAR-03, PAR-04, PAR-07
"""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from doorward.storage.executor_sqlite import SqliteDatabase
from tests.inside import LOOPBACK, RESOURCE, Answer, Door
from tests.person import Person
from tests.server.pushing import PAR, link
from tests.server.steps import WEB_REDIRECT

Pairs = list[tuple[str, str]]
RIGHT: Pairs = [
    ("response_type", "code"),
    ("redirect_uri", LOOPBACK),
    ("code_challenge", "c" * 43),
    ("code_challenge_method", "S256"),
    ("state", "s"),
    ("resource", RESOURCE),
    ("scope", "tools:read"),
]
NAMES = [
    *(name for name, _ in RIGHT),
    *("response_mode", "prompt", "max_age", "login_hint", "dpop_jkt", "request", "authorization_details", "x"),
]
VALUES = [
    *("code", "token", "query", "fragment", "S256", "plain", "", "c" * 43, "c" * 42, "none", "login", "none login"),
    *(LOOPBACK, f"{LOOPBACK}/x", WEB_REDIRECT, RESOURCE, f"{RESOURCE}/", "https://unknown.example.com", "//"),
    *("tools:read", "tools:write nothing", "nothing", 'a"b', "0", "60", "-1", "soon", "[]", "é", "\x00", "🚪" * 1025),
    *("x" * 4097, "x" * 16_000, "a@b.cd"),
]


@st.composite
def requests(draw: st.DrawFn) -> Pairs:
    """A right request with up to four changes."""
    pairs = list(RIGHT)
    for change in draw(st.lists(st.sampled_from(["drop", "set", "double", "add"]), max_size=4)):
        place = draw(st.integers(0, max(len(pairs) - 1, 0)))
        value = draw(st.sampled_from(VALUES) | st.text(max_size=12))
        if change == "add" or not pairs:
            pairs.append((draw(st.sampled_from(NAMES)), value))
        elif change == "drop":
            del pairs[place]
        elif change == "set":
            pairs[place] = (pairs[place][0], value)
        else:
            pairs.append((pairs[place][0], value))
    return pairs


def in_link(answer: Answer) -> str:
    """What became of a link: `taken`, the code of an error, or `page` where the client cannot be answered."""
    location = answer.header("location")
    if location.startswith("/login?"):
        return "taken"
    if answer.status == 302:
        (error,) = parse_qs(urlsplit(location).query)["error"]
        return error
    assert answer.status == 400, answer.body
    assert answer.header("content-type").startswith("text/html")
    return "page"


def forget(door: Door) -> None:
    """No example leaves a spent limit or a request to the next."""
    assert isinstance(door.context.database, SqliteDatabase)
    door.context.database.execute_script("DELETE FROM throttles; DELETE FROM pushed_requests")


@pytest.fixture(scope="module")
async def client_id(door: Door) -> str:
    return str((await door.register(redirect_uris=[LOOPBACK, "http://127.0.0.1/other"]))["client_id"])


@given(pairs=requests())
async def test_a_link_and_a_push_are_judged_alike(door: Door, client_id: str, pairs: Pairs) -> None:
    encoded = urlencode([("client_id", client_id), *pairs], errors="surrogatepass")
    answer = await door.call("GET", f"/oauth/authorize?{encoded}")
    assume(answer.status != 414)  # how long a link may be says nothing of a push
    shown = in_link(answer)
    form = {"content-type": "application/x-www-form-urlencoded"}
    pushed = await door.call("POST", PAR, encoded.encode(), form)
    told = "taken" if pushed.status == 201 else pushed.json()["error"]
    event(shown)
    if shown in ("login_required", "consent_required"):
        # What is asked of a person is asked when the link is opened.
        assert told == "taken"
    else:
        assert told == ("invalid_request" if shown == "page" else shown), pushed.body
    if pushed.status == 201:
        opened = await door.call("GET", link(client_id, pushed.json()["request_uri"]))
        assert in_link(opened) == shown
    forget(door)


@given(prompt=st.lists(st.sampled_from(["none", "login", "consent", "select_account", "x", ""]), max_size=3))
async def test_a_person_sees_the_same_page_either_way(door: Door, client_id: str, prompt: list[str]) -> None:
    person = Person(door.http)
    await person.sign_in(await person.open("/login"))
    pairs = [("client_id", client_id), *RIGHT, ("prompt", " ".join(prompt))]
    pushed = await door.post_form(PAR, pairs)
    plain = await person.http.get(f"/oauth/authorize?{urlencode(pairs)}")
    if pushed.status == 400:
        assert pushed.json()["error"] in plain.headers["location"]
        return
    opened = await person.http.get(link(client_id, pushed.json()["request_uri"]))
    assert opened.status_code == plain.status_code
    assert opened.headers.get("location", "")[:40] == plain.headers.get("location", "")[:40]
    forget(door)
