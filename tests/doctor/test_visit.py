"""A visit is bounded, goes where it may, leaves nothing behind that it does not say, and keeps time."""

from dataclasses import replace
from pathlib import Path

import pytest

from doorward.client.errors import AddressRefused
from doorward.doctor.checks.connection import check_certificate, check_clock, check_redirect, check_speed
from doorward.doctor.checks.subject import Subject
from doorward.doctor.examining import examine
from doorward.doctor.profiles import find_profile
from doorward.doctor.sending import MAX_ANSWER_BYTES, MAX_REQUESTS, JudgedSender, send_all
from doorward.doctor.visits import Ask, Certificate, Seen, Visit
from tests.certificates import make_certificate
from tests.doctor.broken import run_broken
from tests.doctor.pretending import NOT_FOUND, Answer, Asked, answer_json, pretend
from tests.needs import find_free_port

NOW = 1_800_000_000.0
ANSWER = Seen("POST", "https://mcp.example.com/mcp", 401, received_at=NOW)
PLAYED = tuple(map(find_profile, ("cursor", "typescript-sdk-2")))


def seen(answer: Seen) -> Subject:
    return Subject(Visit(answer.url, probes={"POST": answer}))


async def test_nothing_is_registered_unless_it_may_be() -> None:
    with pretend() as server:
        report = await examine(server.url, register=False)
        assert server.registered == {}
        assert [asked for asked in server.asked if asked.path == "/register" and b"client_name" in asked.body] == []
    assert report.registered == ()
    assert report.outcome == "passed"
    assert {one.outcome for one in report.findings if one.step == "Registration"} == {"skipped"}


async def test_no_more_is_registered_than_was_said() -> None:
    with pretend() as server:
        report = await examine(server.url, most_registrations=3)
        assert len(server.registered) == len(report.registered) == 3


async def test_a_limit_that_the_doctor_ran_into_is_held_against_no_client() -> None:
    with pretend() as server:

        def limit(asked: Asked) -> Answer:
            return answer_json({}, 429) if len(server.registered) > 1 else server.answer_healthily(asked)

        server.answers["/register"] = limit
        report = await examine(server.url)
    assert {client.outcome for client in report.clients} == {"passed"}
    assert {one.check: one.outcome for one in report.findings}["registration-limit"] == "warning"


async def test_a_limit_at_the_login_page_is_told_and_held_against_no_client() -> None:
    with pretend() as server:
        server.answers["/authorize"] = lambda asked: answer_json({}, 429)
        report = await examine(server.url, profiles=PLAYED)
    assert {client.outcome for client in report.clients} == {"passed"}
    assert [one.check for one in report.findings if one.outcome == "warning"] == ["authorize-limit"]


async def test_what_cannot_be_removed_is_said() -> None:
    with pretend() as server:
        server.edit_registered = lambda members: {
            name: value for name, value in members.items() if not name.startswith("registration_")
        }
        report = await examine(server.url, profiles=PLAYED)
        assert server.removed == []
    assert sorted(report.registered) == sorted((client_id, False) for client_id in server.registered)


async def test_a_management_token_goes_to_nobody_but_who_gave_it() -> None:
    with pretend() as server, pretend() as other:
        server.edit_registered = lambda members: {**members, "registration_client_uri": f"{other.issuer}/register/x"}
        report = await examine(server.url, profiles=PLAYED)
        assert other.asked == []
    assert not any(removed for _, removed in report.registered)


async def test_registrations_are_removed_although_the_visit_fails() -> None:
    with pretend() as server:
        sender = JudgedSender(server.url)

        class Failing:
            async def send(self, ask: Ask) -> Seen:
                if ask.url.startswith(f"{server.issuer}/authorize?"):
                    raise RuntimeError
                return await sender.send(ask)

        with pytest.raises(ExceptionGroup):
            await examine(server.url, profiles=PLAYED, sender=Failing())
        assert set(server.removed) == set(server.registered)
        assert server.registered


@pytest.mark.parametrize("url", ["http://mcp.example.com/mcp", "file:///etc/passwd", "https://user:x@mcp.example.com/"])
async def test_a_url_of_no_server_is_refused_before_anything_is_asked_cli_05(url: str) -> None:
    with pytest.raises(AddressRefused):
        await examine(url)


async def test_a_server_that_does_not_answer_is_told_as_that_and_nothing_else() -> None:
    report = await examine(f"http://127.0.0.1:{find_free_port()}/mcp", profiles=PLAYED)
    assert [one.check for one in report.findings if one.outcome == "failed"] == ["reachable"]
    assert {client.because for client in report.clients} == {("reachable",)}


async def test_a_certificate_that_nobody_trusts_is_what_keeps_everybody_out_asm_22(tmp_path: Path) -> None:
    with run_broken(certificate=make_certificate(tmp_path)) as server:
        report = await examine(server.url, profiles=PLAYED)
        assert server.issuer.registered == {}
    assert [one.check for one in report.findings if one.outcome == "failed"] == ["tls-certificate"]
    assert {client.because for client in report.clients} == {("tls-certificate",)}


