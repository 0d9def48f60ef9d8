"""An exchanged token ends with whatever it came from or went through, and nothing else ends it (T30, T43, T19, I3).

Spec: TX-06, T43; complaint 29
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from doorward.core.models import Refused
from doorward.manage import admission, clients, connections, resources, trust, users
from doorward.oauth.forms import parse_query
from doorward.oauth.token_exchange import ACCESS_TOKEN_TYPE
from doorward.server.grants import token_exchange
from doorward.server.grants.call import TokenCall
from doorward.storage.grants import revoke_grant
from tests.inside import RESOURCE, Door
from tests.running import ADMIN_EMAIL
from tests.server.exchanges import BOTH, SECOND, THIRD, Field, Machine, lay_out
from tests.server.issuers import PLATFORM, Issuer, present, trust_platform
from tests.server.steps import claims_of, is_active, stop, success


@dataclass
class Chain:
    """A person's token, exchanged by one machine and then by another, and a twin that went another way."""

    field: Field
    app_id: str
    tokens: tuple[str, str, str]
    machines: tuple[Machine, Machine]
    twin: str

    async def living(self) -> list[bool]:
        return [await is_active(self.field.door, token) for token in self.tokens]


async def make_chain(field: Field) -> Chain:
    first, second, other = [await field.machine(name) for name in ("First", "Second", "Other")]
    await field.rule(first, SECOND, source=RESOURCE)
    await field.rule(second, THIRD, source=SECOND)
    await field.rule(other, THIRD, source=RESOURCE)
    app_id, tokens = await field.door.tokens(scope=BOTH)
    token = tokens["access_token"]
    exchanged = await first.exchange(token, resource=SECOND)
    onwards = await second.exchange(exchanged, resource=THIRD)
    twin = await other.exchange(await field.persons_token(), resource=THIRD)
    chain = Chain(field, app_id, (token, exchanged, onwards), (first, second), twin)
    field.door.clock.advance(seconds=1)
    assert await chain.living() == [True, True, True]
    return chain


@pytest.fixture
async def chain(door: Door) -> Chain:
    return await make_chain(await lay_out(door))


async def revoke_token(chain: Chain, number: int) -> None:
    door = chain.field.door
    holder = [{}, chain.machines[0].header, chain.machines[1].header][number]
    named = {"client_id": chain.app_id} if number == 0 else {}
    success(await door.post_form("/api/oauth/revoke", {**named, "token": chain.tokens[number]}, holder))


async def revoke_connection(chain: Chain) -> None:
    door = chain.field.door
    grant_id = claims_of(chain.tokens[0])["grant_id"]
    assert await door.context.database.write(revoke_grant, door.project.project_id, grant_id, door.clock())


async def suspend_app(chain: Chain) -> None:
    door = chain.field.door
    await admission.suspend(door.operator, await clients.get(door.operator, door.project, chain.app_id))


async def revoke_everything_of_app(chain: Chain) -> None:
    door = chain.field.door
    await admission.revoke_everything(door.operator, await clients.get(door.operator, door.project, chain.app_id))


async def disable_person(chain: Chain) -> None:
    door = chain.field.door
    await users.change(door.operator, await users.get(door.operator, door.project, ADMIN_EMAIL), enabled=False)


async def remove_middle_server(chain: Chain) -> None:
    await resources.remove(chain.field.door.operator, chain.field.servers[SECOND])
    chain.field.door.clock.advance(seconds=1)


