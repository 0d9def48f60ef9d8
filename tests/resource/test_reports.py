"""Protected servers tell the operator's timeline what they saw, and never wait for it (complaint 7; GEN-06)."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from doorward.manage import timeline
from doorward.resource import ProtectMCP, Report, TimelineReporter
from doorward.resource.reports import MAX_QUEUED, REPEAT_SECONDS, Repeats
from tests.inside import ISSUER, Door, open_door
from tests.resource.world import Clock, Echo, Mint, browse
from tests.server.steps import project_key

AGENT = {"user-agent": "app/1.0"}
INVITED = Report("challenge", "ok", "127.0.0.1", "app/1.0")


class Kept:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def report(self, report: Report) -> None:
        self.reports.append(report)


def guarded(mint: Mint, kept: Kept) -> ProtectMCP:
    return mint.protect(Echo(), reporter=kept, tools={"book": ["tools:write"]}, required_scopes=["tools:read"])


async def test_what_a_client_met_is_reported_with_the_reason_it_was_not_told() -> None:
    mint, kept = Mint(), Kept()
    async with browse(guarded(mint, kept)) as http:
        await http.post("/mcp", headers=AGENT)
        await http.post("/mcp", headers={**AGENT, "authorization": "Bearer nonsense"})
        await http.post("/mcp", headers={**AGENT, **mint.header(aud="https://other.test/mcp")})
        await http.post("/mcp", headers={**AGENT, **mint.header("tools:write", grant_id="grt_1")})
        await http.get("/mcp", headers={**AGENT, **mint.header(grant_id="grt_1")})
    met = [(report.step, report.outcome, report.reason) for report in kept.reports]
    assert met == [
        ("challenge", "ok", ""),
        ("call", "refused", "invalid_token: token is not a compact JWS"),
        ("call", "refused", "invalid_token: aud is not this resource"),
        ("call", "refused", "insufficient_scope: holds tools:write, needs tools:read"),
        ("call", "ok", ""),
    ]
    assert {report.agent for report in kept.reports} == {"app/1.0"}
    last = kept.reports[-1]
    assert (last.client_id, last.grant_id, last.user_id) == ("app", "grt_1", "alice")


async def test_no_token_is_in_a_report_gen_06() -> None:
    mint, kept = Mint(), Kept()
    token = mint.token()
    async with browse(guarded(mint, kept)) as http:
        await http.get("/mcp", headers={"authorization": f"Bearer {token}"})
        await http.get(f"/mcp?access_token={token}", headers={"authorization": f"Bearer {token}x"})
    assert len(kept.reports) == 2
    assert token.rpartition(".")[2] not in repr(kept.reports)


def test_the_same_is_reported_once_a_minute() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    assert [repeats.is_new(INVITED), repeats.is_new(INVITED)] == [True, False]
    clock.now += REPEAT_SECONDS
    assert repeats.is_new(INVITED)


async def test_reports_become_part_of_the_clients_story(door: Door) -> None:
    key = await project_key(door, "introspect")
    async with door.http as http:
        reporter = TimelineReporter(issuer=ISSUER, key=key, http_client=http, clock=lambda: door.clock() / 1000)
        reporter.report(INVITED)
        await reporter.send()
        client_id, _ = await door.tokens()
        await door.context.timeline.flush()
        (first,) = await timeline.list_stories(door.operator, door.project)
        grant_id = first.events[-1].grant_id
        reporter.report(Report("call", "ok", "127.0.0.1", "app/1.0", client_id=client_id, grant_id=grant_id))
        await reporter.aclose()
    await door.context.timeline.flush()
    stories = await timeline.list_stories(door.operator, door.project)
    assert (stories[0].client_id, stories[0].verdict) == (client_id, "connected and calling")


async def test_reports_that_cannot_be_delivered_are_dropped_and_said(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("nobody there")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(refuse)) as http:
        reporter = TimelineReporter(issuer=ISSUER, key="mrs_x", http_client=http)
        for number in range(MAX_QUEUED + 10):
            reporter.report(Report("call", "ok", "127.0.0.1", f"app/{number}"))
        with caplog.at_level(logging.WARNING, "doorward.resource"):
            await reporter.send()
    assert "timeline reports were lost: ConnectError" in caplog.text
    assert "mrs_x" not in caplog.text


async def test_a_key_that_may_not_report_is_said_and_stops_nothing(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    key = await project_key(door, "register")
    async with door.http as http:
        reporter = TimelineReporter(issuer=ISSUER, key=key, http_client=http)
        reporter.report(INVITED)
        with caplog.at_level(logging.WARNING, "doorward.resource"):
            await reporter.send()
    assert "1 timeline reports were refused with 401" in caplog.text


@pytest.mark.parametrize("issuer", ["http://auth.example.com", "auth.example.com", f"{ISSUER}?x=1"])
def test_an_address_that_can_be_no_issuers_is_refused_at_once(issuer: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        TimelineReporter(issuer=issuer, key="mrs_x")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path / "data") as opened:
        yield opened
