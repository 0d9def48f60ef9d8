"""Texts that every parser of addresses stumbles over, in the places where servers name addresses."""

import httpx2
import pytest

from doorward.client.errors import AddressRefused
from tests.client.world import SERVER, World

NO_ADDRESSES = ("http://[x", "https://a]b/", "http://h:99999/", "https://h:port/", "https://\u2100.example/")


@pytest.mark.parametrize("text", NO_ADDRESSES)
async def test_a_registration_that_is_managed_nowhere_lets_its_client_in_t7(text: str) -> None:
    world = World()
    register = world.issuer._register

    def misname(members: dict[str, object]) -> httpx2.Response:
        answer = register(members)
        return httpx2.Response(201, json={**answer.json(), "registration_client_uri": text})

    world.issuer._register = misname  # type: ignore[method-assign]  # a switch
    auth = world.auth()
    async with world.client(auth) as http:
        assert (await http.get("")).status_code == 200
    registration = auth.session.connection.registration
    assert registration is not None
    assert registration.management_uri is None


@pytest.mark.parametrize("text", NO_ADDRESSES)
async def test_a_challenge_that_names_no_address_is_refused_by_name_cli_04_cli_05(text: str) -> None:
    challenge = f'Bearer resource_metadata="{text}"'.encode()

    async def refuse(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(401, headers=[(b"www-authenticate", challenge)], request=request)

    world = World()
    async with httpx2.AsyncClient(auth=world.auth(), transport=httpx2.MockTransport(refuse)) as http:
        with pytest.raises(AddressRefused):
            await http.get(SERVER)
    assert world.sent == []