ENDINGS: dict[str, tuple[Callable[[Chain], Awaitable[None]], list[bool]]] = {
    "the first token is revoked": (lambda chain: revoke_token(chain, 0), [False, False, False]),
    "the one in between is revoked": (lambda chain: revoke_token(chain, 1), [True, False, False]),
    "the last one is revoked": (lambda chain: revoke_token(chain, 2), [True, True, False]),
    "the connection is revoked": (revoke_connection, [False, False, False]),
    "the person's app is suspended": (suspend_app, [False, False, False]),
    "everything of the person's app is revoked": (revoke_everything_of_app, [False, False, False]),
    "the machine in between is suspended": (
        lambda chain: admission.suspend(chain.field.door.operator, chain.machines[0].client),
        [True, False, False],
    ),
    "everything of the machine in between is revoked": (
        lambda chain: admission.revoke_everything(chain.field.door.operator, chain.machines[0].client),
        [True, False, False],
    ),
    "the machine in between is removed": (
        lambda chain: clients.remove(chain.field.door.operator, chain.machines[0].client),
        [True, False, False],
    ),
    "the last machine is suspended": (
        lambda chain: admission.suspend(chain.field.door.operator, chain.machines[1].client),
        [True, True, False],
    ),
    "the server in between is removed": (remove_middle_server, [True, False, False]),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_whatever_ends_on_the_way_ends_what_came_after_it_and_nothing_else(chain: Chain, ending: str) -> None:
    act, left = ENDINGS[ending]
    await act(chain)
    assert await chain.living() == left
    assert await is_active(chain.field.door, chain.twin)


async def test_a_disabled_person_has_no_token_anywhere(chain: Chain) -> None:
    await disable_person(chain)
    assert await chain.living() == [False, False, False]
    assert not await is_active(chain.field.door, chain.twin)


@pytest.mark.parametrize("what", ["project", "resource"])
async def test_a_stop_holds_what_hangs_off_it(chain: Chain, what: str) -> None:
    await stop(chain.field.door, what)
    assert await chain.living() == [False, False, False]


async def test_what_ended_cannot_be_exchanged_any_more(chain: Chain) -> None:
    await revoke_token(chain, 0)
    assert (await chain.machines[1].ask(chain.tokens[1], resource=THIRD)).json()["error"] == "invalid_request"


async def test_the_app_of_a_program_without_a_person_takes_its_exchanged_tokens_with_it(door: Door) -> None:
    field = await lay_out(door)
    nightly, gateway = await field.machine("Nightly"), await field.machine()
    await field.rule(gateway)
    token = await gateway.exchange(await nightly.own_token())
    door.clock.advance(seconds=1)
    assert claims_of(token)["sub"] == nightly.client_id
    await admission.suspend(door.operator, nightly.client)
    assert not await is_active(door, token)
    await admission.reactivate(door.operator, await clients.get(door.operator, door.project, nightly.client_id))
    assert await is_active(door, token)
    await admission.revoke_everything(door.operator, nightly.client)
    assert not await is_active(door, token)


async def test_a_jobs_trust_takes_its_exchanged_tokens_with_it_t43(door: Door) -> None:
    field, platform = await lay_out(door), Issuer(PLATFORM)
    gateway = await field.machine()
    await field.rule(gateway)
    added = await trust_platform(door, platform)
    own = success(await present(door, platform.workload(door), resource=RESOURCE))["access_token"]
    token = await gateway.exchange(own)
    assert claims_of(token)["sub"] == claims_of(own)["sub"]
    assert await is_active(door, token)
    door.clock.advance(seconds=1)
    await trust.revoke_everything(door.operator, added)
    assert [await is_active(door, each) for each in (own, token)] == [False, False]


async def test_a_token_that_ends_between_being_read_and_being_exchanged_is_not_exchanged(door: Door) -> None:
    field = await lay_out(door)
    gateway = await field.machine()
    await field.rule(gateway)
    token = await field.persons_token()
    view = await door.context.tenancy.find()
    assert view is not None
    call = TokenCall(
        view=view,
        client=gateway.client,
        refresh_tokens=door.context.refresh_tokens,
        source="203.0.113.9",
        agent="",
        now=door.clock(),
    )
    form = parse_query(f"subject_token={token}&subject_token_type={ACCESS_TOKEN_TYPE}&resource={SECOND}".encode())
    read = await token_exchange.resolve(door.context, call, token_exchange.parse(form))
    grant_id = claims_of(token)["grant_id"]
    await door.context.database.write(revoke_grant, door.project.project_id, grant_id, door.clock())
    outcome = await door.context.database.write(token_exchange.authorize, call, read)
    assert isinstance(outcome, Refused)
    assert outcome.error.code == "invalid_request"
    events = await connections.recent_events(door.operator, door.project)
    assert all(event.action != "token.exchanged" for event in events)
