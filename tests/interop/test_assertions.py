"""The official SDKs' providers for enterprises, and a job with no more than curl, against a running server; an identity
provider and a platform of the test sign for them.

Spec: JAG-02, JAG-07, JAG-10, JAG-12, WIF-01, WIF-04
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

from doorward.oauth.scopes import parse_scope
from tests.interop.clients import PATIENCE_SECONDS, Storage, call_with, connect_with
from tests.interop.node.programs import FOLDER, find_node, run_node
from tests.interop.tools import TOOLS, book, use_tools
from tests.running import ADMIN_EMAIL, RunningDoorward, start_doorward
from tests.server.issuers import IDP, JWT_BEARER, PLATFORM, REPOSITORY, SUBJECT, Issuer
from tests.server.steps import claims_of

IDENTITY, JOBS = Issuer(IDP), Issuer(PLATFORM)


@dataclass(frozen=True)
class Trusting:
    """A server that trusts both, and the client that the enterprise made known there."""

    server: RunningDoorward
    trust_id: str
    client_id: str
    client_secret: str


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    folder = tmp_path_factory.mktemp("trusting")
    server = start_doorward(folder / "data", "--demo")
    for issuer, name in ((IDENTITY, "idp"), (JOBS, "jobs")):
        (folder / f"{name}.json").write_text(json.dumps(issuer.jwks))
    trust = ("trust", "add")
    server.admin(*trust, IDP, "--kind", "id-jag", "--jwks-file", str(folder / "idp.json"), "--subject-by", "email")
    rules = ("--claim", f"repository={REPOSITORY}", "--resource", server.demo, "--scope", "tools:read")
    added = server.admin(*trust, PLATFORM, "--kind", "workload", "--jwks-file", str(folder / "jobs.json"), *rules)
    made = server.admin("client", "add", "--name", "Assistant", "--confidential", "--grant", JWT_BEARER)
    yield Trusting(server, added["trust_id"], made["client_id"], made["client_secret"])
    assert server.stop() == 0


def times() -> dict[str, Any]:
    now = int(time.time())
    return {"jti": str(uuid4()), "iat": now, "exp": now + 300}


def sign_id_jag(trusting: Trusting, audience: str, resource: str, scope: str) -> str:
    """As an identity provider does that was asked for exactly this."""
    claims = {
        "iss": IDP,
        "sub": SUBJECT,
        "email": ADMIN_EMAIL,
        "aud": audience,
        "resource": resource,
        "client_id": trusting.client_id,
        "scope": scope,
        **times(),
    }
    return IDENTITY.sign(claims, typ="oauth-id-jag+jwt")


def sign_job(audience: str) -> str:
    """As a platform does for one of its jobs."""
    subject = f"repo:{REPOSITORY}:ref:refs/heads/main"
    return JOBS.sign({"iss": PLATFORM, "sub": subject, "repository": REPOSITORY, "aud": audience, **times()})


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_the_python_sdk_gets_in_by_an_assertion_and_steps_up_by_another_jag_02_10_12(
    trusting: Trusting, method: Any
) -> None:
    storage, asked = Storage(), []

    async def fetch_id_jag(audience: str, resource: str) -> str:
        asked.append((audience, resource))
        return sign_id_jag(trusting, audience, resource, "tools:read" if len(asked) == 1 else "tools:read tools:write")

    provider = IdentityAssertionOAuthProvider(
        trusting.server.demo,
        storage,
        trusting.client_id,
        trusting.client_secret,
        trusting.server.issuer,
        fetch_id_jag,
        token_endpoint_auth_method=method,
    )
    async with connect_with(trusting.server.demo, provider) as client:
        await use_tools(client)
        assert storage.tokens is not None
        assert storage.tokens.scope == "tools:read"
        assert await book(client) == "DW101"
    assert parse_scope(storage.tokens.scope or "") == ("tools:read", "tools:write")
    assert storage.tokens.refresh_token is None
    assert asked == [(trusting.server.issuer, trusting.server.demo)] * 2


async def run_sdk(trusting: Trusting, kind: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What assertions the TypeScript SDK wanted, and what came of them."""
    find_node()
    server = trusting.server
    given = {"url": server.demo, "kind": kind, "issuer": server.issuer}
    known = {"clientId": trusting.client_id, "clientSecret": trusting.client_secret}
    wanted: list[dict[str, Any]] = []
    async with run_node(FOLDER / "asserted.mjs", json.dumps({**given, **known})) as app:
        while "wanted" in (event := await app.listen()):
            wanted.append(event["wanted"])
            if kind == "workload":
                await app.tell(sign_job(server.issuer))
            else:
                await app.tell(sign_id_jag(trusting, **wanted[-1]))
        assert await app.process.wait() == 0
    return wanted, event


async def test_the_typescript_sdk_gets_in_by_cross_app_access_jag_02_07_10(trusting: Trusting) -> None:
    (wanted,), told = await run_sdk(trusting, "id-jag")
    assert (wanted["audience"], wanted["resource"]) == (trusting.server.issuer, trusting.server.demo)
    assert told.get("error") is None
    assert set(told["tools"]) == TOOLS
    assert [quote["symbol"] for quote in told["quotes"]["quotes"]] == ["DOOR"]
    assert "refresh_token" not in told["tokens"]


async def test_the_typescript_sdk_gets_a_job_in_without_a_client_wif_01(trusting: Trusting) -> None:
    _, told = await run_sdk(trusting, "workload")
    assert told.get("error") is None
    assert set(told["tools"]) == TOOLS
    assert told["tokens"]["scope"] == "tools:read"
    assert claims_of(told["tokens"]["access_token"])["client_id"] == trusting.trust_id


@pytest.mark.parametrize("audience", ["issuer", "token endpoint"])
async def test_a_job_needs_no_more_than_curl_wif_01_04(trusting: Trusting, audience: str, tmp_path: Path) -> None:
    server = trusting.server
    endpoint = f"{server.issuer}/api/oauth/token"
    assertion = tmp_path / "assertion"
    assertion.write_text(sign_job(server.issuer if audience == "issuer" else endpoint))
    fields = ["-d", f"grant_type={JWT_BEARER}", "-d", f"resource={server.demo}"]
    command = ["curl", "-s", endpoint, *fields, "--data-urlencode", f"assertion@{assertion}"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    tokens = json.loads(done.stdout)
    assert (tokens["token_type"], tokens["scope"]) == ("Bearer", "tools:read")
    assert (await call_with(server.demo, tokens["access_token"])).status_code == 200
