"""Sessions without a person, and what registering may come to: what is asked of whom, and how often."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest

from doorward.client.agents import ClientCredentials, IdentityAssertion, IdentityProvider, WorkloadIdentity
from doorward.client.errors import AddressRefused, RegistrationFailed, RegistrationNeeded, TokenRequestFailed
from tests.client.world import ISSUER, LIFE, SERVER, Issuer, World

IDP = "https://10.1.2.3"
"""Inside a private network, as identity providers of enterprises are."""


@dataclass
class AgentIssuer(Issuer):
    """Gives tokens for what agents bring, and none to refresh them with."""

    forms: list[dict[str, str]] = field(default_factory=list)

    def _token(self, form: dict[str, str]) -> httpx2.Response:
        self.forms.append(form)
        if self.token_error is not None:
            return httpx2.Response(self.token_error[0], json=self.token_error[1])
        token = f"access-{len(self.forms)}"
        self.access_tokens[token] = form.get("scope", "")
        return httpx2.Response(200, json={"access_token": token, "token_type": "bearer", "expires_in": LIFE})


@dataclass
class Idp(Issuer):
    """Vouches for everybody."""

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        asked = dict(parse_qsl(request.content.decode()))
        kind = asked["requested_token_type"]
        return httpx2.Response(200, json={"access_token": "jag", "issued_token_type": kind, "token_type": "N_A"})


@dataclass
class Reluctant(Issuer):
    """Registers nobody who names what it does not like."""

    dislikes: frozenset[str] = frozenset()
    says: tuple[int, str] = (400, "invalid_client_metadata")
    asked: list[dict[str, Any]] = field(default_factory=list)

    def _register(self, members: dict[str, Any]) -> httpx2.Response:
        self.asked.append(members)
        if self.dislikes & {*members, *members["grant_types"]}:
            status, error = self.says
            refusal = {"error": error, "error_description": "Some of it is not for here."}
            return httpx2.Response(status, json=refusal)
        return super()._register(members)


def world_of_agents() -> tuple[World, AgentIssuer]:
    issuer = AgentIssuer(ISSUER)
    return World(issuer=issuer, others={IDP: Idp(IDP)}), issuer


async def test_an_agent_asks_anew_before_its_token_ends_and_is_never_refused_cc_03() -> None:
    world, issuer = world_of_agents()
    auth = world.auth(agent=ClientCredentials(), client_id="nightly", client_secret="s", issuer=ISSUER)
    async with world.client(auth) as http:
        await http.get(SERVER)
        world.now += LIFE - 30
        before = len(world.sent)
        assert (await http.get(SERVER)).status_code == 200
    assert world.sent[-2:] == [f"POST {ISSUER}/token", f"GET {SERVER}"]
    assert world.sent[before:].count(f"GET {SERVER}") == 1
    assert [form["scope"] for form in issuer.forms] == ["read", "read"]
    assert all(form["resource"] == SERVER for form in issuer.forms)


async def test_an_agent_without_credentials_neither_registers_nor_opens_a_page_cc_03() -> None:
    world, issuer = world_of_agents()
    async with world.client(world.auth(agent=ClientCredentials())) as http:
        with pytest.raises(RegistrationNeeded, match="client_id"):
            await http.get(SERVER)
    assert (issuer.clients, issuer.forms, world.visits) == ({}, [], 0)


async def test_an_identity_provider_may_be_where_only_the_program_could_name_it_jag_18() -> None:
    world, issuer = world_of_agents()
    agent = IdentityAssertion(
        identity_provider=IdentityProvider(token_endpoint=f"{IDP}/token", client_id="app"),
        fetch_subject_token=lambda: "signed in",
    )
    auth = world.auth(agent=agent, client_id="assistant", client_secret="s", issuer=ISSUER)
    async with world.client(auth) as http:
        assert (await http.get(SERVER)).status_code == 200
    assert [form["assertion"] for form in issuer.forms] == ["jag"]
    assert f"POST {IDP}/token" in world.sent


async def test_a_server_cannot_name_such_a_place() -> None:
    world, issuer = world_of_agents()
    issuer.metadata["token_endpoint"] = f"{IDP}/token"
    agent = WorkloadIdentity(fetch_assertion=lambda _: "platform.s.jwt")
    async with world.client(world.auth(agent=agent)) as http:
        with pytest.raises(AddressRefused):
            await http.get(SERVER)
    assert not any(IDP in sent for sent in world.sent)


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_scope", "unauthorized_client", "invalid_client"])
async def test_a_refused_workload_asks_once_and_by_no_other_grant_wif_08(code: str) -> None:
    world, issuer = world_of_agents()
    issuer.token_error = (400, {"error": code})
    audiences: list[str] = []

    def fetch(audience: str) -> str:
        audiences.append(audience)
        return "platform.s.jwt"

    async with world.client(world.auth(agent=WorkloadIdentity(fetch_assertion=fetch))) as http:
        with pytest.raises(TokenRequestFailed, match=code) as refused:
            await http.get(SERVER)
    assert refused.value.code == code
    assert "platform.s.jwt" not in str(refused.value)
    assert (len(issuer.forms), audiences, issuer.clients, world.visits) == (1, [ISSUER], {}, 0)


async def test_what_a_program_raises_for_want_of_an_assertion_reaches_its_caller() -> None:
    def fetch(audience: str) -> str:
        raise LookupError(audience)

    world, issuer = world_of_agents()
    async with world.client(world.auth(agent=WorkloadIdentity(fetch_assertion=fetch))) as http:
        with pytest.raises(LookupError, match=ISSUER):
            await http.get(SERVER)
    assert issuer.forms == []


@pytest.mark.parametrize(
    "says", [(400, "invalid_client_metadata"), (400, "invalid_scope"), (403, "insufficient_scope")]
)
async def test_a_registration_goes_on_without_what_may_be_left_out_dcr_16_17(says: tuple[int, str]) -> None:
    issuer = Reluctant(ISSUER, dislikes=frozenset({"scope"}), says=says)
    world = World(issuer=issuer)
    async with world.client() as http:
        assert (await http.get(SERVER)).status_code == 200
    assert [("scope" in asked, asked["application_type"]) for asked in issuer.asked] == [
        (True, "native"),
        (False, "native"),
    ]


async def test_a_registration_goes_on_without_a_grant_that_the_server_does_not_list_dcr_17() -> None:
    listed = {"grant_types_supported": ["authorization_code"]}
    issuer = Reluctant(ISSUER, dislikes=frozenset({"refresh_token"}), metadata=listed)
    world = World(issuer=issuer)
    async with world.client() as http:
        assert (await http.get(SERVER)).status_code == 200
    assert issuer.asked[-1]["grant_types"] == ["authorization_code"]


async def test_a_refused_registration_is_told_in_the_words_of_the_server_dcr_17() -> None:
    issuer = Reluctant(ISSUER, dislikes=frozenset({"client_name"}))
    world = World(issuer=issuer)
    async with world.client() as http:
        for attempt in (1, 2):
            with pytest.raises(RegistrationFailed, match="invalid_client_metadata: Some of it is not for here"):
                await http.get(SERVER)
            assert len(issuer.asked) == 2 * attempt
    assert (issuer.clients, world.visits) == ({}, 0)
