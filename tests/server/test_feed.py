"""The revocation feed: signed, in order, at once for whoever waits, bounded, and telling nobody whose it was.

Spec: product.md, feature 7, complaint 22; REV-03, REV-04; I2, I3, I10, I13; T43
"""

import asyncio
from typing import Any

import pytest

from doorward.core.models import Project
from doorward.manage import admission, clients, projects, revocations, signing_keys, users
from doorward.oauth.jwt import InvalidToken, parse_jwks, read_kid
from doorward.oauth.revocations import MAX_ENTRIES, RevocationDocument, RevocationEntry, sign_revocations
from doorward.server import feed
from doorward.server.feed import MAX_DOCUMENTS, MAX_WAITING, MAX_WAITING_OF_SOURCE
from doorward.storage.database import StorageUnavailable, Transaction
from doorward.storage.revocations import KEPT_MS, announce, sweep_revocations
from tests.inside import ISSUER, START, Answer, Door
from tests.running import ADMIN_EMAIL
from tests.server.feed_reader import FEED, Reader, digest, read_header
from tests.server.steps import add_neighbour, claims_of, refusal
from tests.waiting import until

SOON = 10.0


async def tell(door: Door, subject: str = "mat_1", *, project: Project | None = None, times: int = 1) -> None:
    """Announce something, as any ending does."""
    project_id = (project or door.project).project_id
    now = door.clock()

    async def announce_all(tx: Transaction) -> None:
        for number in range(times):
            await announce(tx, project_id, "jti", f"{subject}{number or ''}", "void", now, now)

    await door.operator.database.write(announce_all)


def waiting(door: Door) -> int:
    return door.context.feed._waiting.total()


async def start_waiting(door: Door, *askings: Any) -> list[asyncio.Task[Answer]]:
    """Requests that are held open by now."""
    before = waiting(door)
    tasks = [asyncio.ensure_future(asking) for asking in askings]

    async def all_wait() -> bool:
        return waiting(door) >= before + len(tasks)

    await until(all_wait)
    return tasks


async def test_the_feed_starts_empty_signed_and_public(door: Door) -> None:
    reader = Reader(door)
    document = await reader.read()
    assert document == RevocationDocument(
        issued_at=START // 1000, after="", cursor="0", is_full=True, has_more=False, entries=()
    )
    header, claims = read_header((await reader.ask(cursor="")).body.decode())
    assert header == {"alg": "ES256", "typ": "revocations+jwt", "kid": header["kid"]}
    assert claims == {
        "iss": ISSUER,
        "iat": START // 1000,
        "after": "",
        "cursor": "0",
        "full": True,
        "more": False,
        "entries": [],
    }


async def test_an_ending_is_told_by_a_digest_with_its_times_and_no_id(door: Door) -> None:
    client_id, tokens = await door.tokens()
    claims = claims_of(tokens["access_token"])
    reader = Reader(door)
    await reader.read()
    door.clock.advance(seconds=1.9)
    await admission.revoke_everything(door.operator, await clients.get(door.operator, door.project, client_id))
    answer = await reader.ask()
    document = await reader.verify(answer)
    at, until_ = START // 1000 + 1, -(-(START + 1900 + KEPT_MS) // 1000)
    assert document.entries == (RevocationEntry(digest("client", client_id), "void", at, until_),)
    assert (document.after, document.is_full, document.has_more) == ("0", False, False)
    text = str(read_header(answer.body.decode()))
    assert all(str(claims[name]) not in text for name in ("client_id", "sub", "jti", "grant_id", "aud"))


