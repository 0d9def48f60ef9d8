"""IntrospectionVerifier: the issuer's word, checked, remembered for seconds, and missed without blaming the token."""

import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest

from doorward.oauth.jwt import InvalidToken
from doorward.resource import IntrospectionVerifier, VerifierUnavailable
from doorward.resource.introspection import MAX_CACHED_ANSWERS
from tests.resource.possession import Holder
from tests.resource.world import RESOURCE, Clock, Echo, Mint, TinyIssuer, browse, run_issuer

NOW = 1_800_000_000


@pytest.fixture
async def issuer() -> AsyncIterator[TinyIssuer]:
    async with run_issuer() as running:
        running.opaque["good"] = active(running)
        yield running


def active(issuer: TinyIssuer, **changes: Any) -> dict[str, Any]:
    answer = {
        "active": True,
        "iss": issuer.url,
        "aud": RESOURCE,
        "sub": "alice",
        "client_id": "app",
        "scope": "tools:read",
        "token_type": "Bearer",
        "exp": NOW + 900,
        "iat": NOW,
    } | changes
    return {name: value for name, value in answer.items() if value is not ...}


def make(issuer: TinyIssuer, **options: Any) -> IntrospectionVerifier:
    settings = {"issuer": issuer.url, "resource": RESOURCE, "key": "mbk_key", "clock": Clock(NOW), **options}
    return IntrospectionVerifier(**settings)


async def test_an_active_token_speaks_for_a_principal_rs_07(issuer: TinyIssuer) -> None:
    async with make(issuer) as verifier:
        principal = await verifier.verify("good")
    assert principal.identity == (issuer.url, "alice", "app")
    assert (principal.scopes, principal.audience, principal.expires_at) == (("tools:read",), RESOURCE, NOW + 900)
    assert issuer.introspected == [("Bearer mbk_key", "good")]


async def test_client_credentials_are_sent_form_encoded_as_basic(issuer: TinyIssuer) -> None:
    async with make(issuer, key=None, client_id="rs:1", client_secret="s e+c") as verifier:
        await verifier.verify("good")
    assert issuer.introspected[0][0] == f"Basic {b64encode(b'rs%3A1:s+e%2Bc').decode()}"


async def test_a_given_endpoint_saves_discovery(issuer: TinyIssuer) -> None:
    async with make(issuer, introspection_endpoint=f"{issuer.url}/introspect") as verifier:
        await verifier.verify("good")
    assert issuer.seen == {"/introspect": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"active": ...},
        {"active": "true"},
        {"active": 1},
        {"iss": "https://evil.test"},
        {"aud": ...},
        {"aud": None},
        {"aud": []},
        {"aud": "https://api.test"},
        {"aud": "https://api.test/mcp/admin"},
        {"aud": ["https://other.test"]},
        {"aud": {"a": 1}},
        {"exp": ...},
        {"exp": NOW - 30},
        {"exp": str(NOW + 900)},
        {"exp": True},
        {"nbf": NOW + 31},
        {"nbf": "soon"},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"client_id": ...},
        {"client_id": None},
        {"scope": ["tools:read"]},
        {"scope": 'a"b'},
        {"token_type": "DPoP"},
        {"token_type": "refresh_token"},
        {"cnf": {"jkt": "abc"}},
    ],
)
async def test_an_answer_that_does_not_fit_makes_the_token_invalid_rs_03_rs_13(
    issuer: TinyIssuer, changes: dict[str, Any]
) -> None:
    issuer.opaque["other"] = active(issuer, **changes)
    async with make(issuer) as verifier:
        with pytest.raises(InvalidToken):
            await verifier.verify("other")


@pytest.mark.parametrize(
    "changes",
    [{"iss": ...}, {"token_type": ...}, {"scope": ...}, {"aud": [RESOURCE, "https://x.test"]}, {"aud": f"{RESOURCE}/"}],
)
async def test_what_the_rfc_leaves_open_may_be_left_out(issuer: TinyIssuer, changes: dict[str, Any]) -> None:
    issuer.opaque["other"] = active(issuer, **changes)
    async with make(issuer) as verifier:
        assert (await verifier.verify("other")).subject == "alice"


@pytest.mark.parametrize("token", ["", "é", "x" * 8193])
async def test_what_cannot_be_a_token_is_not_asked_about_t48(issuer: TinyIssuer, token: str) -> None:
    async with make(issuer) as verifier:
        with pytest.raises(InvalidToken):
            await verifier.verify(token)
    assert not issuer.seen


async def test_answers_are_remembered_for_seconds_and_revocation_is_felt_after_them(issuer: TinyIssuer) -> None:
    clock = Clock(NOW)
    async with make(issuer, clock=clock) as verifier:
        for _ in range(10):
            await verifier.verify("good")
            with pytest.raises(InvalidToken):
                await verifier.verify("unknown")
        assert issuer.seen["/introspect"] == 2
        issuer.opaque.clear()
        clock.now += 4.9
        await verifier.verify("good")
        clock.now += 0.1
        with pytest.raises(InvalidToken):
            await verifier.verify("good")


async def test_a_bound_token_needs_its_proof_whatever_is_remembered_of_it_dpop_07_rs_13(issuer: TinyIssuer) -> None:
    mint = Mint(issuer.url)
    holder, thief = Holder(mint), Holder(mint)
    holder.token = thief.token = "opaque"
    issuer.opaque["opaque"] = active(issuer, token_type="DPoP", cnf={"jkt": holder.jkt})
    bearer = {"Authorization": "Bearer opaque"}
    app = Echo()
    async with make(issuer) as verifier, browse(mint.protect(app, verifier=verifier, insecure_http=True)) as client:
        statuses = [
            (await client.get("/mcp", headers=headers)).status_code
            for headers in (bearer, holder.headers(), bearer, thief.headers(), holder.headers(), holder.headers("POST"))
        ]
    assert (statuses, app.calls) == ([401, 200, 401, 401, 200, 401], 2)
    assert len(issuer.introspected) == 1


