"""The client that the official MCP conformance suite is run against: gets in, lists the tools and calls one.

    pip install '.[client]'                         # in a checkout, where ./dev has done it
    npm ci --prefix tests/conformance               # the suite
    npx --prefix tests/conformance conformance client --suite auth --command "python examples/conformance_client.py"

The suite starts it once for each scenario, as `python examples/conformance_client.py SERVER_URL`, with the scenario's
name and what a client was given beforehand in the environment. Other suites of it are `extensions` and `backcompat`.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from doorward.client import (
    ClientCredentials,
    ClientError,
    DoorwardClient,
    IdentityAssertion,
    IdentityProvider,
    MemoryStore,
    ShowUserCode,
    WorkloadIdentity,
    load_signing_key,
)

CLIENT_METADATA_URL = "https://conformance-test.local/client-metadata.json"


class QuickBrowser:
    """An `Interaction` with an authorization endpoint that asks nobody and answers at once, as the suite's does."""

    uses_device_grant = False
    redirect_uri = "http://127.0.0.1:8765/callback"

    @asynccontextmanager
    async def open(self, *, registered: tuple[str, ...] = ()) -> AsyncIterator["QuickBrowser"]:
        """Nothing has to be listened on: the answer is read from the redirect."""
        yield self

    async def visit(self, url: str, *, state: str) -> str:
        """The query of the address that the browser would be sent to."""
        async with httpx2.AsyncClient() as http:
            answer = await http.get(url)
        return urlsplit(answer.headers["location"]).query

    async def show_user_code(self, shown: ShowUserCode) -> None:
        """There is nobody to show it to."""
        raise NotImplementedError


def build_client(url: str, scenario: str, given: Mapping[str, Any]) -> DoorwardClient:
    """A client with what `scenario` says it was given: credentials, a key, an identity provider or a platform."""
    options: dict[str, Any] = {
        "client_name": "Doorward conformance client",
        "store": MemoryStore(),
        "interaction": QuickBrowser(),
        "client_id": given.get("client_id"),
        "client_secret": given.get("client_secret"),
        "issuer": given.get("issuer"),
        "dpop": scenario.startswith("auth/dpop"),
    }
    if "private_key_pem" in given:
        options["signing_key"] = load_signing_key(given["private_key_pem"], alg=given["signing_algorithm"])
    if scenario == "auth/basic-cimd":
        options["client_metadata_url"] = CLIENT_METADATA_URL
    if scenario.startswith("auth/client-credentials"):
        options["agent"] = ClientCredentials()
    elif scenario == "auth/enterprise-managed-authorization":
        provider = IdentityProvider(
            issuer=given["idp_issuer"], token_endpoint=given["idp_token_endpoint"], client_id=given["idp_client_id"]
        )
        options["agent"] = IdentityAssertion(
            identity_provider=provider, fetch_subject_token=lambda: str(given["idp_id_token"])
        )
    elif scenario == "auth/wif-jwt-bearer":
        options["agent"] = WorkloadIdentity(fetch_assertion=lambda _: str(given["valid_jwt"]))
    return DoorwardClient(url, **options)


async def run(url: str, scenario: str, given: Mapping[str, Any]) -> str:
    """Get in, list the tools, and call the one there is; what it answers."""
    async with build_client(url, scenario, given) as client:
        tools = await client.list_tools()
        result = await client.call_tool(tools[0].name)
    return json.dumps([part.model_dump(mode="json") for part in result.content])


def main() -> int:
    """The exit code: 0 once the tool answered, 1 with a sentence on stderr where the client must not go on."""
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    given = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    try:
        print(asyncio.run(run(sys.argv[-1], scenario, given)))
    except ClientError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
