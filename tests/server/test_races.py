"""Fifty at once, round after round: one winner each time, whatever is raced for (I1, I4, T23, T26)."""

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest

from doorward.core.models import (
    AuthorizationRequest,
    Client,
    Code,
    DeviceCode,
    Grant,
    Interaction,
    PushedRequest,
    RefreshFamily,
    ReusePolicy,
    Session,
)
from doorward.core.secrets import CODE, DEVICE_CODE, FLOW, hash_secret, new_family_id, new_id, new_salt, new_secret
from doorward.manage import clients, connections, users
from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.ids import ClientId, FamilyId, GrantId
from doorward.oauth.jwt import generate_signing_key
from doorward.oauth.pkce import build_challenge
from doorward.server.authorization_answer import ReturnToClient
from doorward.server.choice import Choice
from doorward.server.decision import decide
from doorward.server.page_error import PageError
from doorward.server.sessions import Device
from doorward.storage.codes import add_code
from doorward.storage.database import Transaction
from doorward.storage.device_codes import add_device_code
from doorward.storage.grants import add_grant, find_live_grant
from doorward.storage.interactions import add_interaction
from doorward.storage.pushed_requests import add_pushed_request
from doorward.storage.tokens import find_family, start_family
from tests.inside import LOOPBACK, RESOURCE, Answer, Door
from tests.person import answer_parameters
from tests.running import ADMIN_EMAIL
from tests.server.devices import offer, poll
from tests.server.issuers import IDP, PLATFORM, Issuer, agent, present, trust_idp, trust_platform
from tests.server.steps import TOKEN, VERIFIER, basic, refusal, sign_assertion, success

AT_ONCE = 50
KEY = generate_signing_key()
ROUNDS = pytest.mark.parametrize("rounds", [20, pytest.param(1000, marks=pytest.mark.long)])
REFUSED = (400, "invalid_grant")


async def grant(door: Door, client: Client) -> Grant:
    """A consent, without the pages it takes."""
    ada = await users.get(door.operator, door.project, ADMIN_EMAIL)
    made = Grant(
        project_id=door.project.project_id,
        grant_id=GrantId(new_id("grt")),
        user_id=ada.user_id,
        client_id=client.client_id,
        resource_id=door.resource.resource_id,
        scope=("tools:read",),
        redirect_uri=LOOPBACK,
        created_at=door.clock(),
    )
    await door.context.database.write(add_grant, made)
    return made


async def mint_code(door: Door, client: Client) -> tuple[str, Grant]:
    code, given = new_secret(CODE), await grant(door, client)
    stored = Code(
        project_id=given.project_id,
        code_hash=hash_secret(code),
        grant_id=given.grant_id,
        client_id=given.client_id,
        redirect_uri=LOOPBACK,
        redirect_uri_sent=True,
        code_challenge=build_challenge(VERIFIER),
        expires_at=door.clock() + 300_000,
    )
    await door.context.database.write(add_code, stored)
    return code, given


async def mint_family(door: Door, client: Client, policy: ReusePolicy) -> tuple[str, RefreshFamily]:
    given, now = await grant(door, client), door.clock()
    family = RefreshFamily(
        project_id=given.project_id,
        family_id=new_family_id(),
        grant_id=given.grant_id,
        client_id=given.client_id,
        salt=new_salt(),
        policy=policy,
        generation=0,
        rotated_at=now,
        previous_rotated_at=now,
        idle_expires_at=now + 86_400_000,
        absolute_expires_at=now + 86_400_000,
    )
    await door.context.database.write(start_family, family)
    return door.context.refresh_tokens.derive(family.family_id, family.salt, 0), family


async def stored_family(door: Door, family_id: FamilyId) -> RefreshFamily:
    found = await door.context.database.read(find_family, door.project.project_id, family_id)
    assert found is not None
    return found


def tally(answers: Iterable[Answer]) -> Counter[tuple[int, str]]:
    """How often each answer was given."""
    return Counter((200, "") if answer.status == 200 else refusal(answer) for answer in answers)


@ROUNDS
async def test_one_of_fifty_redeems_a_code_and_the_replays_end_what_it_got_code_02_t23_i1(
    door: Door, rounds: int
) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    for _ in range(rounds):
        code, given = await mint_code(door, client)
        answers = await asyncio.gather(*(door.redeem(client.client_id, code, VERIFIER) for _ in range(AT_ONCE)))
        assert tally(answers) == {(200, ""): 1, REFUSED: AT_ONCE - 1}
        (won,) = [success(answer) for answer in answers if answer.status == 200]
        assert await door.context.database.read(find_live_grant, given.project_id, given.grant_id) is None
        assert refusal(await door.refresh(client.client_id, won["refresh_token"])) == REFUSED


