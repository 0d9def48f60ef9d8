"""Authlib's client, unmodified, over real sockets: an independent reading of the same standards.

Spec: TOK-03, RT-03, CC-01, TX-01, TX-05, CAU-02, CAU-07, INT-03, REV-05, DEV-06
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

from doorward.oauth.jwt import generate_signing_key
from tests.interop.browsers import FormBrowser
from tests.running import RunningDoorward, start_doorward

REDIRECT = "http://127.0.0.1:8765/callback"
REFRESH_TOKEN = "refresh_token"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@asynccontextmanager
async def open_client(
    doorward: RunningDoorward, **given: Any
) -> AsyncIterator[tuple[AsyncOAuth2Client, dict[str, Any]]]:
    """(Authlib's client, the server's metadata as it read it)."""
    async with AsyncOAuth2Client(code_challenge_method="S256", redirect_uri=REDIRECT, **given) as client:
        found = await client.request(
            "GET", f"{doorward.issuer}/.well-known/oauth-authorization-server", withhold_token=True
        )
        yield client, found.json()


async def register(client: AsyncOAuth2Client, metadata: dict[str, Any], **members: Any) -> dict[str, Any]:
    given = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": client.token_endpoint_auth_method, **members}
    answer = await client.request("POST", metadata["registration_endpoint"], json=given, withhold_token=True)
    assert answer.status_code == 201, answer.text
    registered: dict[str, Any] = answer.json()
    client.revocation_endpoint_auth_method = client.token_endpoint_auth_method
    client.client_id, client.client_secret = registered["client_id"], registered.get("client_secret")
    return registered


async def sign_in(
    client: AsyncOAuth2Client, metadata: dict[str, Any], browser: FormBrowser, resource: str
) -> dict[str, Any]:
    """The tokens of a person who let it in."""
    verifier = "a verifier of Authlib that is long enough for PKCE".replace(" ", "-")
    url, state = client.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, resource=resource, scope="tools:read"
    )
    landed = await browser.person.consent(url)
    assert urlsplit(landed).path == "/callback"
    tokens: dict[str, Any] = await client.fetch_token(
        metadata["token_endpoint"], authorization_response=landed, code_verifier=verifier, state=state
    )
    return tokens


@pytest.fixture(scope="module")
def keyed(doorward: RunningDoorward, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ECKey]:
    """(client_id, private key) of a client that proves itself by its key."""
    key = generate_signing_key("ES256")
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_text(json.dumps({"keys": [key.public_jwk()]}))
    made = doorward.admin(
        "client", "add", "--grant", "client_credentials", "--jwks-file", str(path), "--scope", "tools:read"
    )
    return made["client_id"], ECKey.import_key(key.private_jwk())


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
async def test_code_refresh_introspection_and_revocation(
    doorward: RunningDoorward, browser: FormBrowser, method: str
) -> None:
    async with open_client(doorward, token_endpoint_auth_method=method) as (client, metadata):
        await register(client, metadata)
        first = dict(await sign_in(client, metadata, browser, doorward.demo))
        assert (first["token_type"], first["scope"]) == ("Bearer", "tools:read")
        second = dict(await client.refresh_token(metadata["token_endpoint"], refresh_token=first[REFRESH_TOKEN]))
        assert second["access_token"] != first["access_token"]
        if method != "none":
            told = await client.introspect_token(metadata["introspection_endpoint"], second["access_token"])
            assert (told.json()["active"], told.json()["client_id"]) == (True, client.client_id)
        gone = await client.revoke_token(metadata["revocation_endpoint"], second[REFRESH_TOKEN], REFRESH_TOKEN)
        assert gone.status_code == 200
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(metadata["token_endpoint"], refresh_token=second[REFRESH_TOKEN])


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_that_speaks_for_itself(doorward: RunningDoorward, method: str) -> None:
    made = doorward.admin("client", "add", "--grant", "client_credentials", "--scope", "tools:read")
    given = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    async with open_client(doorward, token_endpoint_auth_method=method, **given) as (client, metadata):
        tokens = await client.fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials", resource=doorward.demo
        )
        assert (tokens["token_type"], tokens["scope"], tokens.get(REFRESH_TOKEN)) == ("Bearer", "tools:read", None)


async def test_a_client_that_proves_itself_by_its_key_and_by_no_assertion_twice(
    doorward: RunningDoorward, keyed: tuple[str, ECKey]
) -> None:
    client_id, key = keyed
    async with open_client(
        doorward, client_id=client_id, client_secret=key, token_endpoint_auth_method="private_key_jwt"
    ) as (client, metadata):
        # Today's audience and a short life; by default Authlib sends the token endpoint, and an hour.
        soon = {"exp": int(time.time()) + 60}
        proof = PrivateKeyJWT(metadata["issuer"], claims=soon, headers={"kid": key.kid}, alg="ES256")
        client.register_client_auth_method(proof)
        ask = {"grant_type": "client_credentials", "resource": doorward.demo}
        tokens = await client.fetch_token(metadata["token_endpoint"], **ask)
        assert (tokens["token_type"], tokens["scope"]) == ("Bearer", "tools:read")
        # Given claims of its own, Authlib gives all its assertions one id, and a second one is a replay.
        with pytest.raises(OAuthError, match="it was used before"):
            await client.fetch_token(metadata["token_endpoint"], **ask)


async def test_the_token_endpoint_as_audience_is_refused_cau_08(
    doorward: RunningDoorward, keyed: tuple[str, ECKey]
) -> None:
    client_id, key = keyed
    async with open_client(
        doorward, client_id=client_id, client_secret=key, token_endpoint_auth_method="private_key_jwt"
    ) as (client, metadata):
        soon = {"exp": int(time.time()) + 60}
        proof = PrivateKeyJWT(metadata["token_endpoint"], claims=soon, headers={"kid": key.kid}, alg="ES256")
        client.register_client_auth_method(proof)
        with pytest.raises(OAuthError, match="invalid_client"):
            await client.fetch_token(
                metadata["token_endpoint"], grant_type="client_credentials", resource=doorward.demo
            )


async def test_a_device_is_let_in_by_a_person(tmp_path: Path, fresh_browser: FormBrowser) -> None:
    server = start_doorward(tmp_path / "data", "--demo")
    try:
        server.admin("project", "set", "device_flow=true")
        async with open_client(server, token_endpoint_auth_method="none") as (client, metadata):
            await register(client, metadata, grant_types=[DEVICE, REFRESH_TOKEN], redirect_uris=[])
            form = {"client_id": client.client_id, "resource": server.demo, "scope": "tools:read"}
            endpoint = metadata["device_authorization_endpoint"]
            device = (await client.request("POST", endpoint, data=form, withhold_token=True)).json()
            ask = {"grant_type": DEVICE, "device_code": device["device_code"]}
            await fresh_browser.person.let_in_device(device["verification_uri"] + "?user_code=" + device["user_code"])
            tokens = await client.fetch_token(metadata["token_endpoint"], **ask)
            assert (tokens["token_type"], tokens["scope"]) == ("Bearer", "tools:read")
            with pytest.raises(OAuthError, match="invalid_grant"):
                await client.fetch_token(metadata["token_endpoint"], **ask)
    finally:
        assert server.stop() == 0


async def test_a_token_is_exchanged_for_one_for_another_server_tx_01_tx_05(doorward: RunningDoorward) -> None:
    other = "https://files.example.com/mcp"
    doorward.admin("resource", "add", other, "--scope", "tools:read")
    grants = ("--grant", "client_credentials", "--grant", "token-exchange")
    made = doorward.admin("client", "add", *grants, "--name", "Notes server")
    doorward.admin("exchange", "add", made["client_id"], "--to", other, "--scope", "tools:read")
    given = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    async with open_client(doorward, token_endpoint_auth_method="client_secret_basic", **given) as (client, metadata):
        endpoint = metadata["token_endpoint"]
        held = await client.fetch_token(endpoint, grant_type="client_credentials", resource=doorward.demo)
        ask = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": held["access_token"],
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        tokens = await client.fetch_token(endpoint, **ask, resource=other)
        assert tokens["issued_token_type"] == ask["subject_token_type"]
        assert (tokens["token_type"], tokens["scope"], tokens.get(REFRESH_TOKEN)) == ("Bearer", "tools:read", None)
        with pytest.raises(OAuthError, match="invalid_target"):
            await client.fetch_token(endpoint, **ask, resource=doorward.demo)
