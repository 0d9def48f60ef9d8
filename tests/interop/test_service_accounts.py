"""The official SDK's providers for programs without a person, unmodified, against a running server.

Spec: CC-02, CC-03, CC-06
"""

import json
from pathlib import Path

import pytest
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)

from doorward.oauth.jwt import generate_signing_key
from tests.interop.clients import Storage, connect_with
from tests.interop.tools import book, use_tools
from tests.running import RunningDoorward

GRANT = ("client", "add", "--grant", "client_credentials")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_program_with_a_secret_uses_tools_cc_03(doorward: RunningDoorward, method: str) -> None:
    added = doorward.admin(*GRANT, "--name", "Nightly", "--scope", "tools:read tools:write")
    storage = Storage()
    provider = ClientCredentialsOAuthProvider(
        doorward.demo,
        storage,
        added["client_id"],
        added["client_secret"],
        token_endpoint_auth_method="client_secret_post" if method == "client_secret_post" else "client_secret_basic",
        scope="tools:read tools:write",
        issuer=doorward.issuer,
    )
    async with connect_with(doorward.demo, provider) as client:
        await use_tools(client)
        assert await book(client) == "DW101"
    assert storage.tokens is not None
    assert (storage.tokens.refresh_token, storage.tokens.scope) == (None, "tools:read tools:write")


async def test_a_program_with_a_key_of_its_own_uses_tools_cc_03_06(doorward: RunningDoorward, tmp_path: Path) -> None:
    key = generate_signing_key("RS256")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [key.public_jwk()]}))
    added = doorward.admin(*GRANT, "--jwks-file", str(jwks))
    signed = SignedJWTParameters(
        issuer=added["client_id"],
        subject=added["client_id"],
        signing_key=key.key.as_pem(private=True).decode(),  # type: ignore[union-attr]  # an RSA key has a PEM
    )
    provider = PrivateKeyJWTOAuthProvider(
        doorward.demo, Storage(), added["client_id"], signed.create_assertion_provider(), issuer=doorward.issuer
    )
    async with connect_with(doorward.demo, provider) as client:
        await use_tools(client)