@pytest.mark.parametrize("changes", [{"token_type": "DPoP"}, {"token_type": "mac", "cnf": {"jkt": ...}}, {}])
async def test_what_the_issuer_calls_bound_to_no_key_is_refused_with_a_proof_dpop_07(
    issuer: TinyIssuer, changes: dict[str, Any]
) -> None:
    mint = Mint(issuer.url)
    holder = Holder(mint)
    holder.token = "opaque"
    if "cnf" in changes:
        changes = changes | {"cnf": {"jkt": holder.jkt}}
    issuer.opaque["opaque"] = active(issuer, **changes)
    async with make(issuer) as verifier, browse(mint.protect(Echo(), verifier=verifier)) as client:
        response = await client.get("/mcp", headers=holder.headers())
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")


async def test_a_key_binds_a_token_whatever_its_type_is_called_dpop_07(issuer: TinyIssuer) -> None:
    mint = Mint(issuer.url)
    holder = Holder(mint)
    holder.token = "opaque"
    for changes in ({"token_type": ...}, {"token_type": "dpop"}, {"token_type": "Bearer"}):
        issuer.opaque["opaque"] = active(issuer, cnf={"jkt": holder.jkt}, **changes)
        async with make(issuer) as verifier, browse(mint.protect(Echo(), verifier=verifier)) as client:
            assert (await client.get("/mcp", headers=holder.headers())).status_code == 200


async def test_an_answer_is_never_remembered_past_the_tokens_expiry_rs_07(issuer: TinyIssuer) -> None:
    clock = Clock(NOW)
    issuer.opaque["good"] = active(issuer, exp=NOW + 2)
    async with make(issuer, clock=clock) as verifier:
        await verifier.verify("good")
        clock.now += 2
        issuer.opaque.clear()
        with pytest.raises(InvalidToken):
            await verifier.verify("good")


async def test_memory_is_bounded_i13() -> None:
    async def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"active": False})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        verifier = IntrospectionVerifier(
            issuer="https://auth.test",
            resource=RESOURCE,
            introspection_endpoint="https://auth.test/introspect",
            key="k",
            http_client=client,
            clock=Clock(NOW),
        )
        for number in range(MAX_CACHED_ANSWERS + 50):
            with pytest.raises(InvalidToken):
                await verifier.verify(f"token-{number}")
        assert len(verifier._answers) == MAX_CACHED_ANSWERS
        await verifier.aclose()
        assert not client.is_closed


async def test_an_outage_is_an_outage_with_the_issuers_own_wish(issuer: TinyIssuer) -> None:
    clock = Clock(NOW)
    async with make(issuer, clock=clock) as verifier:
        await verifier.verify("good")
        issuer.down = True
        await verifier.verify("good")
        clock.now += 5
        with pytest.raises(VerifierUnavailable) as caught:
            await verifier.verify("good")
        assert caught.value.retry_after == 7
        issuer.down = False
        assert (await verifier.verify("good")).subject == "alice"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 500, 502])
async def test_when_our_own_credentials_fail_no_token_is_called_bad(issuer: TinyIssuer, status: int) -> None:
    issuer.overrides["/introspect"] = (status, {"location": f"{issuer.url}/jwks", "retry-after": "later"}, b"{}")
    async with make(issuer) as verifier:
        with pytest.raises(VerifierUnavailable) as caught:
            await verifier.verify("good")
    assert caught.value.retry_after == 5
    assert issuer.seen["/jwks"] == 0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"active":' * 100_000, b'{"pad": "' + b"x" * 300_000 + b'"}']
)
async def test_an_unreadable_answer_is_an_outage(issuer: TinyIssuer, body: bytes) -> None:
    issuer.overrides["/introspect"] = (200, {}, body)
    async with make(issuer) as verifier:
        with pytest.raises(VerifierUnavailable):
            await verifier.verify("good")


async def test_many_at_once_are_all_answered(issuer: TinyIssuer) -> None:
    seen = []
    async with make(issuer) as verifier:

        async def ask() -> None:
            seen.append((await verifier.verify("good")).subject)

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ask)
    assert seen == ["alice"] * 50


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"key": ""},
        {"key": "k", "client_id": "c", "client_secret": "s"},
        {"client_id": "c"},
        {"client_secret": "s"},
        {"key": "k", "client_secret": "s"},
    ],
)
def test_exactly_one_kind_of_credentials_is_given(credentials: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either key, or client_id and client_secret"):
        IntrospectionVerifier(issuer="https://auth.test", resource=RESOURCE, **credentials)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("issuer", "http://auth.test"),
        ("issuer", ""),
        ("resource", ""),
        ("introspection_endpoint", "http://auth.test/introspect"),
    ],
)
def test_a_key_is_not_sent_in_the_clear_rs_14(name: str, value: str) -> None:
    settings: dict[str, Any] = {"issuer": "https://auth.test", "resource": RESOURCE, "key": "k", name: value}
    with pytest.raises(ValueError, match=name):
        IntrospectionVerifier(**settings)


async def test_the_wall_clock_is_the_default(issuer: TinyIssuer) -> None:
    issuer.opaque["good"] = active(issuer, exp=int(time.time()) + 900)
    issuer.opaque["old"] = active(issuer, exp=int(time.time()) - 900)
    async with IntrospectionVerifier(issuer=issuer.url, resource=RESOURCE, key="k") as verifier:
        assert (await verifier.verify("good")).subject == "alice"
        with pytest.raises(InvalidToken):
            await verifier.verify("old")
