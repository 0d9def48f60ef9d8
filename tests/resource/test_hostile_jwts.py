"""Five hundred tokens that are wrong in one way each, at the verifier and on the wire: 401, and nothing else (T33)."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.fault.wire import Reply
from tests.resource.guarded_server import AUTH, JSON, Guarded, build_request, is_document, run_guarded
from tests.resource.hostile_jwts import TOKENS
from tests.resource.test_verified_tokens import make, refuses
from tests.unit.hostile_jwts import sign

LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
LONGEST_HEAD = 20_000
SHARES = 10


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    async with run_guarded() as running:
        yield running


def share(number: int) -> Iterator[tuple[str, str]]:
    yield from list(TOKENS.items())[number::SHARES]


def test_the_corpus_is_larger_than_promised() -> None:
    assert len(TOKENS) >= 400
    assert len(set(TOKENS.values())) == len(TOKENS)
    assert sign() not in TOKENS.values()


@pytest.mark.parametrize("number", range(SHARES))
async def test_a_hostile_token_is_invalid_to_a_verifier_new_or_in_use_rs_03_rs_05_rs_06(number: int) -> None:
    used = make()
    for name, token in share(number):
        await used.verify(sign())
        for verifier in (used, make()):
            assert await refuses(verifier, token), name


def is_refused(reply: Reply, sent: bytes) -> bool:
    """401 `invalid_token`, or 400 where no token can be made out; servers have a word of their own for the longest."""
    if reply.status == 401:
        return reply.header("www-authenticate").startswith('Bearer error="invalid_token"')
    return reply.status == 400 or (reply.status == 431 and len(sent) > LONGEST_HEAD)


async def test_a_hostile_token_gets_one_refusal_on_the_wire_and_nothing_reaches_the_app_rs_15_t33(
    guarded: Guarded,
) -> None:
    for name, token in TOKENS.items():
        if "\n" in token:
            continue  # on the wire the token ends there
        authorization = b"Authorization: Bearer " + token.encode("utf-8", "surrogatepass")
        sent = build_request(authorization, JSON, body=LIST)
        replies = await guarded.exchange(sent)
        assert replies, name
        assert is_refused(replies[0], sent), (name, replies[0])
        assert all(is_document(reply) for reply in replies[1:]), name
        assert b"jsonrpc" not in replies[0].body
    assert await guarded.take_kept() == []
    replies = await guarded.exchange(build_request(AUTH, JSON, body=LIST))
    assert replies[0].status == 200