async def test_a_client_that_a_firewall_does_not_like_the_name_of_is_kept_out() -> None:
    with pretend() as server:

        def guard(asked: Asked) -> Answer:
            return (
                answer_json({}, 403) if "Claude-User" in asked.headers["user-agent"] else server.answer_healthily(asked)
            )

        server.answers["/mcp"] = guard
        report = await examine(server.url)
    told = {one.check: one for one in report.findings if one.outcome == "failed"}
    assert set(told) == {"user-agents"}
    assert told["user-agents"].hurts == ("claude-ai",)
    assert "Claude-User: 403" in told["user-agents"].evidence


async def test_a_server_of_the_internet_leads_to_no_address_inside_cli_05() -> None:
    sender = JudgedSender("https://mcp.example.com/mcp")
    with pretend() as server:
        found = await sender.send(Ask("GET", server.url))
        assert server.asked == []
    assert found.status == 0
    assert "It was not contacted" in found.fault


async def test_redirects_are_answers_and_nothing_is_followed() -> None:
    with pretend() as server, pretend() as other:
        server.answers["/mcp"] = lambda asked: (307, [("location", f"{other.url}")], b"")
        report = await examine(server.url, profiles=PLAYED)
        assert other.asked == []
    told = {one.check: one for one in report.findings if one.outcome == "failed"}
    assert "another origin" in told["mcp-redirect"].why
    assert {client.because for client in report.clients} == {("mcp-redirect",)}


async def test_an_answer_beyond_the_cap_is_no_answer() -> None:
    with pretend() as server:
        server.answers["/large"] = lambda asked: (200, [], b"x" * (MAX_ANSWER_BYTES + 1))
        found = await JudgedSender(server.url).send(Ask("GET", f"{server.rs}/large"))
    assert (found.status, found.body) == (0, b"")
    assert "larger" in found.fault


async def test_of_a_stream_of_events_the_first_is_enough() -> None:
    with pretend() as server:
        event = b'event: message\ndata: {"result": 1}\n\n'
        server.answers["/events"] = lambda asked: (200, [("content-type", "text/event-stream")], event + b": more\n\n")
        sender = JudgedSender(server.url)
        posted = await sender.send(Ask("POST", f"{server.rs}/events", body=b"{}"))
        opened = await sender.send(Ask("GET", f"{server.rs}/events"))
    assert posted.body.startswith(event)
    assert (opened.status, opened.body) == (200, b"")


async def test_a_visit_asks_a_bounded_number_of_times() -> None:
    with pretend() as server:
        server.answers["/x"] = lambda asked: NOT_FOUND
        sender = JudgedSender(server.url)
        asks = {number: Ask("GET", f"{server.rs}/x") for number in range(3)}
        assert {one.status for one in (await send_all(sender, asks)).values()} == {404}
        sender._made = MAX_REQUESTS
        assert (await sender.send(Ask("GET", f"{server.rs}/x"))).status == 0
        assert len(server.asked) == 3


async def test_a_whole_visit_stays_far_below_the_bound() -> None:
    with pretend() as server:
        await examine(server.url)
        assert len(server.asked) < MAX_REQUESTS / 2


async def test_what_a_server_says_is_made_fit_for_terminals() -> None:
    with pretend() as server:
        server.answers["/register"] = lambda asked: answer_json({"error": "\x1b[2Jgone\u202e"}, 400)
        report = await examine(server.url, profiles=PLAYED)
    told = "".join(f"{one.why}{one.change}{one.evidence}" for one in report.findings)
    assert "gone" in told
    assert told.isprintable()


def test_a_clock_that_is_wrong_is_told() -> None:
    right = replace(ANSWER, headers=(("date", "Fri, 15 Jan 2027 08:00:10 GMT"),))
    wrong = replace(ANSWER, headers=(("date", "Fri, 15 Jan 2027 07:50:00 GMT"),))
    assert check_clock(seen(right)).outcome == "passed"
    assert "600 seconds behind" in check_clock(seen(wrong)).why
    assert check_clock(seen(replace(ANSWER, headers=(("date", "yesterday"),)))).outcome == "passed"


def test_an_answer_that_takes_long_is_told() -> None:
    assert check_speed(seen(replace(ANSWER, seconds=1))).outcome == "passed"
    assert check_speed(seen(replace(ANSWER, seconds=6))).outcome == "warning"


def test_a_certificate_that_ends_soon_or_is_not_trusted_is_told_asm_22() -> None:
    def told(answer: Seen) -> str:
        return check_certificate(seen(answer)).outcome

    assert told(ANSWER) == "skipped"
    assert told(replace(ANSWER, certificate=Certificate("TLSv1.3", NOW + 90 * 86_400))) == "passed"
    assert told(replace(ANSWER, certificate=Certificate("TLSv1.3", NOW + 3 * 86_400))) == "warning"
    assert told(replace(ANSWER, certificate=Certificate("TLSv1.1", NOW + 90 * 86_400))) == "warning"
    untrusted = "its certificate is not trusted: self-signed certificate"
    assert told(replace(ANSWER, status=0, fault=untrusted)) == "failed"


def test_a_redirect_to_the_same_server_is_a_warning() -> None:
    moved = replace(ANSWER, status=307, headers=(("location", "/mcp/"),))
    assert check_redirect(seen(moved)).outcome == "warning"


async def test_times_of_a_report_are_of_the_clock_that_was_given() -> None:
    with pretend() as server:
        report = await examine(server.url, profiles=PLAYED, clock=lambda: NOW)
    assert (report.started_at, report.finished_at) == (NOW, NOW)