async def test_each_document_goes_on_where_the_last_one_ended(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    for number in range(3):
        await tell(door, f"mat_a{number}")
        await tell(door, f"mat_b{number}")
        before = reader.cursor
        document = await reader.read()
        assert (document.after, document.is_full) == (before, False)
    names = [f"mat_{half}{number}" for number in range(3) for half in "ab"]
    assert reader.seen == [(digest("jti", name), "void") for name in names]
    again = await reader.read()
    assert (again.after, again.cursor, again.entries) == (reader.cursor, reader.cursor, ())


STRANGE_CURSORS = [
    "1",
    "1.",
    ".x",
    "1.rvk_of_another_copy",
    "01.x",
    "99.x",
    "-1.x",
    "1e3.x",
    "%C2%B2.x",
    "9" * 30 + ".x",
]


@pytest.mark.parametrize("cursor", [*STRANGE_CURSORS, "x" * 5000])
async def test_a_cursor_that_is_not_known_here_is_answered_from_the_beginning_i3(door: Door, cursor: str) -> None:
    await tell(door)
    reader = Reader(door, cursor=cursor)
    answer = await reader.ask(wait=30)
    document = await reader.verify(answer)
    assert (document.after, document.is_full) == ("", True)
    assert [entry.digest for entry in document.entries] == [digest("jti", "mat_1")]


async def test_a_cursor_that_was_swept_is_answered_with_what_still_matters(door: Door) -> None:
    reader = Reader(door)
    await tell(door, "mat_old")
    await reader.read()
    door.clock.advance(seconds=1800)
    await tell(door, "mat_new")
    door.clock.advance(seconds=KEPT_MS / 1000 - 1800)
    assert await door.operator.database.write(sweep_revocations, door.clock()) == 1
    document = await reader.read()
    assert document.is_full
    assert [entry.digest for entry in document.entries] == [digest("jti", "mat_new")]


async def test_what_has_lapsed_is_not_told_but_is_a_place_to_go_on_from(door: Door) -> None:
    await tell(door)
    door.clock.advance(seconds=86_400)
    await door.operator.database.write(sweep_revocations, door.clock())
    reader = Reader(door)
    document = await reader.read()
    assert document.entries == ()
    assert document.cursor.startswith("1.")
    assert not (await reader.read()).is_full


async def test_a_long_list_is_told_in_pages(door: Door) -> None:
    await tell(door, times=2 * MAX_ENTRIES + 1)
    reader = Reader(door)
    pages = [await reader.read() for _ in range(3)]
    assert [len(page.entries) for page in pages] == [MAX_ENTRIES, MAX_ENTRIES, 1]
    assert [page.has_more for page in pages] == [True, True, False]
    assert [page.is_full for page in pages] == [True, False, False]
    assert len(set(reader.seen)) == 2 * MAX_ENTRIES + 1


async def test_whoever_waits_is_answered_at_the_next_ending(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    (held,) = await start_waiting(door, reader.ask(wait=30))
    await tell(door)
    document = await reader.verify(await asyncio.wait_for(held, SOON))
    assert [entry.digest for entry in document.entries] == [digest("jti", "mat_1")]
    assert waiting(door) == 0


async def test_whoever_waits_for_nothing_is_answered_in_time_with_a_fresh_document(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    (held,) = await start_waiting(door, reader.ask(wait=1))
    door.clock.advance(seconds=60)
    document = await reader.verify(await asyncio.wait_for(held, SOON))
    assert (document.entries, document.issued_at) == ((), START // 1000 + 60)


async def test_news_is_not_waited_for(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    await tell(door)
    answer = await asyncio.wait_for(reader.ask(wait=30), SOON)
    assert len((await reader.verify(answer)).entries) == 1


@pytest.mark.parametrize(
    "query", ["wait=31", "wait=-1", "wait=1.5", "wait=x", "wait=%C2%B2", "wait=001", "cursor=0&cursor=0"]
)
async def test_a_question_that_makes_no_sense_is_refused(door: Door, query: str) -> None:
    assert refusal(await door.call("GET", f"{FEED}?{query}")) == (400, "invalid_request")


async def test_the_feed_is_read_by_get_alone_and_not_by_web_pages(door: Door) -> None:
    answer = await door.call("POST", FEED)
    assert (refusal(answer), answer.header("allow")) == ((405, "invalid_request"), "GET, HEAD")
    assert "access-control-allow-origin" not in (await door.call("GET", FEED)).headers
    assert (await door.call("GET", f"/p/nowhere{FEED}")).status == 404


async def test_a_thousand_followers_at_one_place_cost_one_signature(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = 0

    def count(*arguments: Any) -> str:
        nonlocal signed
        signed += 1
        return sign_revocations(*arguments)

    monkeypatch.setattr(feed, "sign_revocations", count)
    reader = Reader(door)
    await reader.read()
    asked = [asyncio.ensure_future(reader.ask(wait=30, source=f"203.0.{n // 250}.{n % 250}")) for n in range(1000)]

    async def many_wait() -> bool:
        return waiting(door) == MAX_WAITING and sum(task.done() for task in asked) == 1000 - MAX_WAITING

    await until(many_wait)
    assert signed == 2  # the first document, and "nothing new" for those who may not wait
    await tell(door)
    answers = await asyncio.wait_for(asyncio.gather(*asked), SOON)
    late = await asyncio.gather(*(reader.ask(wait=30) for _ in range(1000 - MAX_WAITING)))
    news = {answer.body for answer in [*answers, *late] if len((await reader.verify(answer)).entries) == 1}
    assert (len(news), signed) == (1, 3)


async def test_those_who_wait_are_bounded_for_a_source_and_the_rest_is_answered_at_once_i13(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    held = await start_waiting(door, *(reader.ask(wait=30) for _ in range(MAX_WAITING_OF_SOURCE)))
    assert (await reader.verify(await asyncio.wait_for(reader.ask(wait=30), SOON))).entries == ()
    (other,) = await start_waiting(door, reader.ask(wait=30, source="198.51.100.7"))
    await tell(door)
    await asyncio.wait_for(asyncio.gather(*held, other), SOON)
    assert waiting(door) == 0
    await nobody_watches(door)


async def nobody_watches(door: Door) -> None:
    async def is_over() -> bool:
        return not door.context.feed._watches

    await until(is_over)


async def test_whoever_goes_away_while_waiting_leaves_no_trace_i13(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    held = await start_waiting(door, *(reader.ask(wait=30) for _ in range(5)))
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert waiting(door) == 0
    await nobody_watches(door)


async def test_documents_that_are_kept_are_bounded_i13(door: Door) -> None:
    reader = Reader(door)
    for _ in range(MAX_DOCUMENTS + 10):
        await tell(door)
        await reader.read()
    assert len(door.context.feed._signed) == MAX_DOCUMENTS


async def test_a_server_that_ends_keeps_nobody_waiting(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    held = await start_waiting(door, *(reader.ask(wait=30) for _ in range(3)))
    door.context.feed.close()
    for answer in await asyncio.wait_for(asyncio.gather(*held), SOON):
        assert (await reader.verify(answer)).entries == ()
    assert (await asyncio.wait_for(reader.ask(wait=30), SOON)).status == 200


async def test_a_key_that_is_withdrawn_does_not_sign_the_news_of_it(door: Door) -> None:
    _, tokens = await door.tokens()
    old = read_kid(tokens["access_token"])
    reader = Reader(door)
    await reader.read()
    (held,) = await start_waiting(door, reader.ask(wait=30))
    await signing_keys.replace_at_once(door.operator, door.project)
    answer = await asyncio.wait_for(held, SOON)
    header, _ = read_header(answer.body.decode())
    assert header["kid"] != old
    assert [(entry.digest, entry.state) for entry in (await reader.verify(answer)).entries] == [
        (digest("key", old), "void")
    ]


async def test_a_database_that_cannot_be_read_is_said_so_to_those_who_wait_i11(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(door)
    await reader.read()
    (held,) = await start_waiting(door, reader.ask(wait=30))

    async def fail(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("disk is gone")

    monkeypatch.setattr(door.context.feed._database, "read", fail)
    answer = await asyncio.wait_for(held, SOON)
    assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.header("retry-after") == "2"


async def test_a_project_is_told_nothing_of_anothers_endings_i10(door: Door) -> None:
    acme = await add_neighbour(door)
    ours, theirs = Reader(door), Reader(door, path="/p/acme")
    for reader in (ours, theirs):
        await reader.read()
    (held,) = await start_waiting(door, theirs.ask(wait=30))
    await tell(door)
    assert len((await ours.read(wait=30)).entries) == 1
    assert not held.done()
    await tell(door, project=acme)
    assert len((await theirs.verify(await asyncio.wait_for(held, SOON))).entries) == 1


async def test_a_document_of_one_project_does_not_verify_as_anothers_i10(door: Door) -> None:
    await add_neighbour(door)
    foreign = Reader(door, path="/p/acme")
    jwks = parse_jwks((await door.call("GET", "/.well-known/jwks.json")).json())
    header, _ = read_header((await foreign.ask()).body.decode())
    assert header["kid"] not in jwks


async def test_the_feed_goes_on_while_everything_is_stopped(door: Door) -> None:
    reader = Reader(door)
    await reader.read()
    await revocations.stop_everything(door.operator, door.project)
    door.clock.advance(seconds=1)
    assert [entry.state for entry in (await reader.read()).entries] == ["hold"]
    await revocations.resume_everything(door.operator, door.project)
    assert [entry.state for entry in (await reader.read()).entries] == ["free"]


async def test_an_access_token_is_no_document_and_a_document_no_token_at_08(door: Door) -> None:
    _, tokens = await door.tokens()
    text = (await Reader(door).ask()).body.decode()
    with pytest.raises(InvalidToken, match="typ"):
        read_kid(text)
    with pytest.raises(InvalidToken, match="typ"):
        read_header(tokens["access_token"])


async def test_a_disabled_person_is_held_and_let_go_t43(door: Door) -> None:
    owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
    reader = Reader(door)
    await reader.read()
    held = await users.change(door.operator, owner, enabled=False)
    await users.change(door.operator, held, enabled=True)
    await users.change(door.operator, owner, name="Countess")
    assert (await reader.read()).entries[0].state == "hold"
    assert reader.seen == [(digest("user", owner.user_id), state) for state in ("hold", "free")]


async def test_a_new_project_starts_with_a_feed_of_its_own(door: Door) -> None:
    await tell(door)
    await projects.create_project(door.operator, "fresh", "Fresh")
    assert (await Reader(door, path="/p/fresh").read()).entries == ()
