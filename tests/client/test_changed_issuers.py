"""A server that names another issuer than yesterday, one that never has enough, and one that sends its callers away.

Spec: T7, T8; CRED-01 … CRED-06, PRM-18, STEP-07, CLI-01, CLI-02, CLI-09
"""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from doorward.client.agents import WorkloadIdentity
from doorward.client.errors import AddressRefused, ClientError, IssuerChanged, StepUpFailed, TokenRequestFailed
from doorward.client.stores import MemoryStore
from tests.client.hostile_server import Program, Stage, check_nothing_leaked, is_refused, open_stage, program
from tests.client.listening import Asked, Reply, redirect

SECRET = "a-secret-of-the-good-issuer"
DOCUMENT = "https://app.example/client.json"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        opened.good.secrets.append(SECRET)
        yield opened


def change_issuer(stage: Stage) -> None:
    """The MCP server names the evil issuer from now on, and takes no token of the good one any more."""
    stage.prm["authorization_servers"] = [stage.evil.origin]
    stage.good.tokens.clear()


def authorizations(stage: Stage) -> list[str]:
    return [asked.headers["authorization"] for asked in stage.mcp.asked if "authorization" in asked.headers]


async def test_given_credentials_never_go_to_an_issuer_they_are_not_for_cred_02_cred_04_t7(stage: Stage) -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        stage.evil.metadata["token_endpoint_auth_methods_supported"] = [method]
        change_issuer(stage)
        client = program(stage, client_id="given", client_secret=SECRET, issuer=stage.good.origin)
        error = await is_refused(client, IssuerChanged)
        assert stage.good.origin in str(error)
        assert stage.evil.origin in str(error)
        assert client.person.visited == []
    assert set(stage.evil.listener.paths()) == {"/.well-known/oauth-authorization-server"}
    assert b"given" not in stage.evil.listener.received


async def test_given_credentials_stay_with_the_first_issuer_they_were_used_at_cred_01_cred_04_t7(stage: Stage) -> None:
    store = MemoryStore()
    client = program(stage, client_id="given", client_secret=SECRET, store=store)
    assert (await client.request()).status_code == 200
    change_issuer(stage)
    again = program(stage, client_id="given", client_secret=SECRET, store=store)
    for one in (client, again):
        await is_refused(one, IssuerChanged)
    assert stage.evil.listener.paths("POST") == []
    await again.auth.session.logout()
    await is_refused(again, IssuerChanged)
    for secret in (SECRET, "good-refresh", "good-token", "good-code"):
        assert secret.encode() not in stage.evil.listener.received
    assert b"given" not in stage.evil.listener.received


async def test_a_client_registers_anew_where_the_issuer_changed_and_takes_nothing_along_cred_02_cred_03_prm_18(
    stage: Stage,
) -> None:
    stage.good.registration = {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic"}
    client = program(stage)
    await client.request()
    change_issuer(stage)
    assert (await client.request()).status_code == 200
    check_nothing_leaked(stage)
    assert b"good-client" not in stage.evil.listener.received
    assert [form["client_id"] for form in stage.evil.posted()] == ["evil-client-1"]
    held = client.auth.session.held
    assert held is not None
    assert held.access_token in stage.evil.tokens


async def test_back_at_the_former_issuer_its_own_credentials_are_used_again_cred_01(stage: Stage) -> None:
    client = program(stage)
    await client.request()
    change_issuer(stage)
    await client.request()
    stage.prm["authorization_servers"] = [stage.good.origin]
    stage.evil.tokens.clear()
    assert (await client.request()).status_code == 200
    check_nothing_leaked(stage)
    assert stage.good.count == 1
    assert {form["client_id"] for form in stage.good.posted()} == {"good-client-1"}
    assert b"evil-refresh" not in stage.good.listener.received


async def test_a_document_is_a_client_everywhere_and_takes_no_secret_along_cred_06(stage: Stage) -> None:
    client = program(stage, client_metadata_url=DOCUMENT)
    await client.request()
    change_issuer(stage)
    assert (await client.request()).status_code == 200
    check_nothing_leaked(stage)
    assert (stage.good.count, stage.evil.count) == (0, 0)
    assert [form["client_id"] for form in stage.evil.posted()] == [DOCUMENT]


def write_assertion(folder: Path, audience: str | list[str]) -> WorkloadIdentity:
    """A workload whose platform vouches for it at one issuer, in a file."""
    claims = {"iss": "https://platform.example", "sub": "job", "aud": audience, "jti": SECRET}
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "x"}, claims)
    )
    file = folder / "assertion"
    file.write_text(".".join((*parts, SECRET)))
    return WorkloadIdentity.from_file(file)


async def test_what_a_platform_vouches_with_goes_to_no_issuer_it_is_not_for_cred_02_t7(
    stage: Stage, tmp_path: Path
) -> None:
    """Whoever gets it could be the workload at the issuer that it is for."""
    for audience in (stage.good.origin, [stage.good.origin]):
        agent = write_assertion(tmp_path, audience)
        assert (await program(stage, agent=agent).request()).status_code == 200
        change_issuer(stage)
        await is_refused(program(stage, agent=agent), IssuerChanged)
        stage.prm.clear()
    assert stage.evil.listener.paths("POST") == []