@ROUNDS
async def test_fifty_refreshes_of_a_public_client_converge_on_one_successor_rt_10_i4(door: Door, rounds: int) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    token, family = await mint_family(door, client, "until_used")
    for generation in range(1, rounds + 1):
        answers = await asyncio.gather(*(door.refresh(client.client_id, token) for _ in range(AT_ONCE)))
        (successor,) = {success(answer)["refresh_token"] for answer in answers}
        assert successor != token
        assert (await stored_family(door, family.family_id)).generation == generation
        token = successor


@ROUNDS
async def test_one_of_fifty_refreshes_of_a_confidential_client_rotates_and_the_rest_end_the_line_rt_03_i4(
    door: Door, rounds: int
) -> None:
    client, secret = await clients.add(door.operator, door.project, (LOOPBACK,), confidential=True)
    assert secret is not None
    header = basic(client.client_id, secret)
    for _ in range(rounds):
        token, family = await mint_family(door, client, "strict")
        form = {"grant_type": "refresh_token", "refresh_token": token}
        answers = await asyncio.gather(*(door.post_form(TOKEN, form, header) for _ in range(AT_ONCE)))
        assert tally(answers) == {(200, ""): 1, REFUSED: AT_ONCE - 1}
        left = await stored_family(door, family.family_id)
        assert (left.generation, left.revoked_at) == (1, door.clock())


