"""`doorward.client` without a person at the client, against a running server.

An identity provider and a platform of the test vouch for people and jobs.
"""

import json
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from doorward.client import (
    ClientCredentials,
    DoorwardClient,
    IdentityAssertion,
    IdentityProvider,
    MemoryStore,
    TokenRequestFailed,
    WorkloadIdentity,
    load_signing_key,
)
from doorward.oauth.jwt import generate_signing_key
from tests.interop.tools import book, use_tools
from tests.resource.world import bind, serve
from tests.running import ADMIN_EMAIL, RunningDoorward
from tests.server.issuers import IDP, JWT_BEARER, PLATFORM, REPOSITORY, SUBJECT, Issuer

IDENTITY, JOBS = Issuer(IDP), Issuer(PLATFORM)
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
SIGN_IN_CLIENT, SIGN_IN_SECRET = "assistant at the idp", "its secret"


def connect(server: RunningDoorward, **options: Any) -> DoorwardClient:
    return DoorwardClient(server.demo, store=MemoryStore(), **options)


def grant(*names: str) -> tuple[str, ...]:
    return ("client", "add", "--name", "Nightly", *(word for name in names for word in ("--grant", name)))


async def test_a_program_with_a_secret_gets_in_and_steps_up_cc_03(doorward: RunningDoorward) -> None:
    made = doorward.admin(*grant("client_credentials"), "--scope", "tools:read tools:write")
    known = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    async with connect(doorward, agent=ClientCredentials(), scopes=["tools:read"], **known) as client:
        await use_tools(client)
        assert await book(client) == "DW101"


async def test_a_program_with_a_key_gets_in_cc_03_cli_08(doorward: RunningDoorward, tmp_path: Path) -> None:
    key = generate_signing_key("EdDSA")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [key.public_jwk()]}))
    made = doorward.admin(*grant("client_credentials"), "--jwks-file", str(jwks))
    signing_key = load_signing_key(key.private_jwk())
    known = {"client_id": made["client_id"], "signing_key": signing_key, "issuer": doorward.issuer}
    async with connect(doorward, agent=ClientCredentials(), **known) as client:
        await use_tools(client)


@dataclass
class SignInService:
    """The identity provider: knows the client for sign-in, and vouches for the person who did."""

    client_id: str
    """Of the same client, at the authorization server."""
    asked: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, request: Request) -> JSONResponse:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.asked.append(form)
        credentials = request.headers["authorization"].removeprefix("Basic ")
        assert b64decode(credentials) == b"assistant%20at%20the%20idp:its%20secret"
        if form["subject_token"] != "signed in":
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        claims = {
            "iss": IDP,
            "sub": SUBJECT,
            "email": ADMIN_EMAIL,
            "aud": form["audience"],
            "resource": form["resource"],
            "client_id": self.client_id,
            "scope": form["scope"],
            **times(),
        }
        jag = IDENTITY.sign(claims, typ="oauth-id-jag+jwt")
        return JSONResponse({"access_token": jag, "issued_token_type": ID_JAG, "token_type": "N_A", "expires_in": 300})


def times() -> dict[str, Any]:
    now = int(time.time())
    return {"jti": str(uuid4()), "iat": now, "exp": now + 300}


@asynccontextmanager
async def identity_provider(client_id: str) -> AsyncIterator[tuple[SignInService, IdentityProvider]]:
    service, (listener, origin) = SignInService(client_id), bind()
    app = Starlette(routes=[Route("/token", service.__call__, methods=["POST"])])
    with listener:
        async with serve(app, listener):
            yield (
                service,
                IdentityProvider(
                    token_endpoint=f"{origin}/token", client_id=SIGN_IN_CLIENT, client_secret=SIGN_IN_SECRET
                ),
            )


@pytest.fixture(scope="module")
def assistant(doorward: RunningDoorward, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A client that the enterprise made known, at a server that trusts its identity provider."""
    jwks = tmp_path_factory.mktemp("idp") / "jwks.json"
    jwks.write_text(json.dumps(IDENTITY.jwks))
    doorward.admin("trust", "add", IDP, "--kind", "id-jag", "--jwks-file", str(jwks), "--subject-by", "email")
    made = doorward.admin("client", "add", "--name", "Assistant", "--confidential", "--grant", JWT_BEARER)
    return {"client_id": made["client_id"], "client_secret": made["client_secret"]}


async def test_an_enterprise_lets_its_people_in_without_a_page_jag_18_19(
    doorward: RunningDoorward, assistant: dict[str, str]
) -> None:
    async with identity_provider(assistant["client_id"]) as (service, provider):
        agent = IdentityAssertion(identity_provider=provider, fetch_subject_token=lambda: "signed in")
        async with connect(doorward, agent=agent, scopes=["tools:read"], **assistant) as client:
            await use_tools(client)
            assert await book(client) == "DW101"
    assert [asked["scope"] for asked in service.asked] == ["tools:read", "tools:read tools:write"]
    assert {(asked["audience"], asked["resource"]) for asked in service.asked} == {(doorward.issuer, doorward.demo)}


async def test_who_is_not_signed_in_at_the_enterprise_stays_out_jag_18(
    doorward: RunningDoorward, assistant: dict[str, str]
) -> None:
    async def fetch() -> str:
        return "long ago"

    async with identity_provider(assistant["client_id"]) as (service, provider):
        agent = IdentityAssertion(identity_provider=provider, fetch_subject_token=fetch)
        async with connect(doorward, agent=agent, **assistant) as client:
            with pytest.raises(TokenRequestFailed, match="identity provider") as refused:
                await client.list_tools()
    assert refused.value.code == "invalid_grant"
    assert len(service.asked) == 1


@pytest.fixture(scope="module")
def trusting(doorward: RunningDoorward, tmp_path_factory: pytest.TempPathFactory) -> RunningDoorward:
    """A server that lets the jobs of one repository read."""
    jwks = tmp_path_factory.mktemp("jobs") / "jwks.json"
    jwks.write_text(json.dumps(JOBS.jwks))
    rules = ("--claim", f"repository={REPOSITORY}", "--resource", doorward.demo, "--scope", "tools:read")
    doorward.admin("trust", "add", PLATFORM, "--kind", "workload", "--jwks-file", str(jwks), *rules)
    return doorward


def sign_job(audience: str, repository: str = REPOSITORY) -> str:
    claims = {"iss": PLATFORM, "sub": f"repo:{repository}", "repository": repository, "aud": audience, **times()}
    return JOBS.sign(claims)


async def test_a_job_gets_in_by_what_its_platform_left_in_a_file(trusting: RunningDoorward, tmp_path: Path) -> None:
    file = tmp_path / "assertion"
    file.write_text(sign_job(trusting.issuer) + "\n")
    async with connect(trusting, agent=WorkloadIdentity.from_file(file)) as client:
        await use_tools(client)


async def test_a_refused_job_asks_once_and_by_no_other_grant_wif_08(trusting: RunningDoorward) -> None:
    audiences = []

    def fetch(audience: str) -> str:
        audiences.append(audience)
        return sign_job(audience, "somebody/else")

    async with connect(trusting, agent=WorkloadIdentity(fetch_assertion=fetch)) as client:
        with pytest.raises(TokenRequestFailed) as refused:
            await client.list_tools()
    assert (refused.value.code, refused.value.status) == ("invalid_grant", 400)
    assert audiences == [trusting.issuer]