async def test_what_vouches_for_an_agent_stays_with_its_issuer_cred_01_cred_04_t7(stage: Stage) -> None:
    """Also where it does not say itself whom it is for."""
    agent, store = WorkloadIdentity(fetch_assertion=lambda _: SECRET), MemoryStore()
    assert (await program(stage, agent=agent, store=store).request()).status_code == 200
    change_issuer(stage)
    await is_refused(program(stage, agent=agent, store=store), IssuerChanged)
    await is_refused(program(stage, agent=agent, issuer=stage.good.origin), IssuerChanged)
    assert stage.evil.listener.paths("POST") == []
    assert SECRET.encode() not in stage.evil.listener.received


async def test_an_evil_issuer_cannot_have_the_endpoints_of_the_good_one_send_to_itself_cred_05_asm_20_t7(
    stage: Stage,
) -> None:
    """Two issuers with one name cannot be: the second one's metadata is not that name's."""
    change_issuer(stage)
    stage.evil.metadata |= {"issuer": stage.good.origin}
    client = program(stage, client_id="given", client_secret=SECRET, issuer=stage.good.origin)
    with pytest.raises(ClientError):
        await client.request()
    assert stage.evil.listener.paths("POST") == []
    check_nothing_leaked(stage)


async def test_a_server_without_metadata_that_claims_to_be_its_own_issuer_gets_no_secret_of_another_t7(
    stage: Stage,
) -> None:
    stage.faults["/.well-known/oauth-protected-resource/mcp"] = Reply(b"", 404)
    document = {**stage.good.documents(), "token_endpoint": f"{stage.mcp_origin}/token"}
    stage.faults["/.well-known/oauth-authorization-server"] = Reply(json.dumps(document).encode())
    client = program(stage, client_id="given", client_secret=SECRET, issuer=stage.good.origin)
    assert (await client.request()).status_code == 200
    assert "/token" not in stage.mcp.paths()
    check_nothing_leaked(stage)
    document["issuer"] = stage.mcp_origin
    stage.faults["/.well-known/oauth-authorization-server"] = Reply(json.dumps(document).encode())
    await is_refused(program(stage, client_id="given", client_secret=SECRET, issuer=stage.good.origin), IssuerChanged)
    assert "/token" not in stage.mcp.paths()


async def test_a_token_is_for_its_server_alone_cli_01(stage: Stage) -> None:
    client = program(stage)
    await client.request()
    sent = len(stage.evil.listener.received)
    for url in (stage.evil.listener.url("/mcp"), f"http://localhost:{stage.mcp.port}/mcp"):
        with pytest.raises(AddressRefused):
            await client.request(url)
    assert len(stage.evil.listener.received) == sent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_server_that_sends_its_callers_away_does_not_send_their_tokens_along_t8_cli_01(
    stage: Stage, status: int
) -> None:
    """Even where the program's own HTTP client follows redirects, and whoever is there asks for a login."""
    client = program(stage)
    await client.request()
    client.follow_redirects = True
    challenge = f'Bearer resource_metadata="{stage.evil.origin}/.well-known/oauth-protected-resource/mcp"'
    stage.faults["/mcp"] = redirect(status, stage.evil.listener.url("/mcp"))
    stage.evil.faults["/mcp"] = Reply(b"", 401, (("www-authenticate", challenge),))
    visited = len(client.person.visited)
    assert (await client.request()).status_code == 401
    assert set(stage.evil.listener.paths()) == {"/mcp"}
    assert b"authorization" not in bytes(stage.evil.listener.received).lower()
    check_nothing_leaked(stage)
    assert len(client.person.visited) == visited


async def test_tokens_are_in_headers_and_never_in_an_address_cli_02(stage: Stage) -> None:
    client = program(stage)
    await client.request()
    stage.good.tokens.clear()
    await client.request()
    await client.auth.session.logout()
    assert len(authorizations(stage)) == 3
    check_nothing_leaked(stage)
    assert all("token" not in asked.query for asked in (*stage.mcp.asked, *stage.good.listener.asked))


def refusing(status: int, *challenges: str) -> Reply:
    return Reply(b"", status, tuple(("www-authenticate", challenge) for challenge in challenges))


async def bounded(client: Program) -> Any:
    """What became of one request: its status, or the error."""
    with anyio.fail_after(30):
        try:
            return (await client.request()).status_code
        except ClientError as error:
            return type(error)


@pytest.mark.parametrize("challenge", ["", ' error="invalid_token"', ' error="invalid_token", resource_metadata="{}"'])
async def test_a_server_that_takes_no_token_is_asked_a_few_times_and_believed_cli_07(
    stage: Stage, challenge: str
) -> None:
    stage.faults["/mcp"] = refusing(401, "Bearer" + challenge.format(stage.prm_url))
    client = program(stage)
    assert await bounded(client) == 401
    assert len(stage.mcp.paths("POST")) <= 4
    assert len(client.person.visited) <= 2
    assert stage.good.count == 1
    check_nothing_leaked(stage)


