"""What a session does with what servers answer: nobody is logged out, nothing is asked twice, nothing goes astray."""

from typing import Any

import anyio
import httpx2
import pytest

from doorward.client.errors import (
    DiscoveryFailed,
    IssuerChanged,
    RegistrationNeeded,
    ResourceMismatch,
    StepUpFailed,
    TokenRequestFailed,
)
from tests.client.world import ISSUER, LIFE, OTHER, SERVER, Issuer, Person, World

PRM = "https://mcp.example.com/.well-known/oauth-protected-resource"


async def get(world: World, auth: Any = None, expected: int = 200) -> None:
    async with world.client(auth) as http:
        answer = await http.get(SERVER)
        assert answer.status_code == expected, answer.text


async def test_the_first_request_gets_itself_in_and_the_next_one_asks_nobody_prm_16_trn_03() -> None:
    world = World()
    auth = world.auth()
    await get(world, auth)
    assert world.sent == [
        f"GET {SERVER}",
        f"GET {PRM}/mcp",
        f"GET {ISSUER}/.well-known/oauth-authorization-server",
        f"POST {ISSUER}/register",
        f"POST {ISSUER}/token",
        f"GET {SERVER}",
    ]
    world.sent.clear()
    await get(world, auth)
    assert world.sent == [f"GET {SERVER}"]


async def test_a_second_start_finds_what_the_first_one_kept_rt_09() -> None:
    world = World()
    await get(world)
    world.sent.clear()
    await get(world, world.auth())
    assert (world.sent, world.visits) == ([f"GET {SERVER}"], 1)


async def test_a_token_is_refreshed_before_it_ends_and_the_new_refresh_token_is_used_next_rt_09() -> None:
    world = World()
    auth = world.auth()
    for _ in range(3):
        await get(world, auth)
        world.now += LIFE - 30
    assert world.issuer.grants == ["authorization_code", "refresh_token", "refresh_token"]
    assert world.visits == 1


