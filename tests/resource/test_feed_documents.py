"""What a follower of the feed believes, and what it does while nobody answers.

Spec: product.md, feature 7; AT-08; I3, I11, I13; T34, T52
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from doorward.oauth.jwt import generate_signing_key
from doorward.oauth.revocations import RevocationDocument, RevocationEntry, digest_subject
from doorward.resource import JWKSKeys, JWTVerifier, RevocationFeed, VerifierUnavailable
from tests.resource.feed_world import FEED, Offline, say
from tests.resource.world import Clock as Seconds
from tests.resource.world import TinyIssuer, run_issuer
from tests.waiting import until

NOW = 1_000_000


def make_document(**changes: Any) -> RevocationDocument:
    given = {
        "issued_at": NOW,
        "after": "",
        "cursor": "1.rvk_a",
        "is_full": True,
        "has_more": False,
        "entries": (RevocationEntry(digest_subject("jti", "token-1"), "void", NOW, NOW + 3720),),
    }
    return RevocationDocument(**{**given, **changes})


CLAIMS = {"jti": "token-1", "sub": "alice", "client_id": "app", "aud": "https://api.test/mcp", "iat": NOW - 5}


def follow(issuer: TinyIssuer, clock: Seconds | None = None, **options: Any) -> RevocationFeed:
    return RevocationFeed(issuer=issuer.url, clock=clock or Seconds(NOW), **options)


async def was_asked(issuer: TinyIssuer, times: int) -> None:
    """Wait until the feed was asked so often from now on."""
    target = issuer.seen[FEED] + times

    async def enough() -> bool:
        return issuer.seen[FEED] >= target

    await until(enough)


async def test_a_document_that_the_issuer_signed_counts() -> None:
    async with run_issuer() as issuer:
        say(issuer, make_document())
        async with follow(issuer) as feed:
            assert await feed.is_revoked(CLAIMS)
            assert not await feed.is_revoked({**CLAIMS, "jti": "token-2"})
            assert feed.stale_seconds == 0


FORGED: dict[str, Callable[[TinyIssuer], None]] = {
    "signed by another key": lambda issuer: say(issuer, make_document(), key=generate_signing_key()),
    "of another issuer": lambda issuer: say(issuer, make_document(), name="https://other.test"),
    "two minutes old": lambda issuer: say(issuer, make_document(issued_at=NOW - 121)),
    "of a later time": lambda issuer: say(issuer, make_document(issued_at=NOW + 61)),
    "an answer to somebody else": lambda issuer: say(issuer, make_document(is_full=False, after="7.rvk_b")),
    "an access token": lambda issuer: _say_text(issuer, issuer.mint.token(jti="token-1")),
    "no token": lambda issuer: _say_text(issuer, "revoked"),
    "empty": lambda issuer: _say_text(issuer, ""),
    "too long": lambda issuer: _say_text(issuer, "x" * 300_000),
    "without a kid": lambda issuer: _say_text(issuer, "eyJhbGciOiJFUzI1NiIsInR5cCI6InJldm9jYXRpb25zK2p3dCJ9.e30.AA"),
}


def _say_text(issuer: TinyIssuer, text: str) -> None:
    issuer.overrides[FEED] = (200, {"content-type": "application/jwt"}, text.encode())


@pytest.mark.parametrize("what", FORGED)
async def test_a_document_that_is_not_the_issuers_news_is_not_believed(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_issuer() as issuer:
        FORGED[what](issuer)
        async with follow(issuer) as feed:
            assert not await feed.is_revoked(CLAIMS)
            await was_asked(issuer, 2)
            assert not await feed.is_revoked(CLAIMS)
            say(issuer, make_document())
            await until(lambda: feed.is_revoked(CLAIMS))
        assert "could not be read" in caplog.text


async def test_an_older_document_never_replaces_a_newer_one() -> None:
    freed = (RevocationEntry(digest_subject("client", "app"), "free", NOW - 20, NOW + 3720),)
    held = (RevocationEntry(digest_subject("client", "app"), "hold", NOW - 10, NOW + 3720),)
    async with run_issuer() as issuer:
        say(issuer, make_document(entries=held))
        async with follow(issuer) as feed:
            assert await feed.is_revoked(CLAIMS)
            say(
                issuer,
                make_document(issued_at=NOW - 1, is_full=False, after="1.rvk_a", cursor="2.rvk_b", entries=freed),
            )
            await was_asked(issuer, 3)
            assert await feed.is_revoked(CLAIMS)
            # Nor does an older word that a newer document repeats from the beginning.
            say(issuer, make_document(cursor="9.rvk_c", entries=freed))
            await was_asked(issuer, 3)
            assert await feed.is_revoked(CLAIMS)
            last = (RevocationEntry(digest_subject("client", "app"), "free", NOW, NOW + 3720),)
            say(issuer, make_document(is_full=False, after="9.rvk_c", cursor="10.rvk_d", entries=last))
            await until(lambda: _is_free(feed))


async def _is_free(feed: RevocationFeed) -> bool:
    return not await feed.is_revoked(CLAIMS)


async def test_a_withdrawn_key_signs_no_more_documents() -> None:
    async with run_issuer() as issuer:
        fresh = generate_signing_key()
        issuer.published.append(fresh)
        stolen = RevocationEntry(digest_subject("key", issuer.mint.key.kid), "void", NOW, NOW + 3720)
        say(issuer, make_document(entries=(stolen,)), key=fresh)
        async with follow(issuer) as feed:
            assert await feed.is_key_revoked(issuer.mint.key.kid)
            assert not await feed.is_key_revoked(fresh.kid)
            say(issuer, make_document(cursor="2.rvk_b"))
            await was_asked(issuer, 3)
            assert not await feed.is_revoked(CLAIMS)


async def test_a_token_of_a_withdrawn_key_is_refused_while_the_key_is_still_cached() -> None:
    async with run_issuer() as issuer:
        fresh = generate_signing_key()
        issuer.published.append(fresh)
        feed = RevocationFeed(issuer=issuer.url)
        verifier = JWTVerifier(
            issuer=issuer.url, resource=issuer.mint.resource, keys=JWKSKeys(issuer.url), revocations=feed
        )
        server, token = Offline(verifier, feed), issuer.mint.token()
        now = int(feed._clock())
        say(issuer, make_document(issued_at=now, entries=()), key=fresh)
        async with feed:
            assert await server.accepts(token)
            stolen = RevocationEntry(digest_subject("key", issuer.mint.key.kid), "void", now, now + 3720)
            say(issuer, make_document(issued_at=now, cursor="2.rvk_b", entries=(stolen,)), key=fresh)
            await server.until_refused(token)


async def test_an_entry_of_a_later_release_is_passed_over() -> None:
    async with run_issuer() as issuer:
        odd: Any = RevocationEntry(digest_subject("jti", "token-2"), "doubted", NOW, NOW + 3720)  # type: ignore[arg-type]
        say(issuer, make_document(entries=(odd, *make_document().entries)))
        async with follow(issuer) as feed:
            assert await feed.is_revoked(CLAIMS)
            assert not await feed.is_revoked({**CLAIMS, "jti": "token-2"})


STRANGE_CLAIMS: list[dict[str, Any]] = [
    {},
    {"jti": 1, "sub": [], "client_id": None, "aud": {"a": 1}, "iat": "soon", "grant_id": 7},
    {"came_from": "x", "came_through": {"client_id": "app"}, "aud": [1, None]},
    {"came_from": [1, None], "came_through": [1, {"aud": 1, "client_id": 2}, None]},
    {"iat": True},
    {"iat": 10**400},
    {"sub": "\ud800"},
]


@pytest.mark.parametrize("claims", STRANGE_CLAIMS, ids=str)
async def test_claims_of_any_shape_are_looked_up_without_a_fault(claims: dict[str, Any]) -> None:
    async with run_issuer() as issuer:
        say(issuer, make_document())
        async with follow(issuer) as feed:
            assert not await feed.is_revoked(claims)


async def test_a_token_without_a_time_is_older_than_every_end() -> None:
    async with run_issuer() as issuer:
        everything = RevocationEntry(digest_subject("client", "app"), "void", 1, NOW + 3720)
        say(issuer, make_document(entries=(everything,)))
        async with follow(issuer) as feed:
            assert await feed.is_revoked({name: value for name, value in CLAIMS.items() if name != "iat"})
            assert not await feed.is_revoked(CLAIMS)


async def test_without_the_issuer_tokens_are_let_in_by_what_is_known_and_that_is_said_t52(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with run_issuer() as issuer:
        say(issuer, make_document())
        clock = Seconds(NOW)
        async with follow(issuer, clock) as feed:
            assert await feed.is_revoked(CLAIMS)
            issuer.down = True
            clock.now += 3600
            for _ in range(3):
                assert not await feed.is_revoked({**CLAIMS, "jti": "token-2"})
            assert await feed.is_revoked(CLAIMS)
            assert feed.stale_seconds == 3600
    warnings = [record for record in caplog.records if "cannot be followed" in record.message]
    assert [record.levelno for record in warnings] == [logging.WARNING]


async def test_where_that_is_chosen_nothing_is_let_in_while_the_issuer_cannot_be_followed_i11() -> None:
    async with run_issuer() as issuer:
        say(issuer, make_document())
        clock = Seconds(NOW)
        async with follow(issuer, clock, when_stale="closed", max_stale_seconds=30) as feed:
            assert await feed.is_revoked(CLAIMS)
            issuer.down = True
            clock.now += 30
            assert await feed.is_revoked(CLAIMS)
            clock.now += 1
            for asked in (feed.is_revoked(CLAIMS), feed.is_key_revoked("kid")):
                with pytest.raises(VerifierUnavailable) as caught:
                    await asked
                assert caught.value.retry_after > 0
            issuer.down = False
            say(issuer, make_document(issued_at=int(clock.now)))
            await until(lambda: _answers(feed))


async def _answers(feed: RevocationFeed) -> bool:
    try:
        return await feed.is_revoked(CLAIMS)
    except VerifierUnavailable:
        return False


@pytest.mark.parametrize("when_stale", ["open", "closed"])
async def test_a_server_starts_while_its_issuer_is_down_t52(when_stale: Any) -> None:
    async with run_issuer() as issuer:
        issuer.down = True
        say(issuer, make_document())
        async with follow(issuer, when_stale=when_stale) as feed:
            assert not await _answers(feed)
            if when_stale == "closed":
                with pytest.raises(VerifierUnavailable):
                    await feed.is_revoked({**CLAIMS, "jti": "token-2"})
            issuer.down = False
            await until(lambda: _answers(feed))


async def test_an_issuer_without_a_feed_is_told_once_and_asked_seldom(caplog: pytest.LogCaptureFixture) -> None:
    async with run_issuer() as issuer, follow(issuer) as feed:
        for _ in range(100):
            assert not await feed.is_revoked(CLAIMS)
        assert issuer.seen[FEED] == 1
    assert caplog.text.count("has no revocation feed") == 1


async def test_an_issuer_that_answers_at_once_is_not_asked_without_end() -> None:
    async with run_issuer() as issuer:
        say(issuer, make_document())  # thrown back to the beginning at every request, and never made to wait
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with follow(issuer) as feed:
            await was_asked(issuer, 4)
            assert await feed.is_revoked(CLAIMS)
        assert issuer.seen[FEED] <= 2 + 2 * (loop.time() - started)


async def test_following_starts_by_itself_and_again_on_another_loop() -> None:
    async with run_issuer() as issuer:
        say(issuer, make_document())
        feed = follow(issuer)

        async def follow_for_a_while() -> bool:
            is_revoked = await feed.is_revoked(CLAIMS)
            await was_asked(issuer, 1)
            return is_revoked

        def run_twice() -> list[bool]:
            return [asyncio.run(follow_for_a_while()) for _ in range(2)]

        assert await asyncio.wait_for(asyncio.to_thread(run_twice), 20) == [True, True]
        assert await follow_for_a_while()
        await feed.aclose()
        await feed.aclose()


async def test_one_following_serves_any_number_of_tokens() -> None:
    async with run_issuer() as issuer:
        say(issuer, make_document())
        feed = follow(issuer)
        asked = await asyncio.gather(*(feed.is_revoked(CLAIMS) for _ in range(200)))
        assert asked == [True] * 200
        assert issuer.seen[FEED] <= 2
        await feed.aclose()


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": "auth.test"},
        {"issuer": "http://auth.test"},
        {"when_stale": "ajar"},
        {"max_stale_seconds": 1},
    ],
)
def test_a_feed_that_cannot_be_right_is_not_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RevocationFeed(**{"issuer": "https://auth.test", **options})
