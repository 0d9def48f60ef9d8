"""JWKSKeys: keys over real sockets, few fetches, and good tokens that outlive an outage (T34)."""

import json

import anyio
import httpx2
import pytest

from doorward.oauth.jwt import generate_signing_key
from doorward.resource import JWKSKeys, VerifierUnavailable
from tests.resource.world import Clock, TinyIssuer, run_issuer

HOUR = 3600


def make(issuer: TinyIssuer, clock: Clock | None = None, *, jwks_uri: str | None = None) -> JWKSKeys:
    return JWKSKeys(issuer.url, jwks_uri=jwks_uri, clock=clock or Clock())


async def test_the_keys_are_found_through_the_issuers_metadata() -> None:
    async with run_issuer() as issuer:
        found = await make(issuer).find(issuer.mint.key.kid)
        assert found is not None
        assert (found.kid, found.alg) == (issuer.mint.key.kid, "ES256")
        assert issuer.seen == {"/.well-known/oauth-authorization-server": 1, "/jwks": 1}


async def test_a_given_address_of_the_keys_saves_discovery() -> None:
    async with run_issuer() as issuer:
        assert await make(issuer, jwks_uri=f"{issuer.url}/jwks").find(issuer.mint.key.kid)
        assert issuer.seen == {"/jwks": 1}


async def test_a_flood_of_unknown_kids_costs_one_fetch_in_a_cooldown_rs_08_t34() -> None:
    async with run_issuer() as issuer:
        clock = Clock()
        keys = make(issuer, clock)
        assert await keys.find(issuer.mint.key.kid)
        clock.now += 60
        async with anyio.create_task_group() as tasks:
            for number in range(500):
                tasks.start_soon(keys.find, f"made-up-{number}")
        for number in range(9_500):
            assert await keys.find(f"made-up-{number}") is None
        assert issuer.seen["/jwks"] == 2
        assert await keys.find(issuer.mint.key.kid)
        assert issuer.seen["/jwks"] == 2


async def test_a_hundred_first_requests_share_one_fetch() -> None:
    async with run_issuer() as issuer:
        keys = make(issuer)
        found = []

        async def find() -> None:
            found.append(await keys.find(issuer.mint.key.kid))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(find)
        assert len([key for key in found if key]) == 100
        assert issuer.seen["/jwks"] == 1


async def test_a_caller_that_goes_away_does_not_take_the_fetch_along() -> None:
    async with run_issuer() as issuer:
        keys = make(issuer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keys.find, issuer.mint.key.kid)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert await keys.find(issuer.mint.key.kid)
        assert issuer.seen["/jwks"] == 1


async def test_a_key_that_signs_without_notice_is_found_at_its_first_token_rs_08() -> None:
    async with run_issuer() as issuer:
        keys = make(issuer)
        assert await keys.find(issuer.mint.key.kid)
        for _ in range(3):
            new = generate_signing_key()
            issuer.published = [new]
            assert await keys.find(new.kid)
        assert issuer.seen["/jwks"] == 4


async def test_after_a_search_for_nothing_a_new_key_is_found_within_the_cooldown() -> None:
    async with run_issuer() as issuer:
        clock = Clock()
        keys = make(issuer, clock)
        assert await keys.find(issuer.mint.key.kid)
        assert await keys.find("made-up") is None
        new = generate_signing_key()
        issuer.published.append(new)
        assert await keys.find(new.kid) is None
        clock.now += 60
        assert await keys.find(new.kid)


async def test_a_withdrawn_key_stops_working_at_the_next_reading() -> None:
    async with run_issuer() as issuer:
        clock = Clock()
        keys = make(issuer, clock)
        old = issuer.mint.key
        assert await keys.find(old.kid)
        issuer.published = [generate_signing_key()]
        clock.now += 299
        assert await keys.find(old.kid)
        clock.now += 1
        assert await keys.find(old.kid) is None


async def test_the_last_good_keys_outlive_an_outage_for_a_day_i11_t52() -> None:
    async with run_issuer() as issuer:
        clock = Clock()
        keys = make(issuer, clock)
        assert await keys.find(issuer.mint.key.kid)
        issuer.down = True
        clock.now += 24 * HOUR - 1
        assert await keys.find(issuer.mint.key.kid)
        clock.now += 1
        with pytest.raises(VerifierUnavailable):
            await keys.find(issuer.mint.key.kid)


async def test_an_unknown_key_during_an_outage_is_not_called_bad() -> None:
    async with run_issuer() as issuer:
        clock = Clock()
        keys = make(issuer, clock)
        assert await keys.find(issuer.mint.key.kid)
        issuer.down = True
        clock.now += 60
        with pytest.raises(VerifierUnavailable) as caught:
            await keys.find("perhaps-new")
        assert caught.value.retry_after == 5


