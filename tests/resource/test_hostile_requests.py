"""Smuggling and odd headers on the wire: one answer for each request, and the app sees what was checked (T46, T47)."""

from collections.abc import AsyncIterator

import pytest

from tests.resource.guarded_server import AUTH, Guarded, build_request, is_document, run_guarded
from tests.resource.hostile_requests import CUT, EVERYTHING, LIST, Hostile


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[Guarded]:
    """One server for all of them: what one request breaks, the next ones notice."""
    async with run_guarded() as running:
        yield running


def test_the_corpus_has_no_request_twice() -> None:
    assert len({hostile.name for hostile in EVERYTHING}) == len({hostile.sent for hostile in EVERYTHING})


@pytest.mark.parametrize("hostile", EVERYTHING, ids=lambda hostile: ascii(hostile.name))
async def test_a_hostile_request_gets_one_answer_and_the_app_what_was_checked_rs_01_rs_16_t46_t47(
    guarded: Guarded, hostile: Hostile
) -> None:
    replies = await guarded.exchange(hostile.sent)
    if replies and is_document(replies[-1]) and len(replies) > 1:
        replies.pop()
    first, *further = [reply.status for reply in replies] or [CUT]
    assert first in hostile.allowed
    assert tuple(further) == hostile.follows
    kept = await guarded.take_kept()
    assert {request["body"] for request in kept} <= {LIST.decode(), ""}
    assert len(kept) <= [first, *further].count(200)


async def test_what_others_say_of_the_address_is_not_believed_t46(guarded: Guarded) -> None:
    claims = (
        b"X-Forwarded-Host: evil.test",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Prefix: /x",
        b"Forwarded: host=e",
    )
    (reply, _) = await guarded.exchange(build_request(*claims, method=b"GET"))
    challenge = reply.header("www-authenticate")
    assert challenge == (
        'Bearer resource_metadata="https://api.test/.well-known/oauth-protected-resource/mcp", scope="tools:read"'
    )
    (reply, _) = await guarded.exchange(build_request(AUTH, *claims, method=b"GET"))
    assert reply.status == 200
    await guarded.take_kept()
