"""doorward.client.agents: what each grant without a person asks for, and of whom."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest

from doorward.client.agents import (
    AgentGrant,
    ClientCredentials,
    IdentityAssertion,
    IdentityProvider,
    WorkloadIdentity,
)
from doorward.client.documents import ServerMetadata
from doorward.client.effects import Answer, Obtain, Send
from doorward.client.errors import TokenRequestFailed
from doorward.oauth.assertions import verify_client_assertion
from doorward.oauth.jwt import generate_signing_key, parse_jwks

NOW = 1_800_000_000.0
RESOURCE = "https://mcp.example/mcp"
SCOPE = ("read", "write")
SERVER = ServerMetadata("https://auth.example")
PROVIDER = IdentityProvider(token_endpoint="https://idp.example/oauth/token", client_id="app at the idp")
GIVEN = {"access_token": "the.id.jag", "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag"}
ID_JAG = {**GIVEN, "token_type": "N_A"}


def run(grant: AgentGrant, *answers: Answer, scope: tuple[str, ...] = SCOPE) -> tuple[dict[str, str], list[Send]]:
    """The form that a grant makes, and what it sent before; callables are called as the session would."""
    flow, sent, left = grant.build_form(SERVER, RESOURCE, scope, now=NOW), [], list(answers)
    result: object = None
    try:
        while True:
            effect = flow.send(result)
            if isinstance(effect, Obtain):
                result = effect.fetch()
            else:
                assert isinstance(effect, Send)
                sent.append(effect)
                result = left.pop(0)
    except StopIteration as end:
        return cast("dict[str, str]", end.value), sent


def answer(members: Any, status: int = 200) -> Answer:
    return Answer(status, (("content-type", "application/json"),), json.dumps(members).encode(), NOW)


def identity(provider: IdentityProvider = PROVIDER, fetch: Callable[[], str] = lambda: "an id token") -> AgentGrant:
    return IdentityAssertion(identity_provider=provider, fetch_subject_token=fetch)


def form_of(sent: Send) -> dict[str, str]:
    assert sent.body is not None
    return dict(parse_qsl(sent.body.decode(), strict_parsing=True))


def test_a_program_asks_for_itself_with_resource_and_scope_cc_03() -> None:
    expected = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": "read write"}
    assert run(ClientCredentials()) == (expected, [])
    assert run(ClientCredentials(), scope=()) == ({"grant_type": "client_credentials", "resource": RESOURCE}, [])


def test_the_identity_provider_is_asked_for_an_assertion_for_that_server_jag_18() -> None:
    form, (sent,) = run(identity(), answer(ID_JAG))
    assert (sent.method, sent.url) == ("POST", PROVIDER.token_endpoint)
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form_of(sent) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "audience": SERVER.issuer,
        "resource": RESOURCE,
        "scope": "read write",
        "subject_token": "an id token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "client_id": "app at the idp",
    }
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "the.id.jag",
        "resource": RESOURCE,
        "scope": "read write",
    }


def test_a_client_is_at_the_identity_provider_who_it_is_for_sign_in_jag_18() -> None:
    key = generate_signing_key()
    known: dict[str, Any] = {
        "token_endpoint": PROVIDER.token_endpoint,
        "client_id": "app",
        "issuer": "https://idp.example",
    }
    _, (basic,) = run(identity(IdentityProvider(**known, client_secret="s")), answer(ID_JAG))
    posted = IdentityProvider(**known, client_secret="s", token_endpoint_auth_method="client_secret_post")
    _, (post,) = run(identity(posted), answer(ID_JAG))
    _, (signed,) = run(identity(IdentityProvider(**known, signing_key=key)), answer(ID_JAG))
    assert basic.headers["authorization"].startswith("Basic ")
    assert "authorization" not in {**post.headers, **signed.headers}
    assert form_of(post)["client_secret"] == "s"
    keys = parse_jwks({"keys": [key.public_jwk()]})
    verified = verify_client_assertion(
        form_of(signed)["client_assertion"], keys, accepts_audience="https://idp.example".__eq__, now=int(NOW)
    )
    assert verified.client_id == "app"


def test_an_identity_provider_that_a_key_signs_for_has_to_be_named() -> None:
    with pytest.raises(ValueError, match="issuer"):
        IdentityProvider(token_endpoint=PROVIDER.token_endpoint, client_id="app", signing_key=generate_signing_key())


@pytest.mark.parametrize(
    "members",
    [
        {},
        [],
        GIVEN,
        {**ID_JAG, "token_type": "Bearer"},
        {**ID_JAG, "token_type": 7},
        {**ID_JAG, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"},
        {**ID_JAG, "access_token": ""},
        {**ID_JAG, "access_token": {"a": "b"}},
    ],
)
def test_an_answer_of_another_kind_is_no_assertion_jag_18(members: Any) -> None:
    with pytest.raises(TokenRequestFailed, match="not an ID-JAG"):
        run(identity(), answer(members))


def test_a_refusal_of_the_identity_provider_ends_it_with_its_code_jag_18() -> None:
    refusal = {"error": "insufficient_user_authentication", "error_description": "an id token is too old"}
    with pytest.raises(TokenRequestFailed, match="insufficient_user_authentication") as refused:
        run(identity(), answer(refusal, 400))
    assert (refused.value.code, refused.value.status) == ("insufficient_user_authentication", 400)
    assert "an id token" not in str(refused.value)
    with pytest.raises(TokenRequestFailed, match="502"):
        run(identity(), Answer(502, (), b"<html>", NOW))


def test_a_workload_is_vouched_for_by_its_platform_to_the_issuer_alone() -> None:
    asked = []

    def fetch(audience: str) -> str:
        asked.append(audience)
        return "platform.s.jwt"

    form, sent = run(WorkloadIdentity(fetch_assertion=fetch))
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "platform.s.jwt",
        "resource": RESOURCE,
        "scope": "read write",
    }
    assert (asked, sent) == ([SERVER.issuer], [])


def test_an_assertion_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    grant = WorkloadIdentity.from_file(file)
    for written in ("first.jwt.x", "second.jwt.y\n"):
        file.write_text(written)
        assert run(grant)[0]["assertion"] == written.strip()


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe", b"x" * 65537])
def test_a_file_without_an_assertion_is_said_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="does not hold an assertion") as refused:
        run(WorkloadIdentity.from_file(file))
    assert "two words" not in str(refused.value)


def test_each_grant_names_its_extension_and_whether_it_needs_a_client_id_jag_19() -> None:
    workload = WorkloadIdentity(fetch_assertion=str)
    assert {(grant.extension, grant.needs_client_id) for grant in (ClientCredentials(), identity(), workload)} == {
        ("io.modelcontextprotocol/oauth-client-credentials", True),
        ("io.modelcontextprotocol/enterprise-managed-authorization", True),
        (None, False),
    }


def test_no_grant_shows_its_secrets_when_it_is_printed() -> None:
    provider = IdentityProvider(token_endpoint="https://idp.example/token", client_id="app", client_secret="SECRET")
    assert "SECRET" not in repr(IdentityAssertion(identity_provider=provider, fetch_subject_token=lambda: "x"))
