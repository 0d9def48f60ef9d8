"""JSON that could be read two ways never reaches the app; what is clear reaches it byte for byte (T14, T48)."""

from collections.abc import AsyncIterator

import pytest

from doorward.resource.policy import AmbiguousMessage, parse_calls
from tests.resource.guarded_server import AUTH, JSON, Guarded, build_request, run_guarded
from tests.resource.hostile_json import BODIES, ODD_BUT_CLEAR


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    async with run_guarded() as running:
        yield running


@pytest.mark.parametrize("name", [ascii(name) for name in BODIES])
def test_a_body_that_could_be_read_two_ways_is_no_call_trn_06_t14(name: str) -> None:
    (body,) = (body for known, body in BODIES.items() if ascii(known) == name)
    with pytest.raises(AmbiguousMessage):
        parse_calls(body)


async def test_on_the_wire_it_is_400_and_nothing_reaches_the_app_trn_06_t14(guarded: Guarded) -> None:
    for name, body in BODIES.items():
        replies = await guarded.exchange(build_request(AUTH, JSON, body=body))
        assert replies[0].status == 400, (name, replies[0])
        assert replies[0].body.startswith(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32'), name
    assert await guarded.take_kept() == []


async def test_what_is_odd_and_clear_reaches_the_app_byte_for_byte_t14(guarded: Guarded) -> None:
    for name, body in ODD_BUT_CLEAR.items():
        replies = await guarded.exchange(build_request(AUTH, JSON, body=body.encode()))
        assert replies[0].status == 200, (name, replies[0])
        (kept,) = await guarded.take_kept()
        assert kept["body"].encode("latin-1") == body.encode(), name