async def test_many_requests_at_once_with_a_token_that_ended_make_one_refresh_cli_07() -> None:
    world = World()
    auth = world.auth()
    await get(world, auth)
    world.issuer.access_tokens.clear()
    others = [world.auth() for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        for one in [auth, *others] * 3:
            tasks.start_soon(get, world, one)
    assert world.issuer.grants == ["authorization_code", "refresh_token"]
    assert world.visits == 1


@pytest.mark.parametrize("error", [(503, {}), (429, {}), (500, {}), (400, {"error": "temporarily_unavailable"})])
async def test_a_server_that_is_down_does_not_cost_the_grant_rt_09(error: tuple[int, dict[str, str]]) -> None:
    world = World()
    auth = world.auth()
    await get(world, auth)
    world.issuer.token_error = error
    world.now += LIFE - 30
    await get(world, auth)  # half a minute is left of the token
    world.now += 60
    with pytest.raises(TokenRequestFailed):
        await get(world, auth)
    world.issuer.token_error = None
    await get(world, auth)
    assert world.visits == 1


async def test_a_grant_that_ended_leads_to_a_login_for_the_same_scopes() -> None:
    world = World(needed="read write")
    auth = world.auth()
    await get(world, auth)
    world.issuer.access_tokens.clear()
    world.issuer.refresh_tokens.clear()
    await get(world, auth)
    assert (world.visits, list(world.issuer.clients)) == (2, ["client-1-at-auth.example.com"])
    assert auth.session.held is not None
    assert auth.session.held.scope == ("read", "write")


async def test_a_client_that_the_server_forgot_registers_once_more_while_refreshing_dcr_17() -> None:
    world = World()
    auth = world.auth()
    await get(world, auth)
    world.issuer.clients.clear()
    world.issuer.access_tokens.clear()
    await get(world, auth)
    assert (world.visits, len(world.issuer.clients)) == (2, 1)


async def test_a_client_that_the_server_forgot_is_not_led_to_a_page_that_says_so_dcr_17() -> None:
    world = World()
    await get(world)
    world.issuer.clients.clear()
    world.issuer.access_tokens.clear()
    world.issuer.refresh_tokens.clear()
    auth = world.auth()
    await auth.session.load()
    await auth.session.login()
    assert len(world.issuer.clients) == 1
    await get(world, auth)


async def test_more_scopes_are_asked_for_beside_those_of_before_step_05_step_06() -> None:
    world = World(needed="read")
    auth = world.auth()
    await get(world, auth)
    world.needed = "write"
    await get(world, auth)
    assert auth.session.held is not None
    assert auth.session.held.scope == ("read", "write")


async def test_a_scope_that_was_not_granted_is_not_asked_for_again_step_07() -> None:
    world = World(needed="read")
    world.issuer.withholds = frozenset({"write"})
    auth = world.auth()
    await get(world, auth)
    world.needed = "write"
    for _ in range(3):
        with pytest.raises(StepUpFailed, match="write"):
            await get(world, auth)
    assert world.visits == 2


async def test_a_server_that_always_asks_for_another_scope_is_asked_twice_step_07() -> None:
    world = World(needed="read")
    auth = world.auth()
    await get(world, auth)
    asked = iter(range(100))
    serve = world._serve

    def insatiable(request: httpx2.Request) -> httpx2.Response:
        world.needed = f"more-{next(asked)}"
        return serve(request)

    world._serve = insatiable  # type: ignore[method-assign]  # it changes its mind with every request
    with pytest.raises(StepUpFailed):
        await get(world, auth)
    assert world.visits == 3


async def test_a_server_that_refuses_every_token_is_believed_after_one_refresh_and_one_login_cli_07() -> None:
    world = World()
    auth = world.auth()
    await get(world, auth)
    world.issuer._give = _forgetting(world.issuer)  # type: ignore[method-assign]  # its tokens are worth nothing
    world.issuer.access_tokens.clear()
    await get(world, auth, expected=401)
    assert world.issuer.grants == ["authorization_code", "refresh_token", "authorization_code"]


def _forgetting(issuer: Issuer) -> Any:
    give = issuer._give

    def forget(scope: str) -> httpx2.Response:
        answer = give(scope)
        issuer.access_tokens.clear()
        return answer

    return forget


async def test_another_issuer_gets_a_registration_of_its_own_and_nothing_of_the_first_cred_01_cred_03_prm_18() -> None:
    world = World()
    auth = world.auth()
    await get(world, auth)
    former, world.issuer = world.issuer, Issuer(OTHER)
    world.others = {ISSUER: former}
    await get(world, auth)
    assert (world.visits, len(world.issuer.clients), world.issuer.grants) == (2, 1, ["authorization_code"])
    world.issuer, world.others = former, {OTHER: world.issuer}
    await get(world, auth)
    assert (world.visits, former.grants) == (2, ["authorization_code", "refresh_token"])


@pytest.mark.parametrize("secret", [None, "s3cret"])
async def test_given_credentials_stay_with_the_issuer_they_were_first_used_at_cred_02_cred_04_t7(
    secret: str | None,
) -> None:
    world = World()
    world.issuer.clients["given"] = {}
    options: dict[str, Any] = {"client_id": "given", "client_secret": secret}
    posting = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    world.issuer.metadata = posting
    await get(world, world.auth(**options))
    evil = Issuer(OTHER, metadata=posting)
    evil.clients["given"] = {}
    world.others, world.issuer = {ISSUER: world.issuer}, evil
    world.sent.clear()
    auth = world.auth(**options)
    with pytest.raises(IssuerChanged, match="not sent there"):
        await get(world, auth)
    assert (world.visits, evil.grants) == (1, [])
    await get(world, world.auth(**options, issuer=OTHER))


async def test_given_credentials_for_another_issuer_go_nowhere_cred_02() -> None:
    world = World()
    auth = world.auth(client_id="given", issuer=OTHER)
    for _ in range(2):
        with pytest.raises(IssuerChanged):
            await get(world, auth)
    assert auth.session.server is None
    assert not any("/token" in sent or "/register" in sent for sent in world.sent)


async def test_metadata_that_is_down_for_a_moment_does_not_pass_for_an_old_server_cli_12() -> None:
    world = World(down={f"{PRM}/mcp"})
    with pytest.raises(DiscoveryFailed, match="Try again later"):
        await get(world)
    assert not any("/register" in sent for sent in world.sent)


async def test_metadata_of_another_resource_ends_the_way_in_prm_17() -> None:
    world = World(resource="https://mcp.example.com/other")
    with pytest.raises(ResourceMismatch):
        await get(world)
    assert not any(sent.startswith(f"GET {ISSUER}") for sent in world.sent)


async def test_logging_out_revokes_unregisters_and_forgets() -> None:
    world = World()
    auth = world.auth()
    await get(world, auth)
    assert await auth.session.logout()
    issuer = world.issuer
    assert (issuer.clients, issuer.refresh_tokens, issuer.access_tokens) == ({}, {}, {})
    assert [name for name in world.store.names() if name.startswith("connection")] == []


async def test_two_spellings_of_a_server_are_one_connection() -> None:
    world = World()
    await get(world)
    auth = world.auth(f"{SERVER}/")
    assert await auth.session.token() is not None
    assert world.visits == 1


async def test_two_accounts_of_one_person_are_kept_apart() -> None:
    world = World()
    await get(world, world.auth(account="work"))
    await get(world, world.auth(account="home"))
    assert world.visits == 2


DOCUMENT = "https://tool.example.net/client.json"


@pytest.mark.parametrize(
    ("options", "offers_documents", "client_id"),
    [
        ({"client_id": "given", "client_metadata_url": DOCUMENT}, True, "given"),
        ({"client_metadata_url": DOCUMENT}, True, DOCUMENT),
        ({"client_metadata_url": DOCUMENT}, False, "client-1-at-auth.example.com"),
        ({}, True, "client-1-at-auth.example.com"),
    ],
)
async def test_a_given_id_goes_before_a_document_and_that_before_registering_reg_01_reg_02_reg_03(
    options: dict[str, str], *, offers_documents: bool, client_id: str
) -> None:
    world = World()
    world.issuer.metadata = {"client_id_metadata_document_supported": offers_documents}
    world.issuer.clients.update({"given": {}, DOCUMENT: {}})
    auth = world.auth(**options)
    await get(world, auth)
    registration = auth.session.connection.registration
    assert registration is not None
    assert registration.client_id == client_id
    assert len(world.issuer.clients) == (3 if client_id.startswith("client") else 2)


async def test_where_there_is_no_way_to_register_a_client_id_is_asked_for_reg_02() -> None:
    world = World()
    world.issuer.metadata = {"registration_endpoint": None}
    with pytest.raises(RegistrationNeeded, match="client id"):
        await get(world)
    assert world.visits == 0


async def test_a_redirect_on_another_port_is_registered_before_it_is_used_rdu_10() -> None:
    world = World()
    await get(world)
    auth = world.auth(interaction=Person(world, "http://127.0.0.1:4712/callback"))
    await auth.session.login()
    asked = [client["redirect_uris"] for client in world.issuer.clients.values()]
    assert asked == [["http://127.0.0.1:4711/callback"], ["http://127.0.0.1:4712/callback"]]


async def test_a_token_is_sent_as_it_is_whatever_it_may_hold_at_05() -> None:
    world = World()
    world.issuer.prefix = "eyJhbGciOiJub25lIn0.eyJleHAiOjEsImF1ZCI6Imh0dHBzOi8vZWxzZXdoZXJlLmV4YW1wbGUifQ."
    auth = world.auth()
    await get(world, auth)
    await get(world, auth)
    assert world.issuer.grants == ["authorization_code"]


async def test_what_a_document_says_beside_is_ignored_prm_15() -> None:
    world = World(metadata={"resource_name": ["a", 1], "signed_metadata": None, "x": {"y": [{}]}})
    world.issuer.metadata = {"service_documentation": 7, "scopes_supported": "read", "x": [None]}
    await get(world)


async def test_of_several_issuers_the_known_one_is_kept_to_and_each_has_a_client_of_its_own_prm_19_cli_09() -> None:
    world = World(others={OTHER: Issuer(OTHER)})
    world.metadata = {"authorization_servers": [ISSUER, OTHER]}
    auth = world.auth()
    await get(world, auth)
    world.metadata = {"authorization_servers": [OTHER, ISSUER]}
    world.issuer.access_tokens.clear()
    await get(world, auth)
    assert (world.visits, world.others[OTHER].clients) == (1, {})


async def test_an_issuer_that_cannot_be_read_gives_way_to_the_next_prm_19() -> None:
    world = World(down={f"{OTHER}/.well-known/oauth-authorization-server"})
    world.metadata = {"authorization_servers": [OTHER, ISSUER]}
    await get(world)