async def test_a_server_that_never_has_enough_scopes_is_given_up_step_07(stage: Stage) -> None:
    wanted: list[str] = []

    def more(asked: Asked, reply: Reply) -> Reply:
        if reply.status == 401:
            return reply
        wanted.append(f"scope-{len(wanted)}")
        return refusing(403, f'Bearer error="insufficient_scope", scope="{wanted[-1]}"')

    stage.faults["/mcp"] = more
    client = program(stage)
    assert await bounded(client) is StepUpFailed
    assert len(client.person.visited) <= 4
    assert len(stage.mcp.paths("POST")) <= 5
    assert stage.good.count <= 2


async def test_scopes_that_were_asked_for_and_not_given_are_not_asked_for_again_step_07(stage: Stage) -> None:
    def same(asked: Asked, reply: Reply) -> Reply:
        return reply if reply.status == 401 else refusing(403, 'Bearer error="insufficient_scope", scope="admin"')

    stage.faults["/mcp"] = same
    stage.good.answer["scope"] = "tools"
    client = program(stage)
    assert await bounded(client) is StepUpFailed
    visited = len(client.person.visited)
    assert visited <= 2
    for _ in range(3):
        assert await bounded(client) is StepUpFailed
    assert len(client.person.visited) == visited
    again = Program(stage, client.person, client.auth)
    assert await bounded(again) is StepUpFailed
    assert len(client.person.visited) == visited


async def test_a_403_that_is_no_challenge_is_an_answer_step_07(stage: Stage) -> None:
    client = program(stage)
    await client.request()
    for challenge in ("Bearer", 'Bearer error="insufficient_scope"', 'Basic realm="x"', 'Bearer error="x", scope="y"'):
        stage.faults["/mcp"] = refusing(403, challenge)
        assert await bounded(client) == 403
    assert len(client.person.visited) == 1


async def test_a_client_that_is_unknown_at_once_is_registered_anew_once_and_no_more(stage: Stage) -> None:
    stage.good.faults["/token"] = Reply(b'{"error": "invalid_client"}', 401)
    client = program(stage)
    assert await bounded(client) is TokenRequestFailed
    assert stage.good.count <= 2
    assert len(client.person.visited) <= 2
    given = program(stage, client_id="given", client_secret=SECRET)
    count = stage.good.count
    assert await bounded(given) is TokenRequestFailed
    assert stage.good.count == count
    assert len(given.person.visited) == 1


async def test_a_client_that_is_forgotten_again_and_again_does_not_loop(stage: Stage) -> None:
    store = MemoryStore()
    await program(stage, store=store).request()
    stage.good.tokens.clear()
    stage.good.faults["/token"] = Reply(b'{"error": "invalid_client"}', 401)
    client = program(stage, store=store)
    count = stage.good.count
    assert await bounded(client) is TokenRequestFailed
    assert stage.good.count <= count + 2
    assert len(stage.good.posted()) <= 5


BOMBS = {
    "one long field": ["Bearer " + "a" * 60_000],
    "many parameters": ["Bearer " + ", ".join(f'p{number}="x"' for number in range(4000))],
    "many schemes": [", ".join(["Bearer"] * 8000)],
    "one token that is none": ["a" * 16_000 + ";"],
    "many tokens that are none": ["Bearer " + "a" * 16_000 + "/", *("b" * 15_000 + "(" for _ in range(3))],
    "many commas": ["Bearer" + "," * 60_000],
    "an open quote": ['Bearer realm="' + "\\" * 60_000],
    "many open quotes": ['Bearer realm="' * 4000],
    "many equals": ["Bearer " + "a=" * 30_000],
    "many fields": [f'Bearer realm="{number}"' for number in range(2000)],
    "many blanks": ["Bearer" + " " * 30_000 + "x" + "\t" * 30_000 + "=1"],
    "other letters": ["Bearer \xe9\xff\x80" * 1000],
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_challenge_that_is_a_bomb_does_not_go_off(stage: Stage, name: str) -> None:
    stage.faults["/mcp"] = lambda asked, reply: reply if reply.status == 200 else refusing(401, *BOMBS[name])
    assert await bounded(program(stage)) == 200


async def test_a_challenge_is_read_once_and_its_first_address_counts(stage: Stage) -> None:
    evil = stage.evil.origin
    for challenge in (
        f'Bearer resource_metadata="{stage.prm_url}", resource_metadata="{evil}/x"',
        f'Bearer resource_metadata="{stage.prm_url}", Basic realm="Bearer resource_metadata=\\"{evil}/x\\""',
        f'Negotiate, Bearer realm="x, resource_metadata={evil}/x", resource_metadata="{stage.prm_url}"',
    ):
        stage.challenge = challenge
        assert await bounded(program(stage)) == 200
    assert stage.evil.listener.connections == 0