async def test_predecessor_and_successor_raced_for_together_stay_one_line(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    old, family = await mint_family(door, client, "until_used")
    for generation in range(1, 6):
        current = success(await door.refresh(client.client_id, old))["refresh_token"]
        tokens = [old, current] * 25
        answers = await asyncio.gather(*(door.refresh(client.client_id, token) for token in tokens))
        given = {
            token: {success(answers[n])["refresh_token"] for n in range(first, 50, 2)}
            for first, token in enumerate((old, current))
        }
        assert given[old] == {current}
        (old,) = given[current]
        assert (await stored_family(door, family.family_id)).generation == 2 * generation


async def test_a_redemption_and_a_revocation_at_once_leave_nothing_alive(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    for _ in range(10):
        token, _ = await mint_family(door, client, "until_used")
        revocation = door.post_form("/api/oauth/revoke", {"client_id": client.client_id, "token": token})
        refreshes = (door.refresh(client.client_id, token) for _ in range(10))
        revoked, *answers = await asyncio.gather(revocation, *refreshes)
        assert revoked.status == 200
        assert tally(answers).keys() <= {(200, ""), REFUSED}
        for answer in answers:
            if answer.status == 200:
                assert refusal(await door.refresh(client.client_id, answer.json()["refresh_token"])) == REFUSED


async def test_many_presses_of_allow_give_one_code_i1(door: Door) -> None:
    client_id, person = (await door.register())["client_id"], door.person()
    page = await person.open(door.authorization_url(client_id, VERIFIER))
    page = await person.sign_in(page)
    pages = await asyncio.gather(*(person.submit(page, decision="allow") for _ in range(20)))
    assert Counter(page.status for page in pages) == {200: 20}
    assert len({answer_parameters(page.links["continue"])["code"] for page in pages}) == 1
    events = await connections.recent_events(door.operator, door.project)
    assert [event.action for event in events if event.action.startswith("consent.")] == ["consent.allowed"]


async def open_tabs(door: Door, client_id: str, session: Session) -> list[str]:
    """The stored requests of as many tabs that one pushed request is open in, without the pages it takes."""
    now, project_id = door.clock(), door.project.project_id
    pushed = PushedRequest(
        project_id, hash_secret(new_id("par")), ClientId(client_id), {}, (), None, None, now + 90_000
    )
    asked = AuthorizationRequest(
        client_id=ClientId(client_id),
        redirect_uri=LOOPBACK,
        state=None,
        code_challenge=build_challenge(VERIFIER),
        resource_id=door.resource.resource_id,
        scope=("tools:read",),
        pushed=pushed.request_hash.hex(),
    )
    flows = [new_secret(FLOW) for _ in range(AT_ONCE)]

    async def store(tx: Transaction) -> None:
        await add_pushed_request(tx, pushed, now)
        for flow in flows:
            key = (project_id, hash_secret(flow), session.session_hash, session.user_id)
            await add_interaction(tx, Interaction(*key, asked, now + 600_000), now)

    await door.context.database.write(store)
    return flows


@ROUNDS
async def test_one_of_fifty_decisions_on_a_pushed_request_counts_par_06(door: Door, rounds: int) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    owner, view = await users.get(door.operator, door.project, ADMIN_EMAIL), await door.context.tenancy.find()
    assert view is not None
    now = door.clock()
    session = Session(door.project.project_id, hash_secret("s"), owner.user_id, now, now, now, "browser")
    browser = (session, Device(hash_secret("d"), "Firefox on Linux"))
    for _ in range(rounds):
        flows = await open_tabs(door, client.client_id, session)
        decisions = (
            decide(door.context, view, flow, browser, choice=Choice("allow"), now=door.clock()) for flow in flows
        )
        outcomes = await asyncio.gather(*decisions, return_exceptions=True)
        assert Counter(type(outcome) for outcome in outcomes) == {ReturnToClient: 1, PageError: AT_ONCE - 1}
        (won,) = [outcome for outcome in outcomes if isinstance(outcome, ReturnToClient)]
        code = answer_parameters(won.target)["code"]
        success(await door.redeem(client.client_id, code, VERIFIER))


async def mint_device(door: Door, client: Client) -> str:
    """The code of a device that was let in, without the pages it takes."""
    code, given, now = new_secret(DEVICE_CODE), await grant(door, client), door.clock()
    allowed = DeviceCode(
        project_id=given.project_id,
        device_hash=hash_secret(code),
        user_code_hash=hash_secret(f"of {code}"),
        client_id=given.client_id,
        resource_id=given.resource_id,
        scope=given.scope,
        source="",
        agent="",
        created_at=now,
        expires_at=now + 600_000,
        interval_ms=5_000,
        user_id=given.user_id,
        decision="allowed",
        grant_id=given.grant_id,
    )
    assert await door.context.database.write(add_device_code, allowed)
    return code


@ROUNDS
async def test_one_of_fifty_questions_of_a_device_is_answered_with_tokens_dev_07_i1(door: Door, rounds: int) -> None:
    await offer(door)
    client, _ = await clients.add(door.operator, door.project, (), grants=("device_code", "refresh_token"))
    for _ in range(rounds):
        code = await mint_device(door, client)
        answers = await asyncio.gather(*(poll(door, client.client_id, code) for _ in range(AT_ONCE)))
        assert tally(answers) == {(200, ""): 1, REFUSED: AT_ONCE - 1}
        (won,) = [success(answer) for answer in answers if answer.status == 200]
        assert (await door.refresh(client.client_id, won["refresh_token"])).status == 200


@ROUNDS
async def test_one_of_fifty_presentations_of_an_assertion_authenticates_t32(door: Door, rounds: int) -> None:
    keys = {"jwks": {"keys": [KEY.public_jwk()]}}
    client, _ = await clients.add(door.operator, door.project, (), grants=("client_credentials",), keys=keys)
    for _ in range(rounds):
        assertion = sign_assertion(door, client.client_id, KEY)
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        answers = await asyncio.gather(*(door.post_form(TOKEN, form) for _ in range(AT_ONCE)))
        counted = Counter(answer.status for answer in answers)
        assert counted[200] == 1
        assert counted.keys() <= {200, 401, 429}  # who sends what is spent so often is slowed down
        door.clock.advance(seconds=120)


@ROUNDS
async def test_one_of_fifty_presentations_of_an_id_jag_wins_jag_16_t32(door: Door, rounds: int) -> None:
    idp = Issuer(IDP)
    await trust_idp(door, idp)
    caller = await agent(door)
    for _ in range(rounds):
        assertion = idp.id_jag(door, caller.client_id)
        answers = await asyncio.gather(*(present(door, assertion, caller) for _ in range(AT_ONCE)))
        assert tally(answers) == {(200, ""): 1, REFUSED: AT_ONCE - 1}


@ROUNDS
async def test_one_of_fifty_presentations_for_a_job_wins_wif_06_t32(door: Door, rounds: int) -> None:
    platform = Issuer(PLATFORM)
    await trust_platform(door, platform)
    for _ in range(rounds):
        assertion = platform.workload(door)
        answers = await asyncio.gather(*(present(door, assertion, resource=RESOURCE) for _ in range(AT_ONCE)))
        assert tally(answers) == {(200, ""): 1, REFUSED: AT_ONCE - 1}


async def test_codes_of_many_people_at_once_do_not_get_mixed_up(door: Door) -> None:
    client, _ = await clients.add(door.operator, door.project, (LOOPBACK,))
    minted: list[tuple[str, Grant]] = [await mint_code(door, client) for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(door.redeem(client.client_id, code, VERIFIER) for code, _ in minted))
    assert tally(answers) == {(200, ""): AT_ONCE}

    async def alive(tx: Transaction) -> list[bool]:
        return [await find_live_grant(tx, given.project_id, given.grant_id) is not None for _, given in minted]

    assert all(await door.context.database.read(alive))