async def test_it_recovers_some_seconds_after_the_issuer_does_and_asks_no_more_often() -> None:
    async with run_issuer() as issuer:
        clock = Clock()
        keys = make(issuer, clock)
        issuer.down = True
        for _ in range(10):
            with pytest.raises(VerifierUnavailable):
                await keys.find(issuer.mint.key.kid)
        assert sum(issuer.seen.values()) == 1
        issuer.down = False
        clock.now += 5
        assert await keys.find(issuer.mint.key.kid)


HOSTILE_ANSWERS = {
    "not JSON": (200, {}, b"<html>"),
    "a list": (200, {}, b"[]"),
    "no key set": (200, {}, b"{}"),
    "no usable key": (200, {}, b'{"keys": [{"kty": "oct", "kid": "a", "k": "AA"}]}'),
    "nested deeply": (200, {}, b'{"keys":' * 100_000),
    "too long": (200, {}, b'{"keys": [], "pad": "' + b"x" * 300_000 + b'"}'),
    "compressed": (200, {"content-encoding": "gzip"}, b"\x1f\x8b"),
    "redirected": (302, {"location": "/jwks2"}, b""),
    "gone": (404, {}, b""),
    "failing": (500, {}, b""),
}


@pytest.mark.parametrize("name", HOSTILE_ANSWERS)
@pytest.mark.parametrize("path", ["/jwks", "/.well-known/oauth-authorization-server"])
async def test_an_unusable_answer_is_an_outage_and_nothing_is_kept_of_it(name: str, path: str) -> None:
    async with run_issuer() as issuer:
        good = json.dumps({"keys": [issuer.mint.key.public_jwk()]}).encode()
        issuer.overrides = {path: HOSTILE_ANSWERS[name], "/jwks2": (200, {}, good)}
        with pytest.raises(VerifierUnavailable):
            await make(issuer).find(issuer.mint.key.kid)
        assert issuer.seen["/jwks2"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.test"},
        {"issuer": "ISSUER/"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "http://keys.test/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "/jwks"},
    ],
)
async def test_metadata_that_is_not_the_issuers_own_leads_nowhere_rfc8414_3_3(changes: dict[str, object]) -> None:
    async with run_issuer() as issuer:
        for name, value in changes.items():
            issuer.metadata[name] = f"{issuer.url}/" if value == "ISSUER/" else value
        with pytest.raises(VerifierUnavailable):
            await make(issuer).find(issuer.mint.key.kid)
        assert issuer.seen["/jwks"] == 0


async def test_metadata_is_found_where_other_servers_publish_it() -> None:
    key = generate_signing_key()
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        if request.url.path == "/t1/.well-known/openid-configuration":
            return httpx2.Response(200, json={"issuer": "https://auth.test/t1", "jwks_uri": "https://keys.test/t1"})
        if request.url.host == "keys.test":
            return httpx2.Response(200, json={"keys": [key.public_jwk()]})
        return httpx2.Response(404)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), follow_redirects=True) as client:
        assert await JWKSKeys("https://auth.test/t1", http_client=client).find(key.kid)
    assert asked == [
        "/.well-known/oauth-authorization-server/t1",
        "/.well-known/openid-configuration/t1",
        "/t1/.well-known/openid-configuration",
        "/t1",
    ]


async def test_a_redirect_is_not_followed_even_with_a_client_that_would() -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(307, headers={"location": "https://evil.test/jwks"})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), follow_redirects=True) as client:
        with pytest.raises(VerifierUnavailable):
            await JWKSKeys("https://auth.test", jwks_uri="https://auth.test/jwks", http_client=client).find("a")
    assert asked == ["https://auth.test/jwks"]


async def test_nobody_listening_is_an_outage() -> None:
    async with run_issuer() as issuer:
        url = issuer.url
    with pytest.raises(VerifierUnavailable):
        await JWKSKeys(url, clock=Clock()).find("a")


@pytest.mark.parametrize("url", ["http://auth.test", "http://10.0.0.1", "ftp://auth.test", "", "auth.test"])
def test_keys_are_not_fetched_in_the_clear_rs_14(url: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        JWKSKeys(url)
    with pytest.raises(ValueError, match="jwks_uri"):
        JWKSKeys("https://auth.test", jwks_uri=url)


def test_the_clear_has_to_be_asked_for_by_name() -> None:
    JWKSKeys("http://auth.internal", insecure_http=True)
