"""Whatever a server answers, a visit ends with a report: no member, address, header or size of an answer breaks it.

The verdicts and the findings agree: what stops a client is a check that failed.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from doorward.doctor.examining import examine
from doorward.doctor.findings import Report
from doorward.doctor.logging_in import Login
from doorward.doctor.profiles import find_profile, known_profiles
from doorward.doctor.sending import MAX_LATE_ANSWERS, JudgedSender
from doorward.doctor.visits import Ask
from tests.doctor.pretending import Asked, Pretended, Willing, answer_json, pretend

PLAYED = tuple(map(find_profile, ("claude-code", "cursor", "typescript-sdk-2")))
JUNK: dict[str, Any] = {
    "null": None,
    "a number": 10**400,
    "true": True,
    "an empty text": "",
    "a broken address": "http://[::1",
    "a broken port": "https://example.com:99999999/x",
    "another scheme": "javascript:alert(1)",
    "an address inside": "http://169.254.169.254/latest",
    "a long text": "x" * 70_000,
    "control characters": "\x1b]0;x\x07\r\nx: y\u202e",
    "an empty list": [],
    "a list of lists": [["a"], {"b": None}],
    "an object": {"error": {"error": []}},
}


def assert_coherent(report: Report) -> None:
    findings = {finding.check: finding for finding in report.findings}
    assert len(findings) == len(report.findings)
    for client in report.clients:
        for check in client.because:
            assert findings[check].outcome == "failed" or client.outcome == "warning", (client, findings[check])
            assert client.client in findings[check].hurts
    for finding in report.findings:
        assert (finding.why + finding.change + finding.evidence).isprintable()
        assert finding.outcome == "passed" or finding.why


def spoil(junk: Any) -> Any:
    return lambda members: dict.fromkeys(members, junk)


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("where", ["edit_resource", "edit_metadata", "edit_registered"])
async def test_any_member_of_a_document_may_be_anything(where: str, junk: str) -> None:
    with pretend() as server:
        setattr(server, where, spoil(JUNK[junk]))
        assert_coherent(await examine(server.url, profiles=PLAYED))


@pytest.mark.parametrize("junk", JUNK)
async def test_any_member_of_a_token_answer_may_be_anything(junk: str) -> None:
    with pretend() as server:
        server.edit_token = spoil(JUNK[junk])
        server.answers["/authorize"] = lambda asked: spoiled_redirect(server, asked)
        report = await examine(server.url, profiles=PLAYED[:1], login=Login(Willing()))
        assert_coherent(report)


def spoiled_redirect(server: Pretended, asked: Asked) -> Any:
    status, headers, body = server.answer_healthily(asked)
    return status, [*headers, ("date", "Fri, 31 Dec 0000 00:00:00 GMT"), ("content-type", "\xff")], body


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff\xfe", b"[]", b'"x"', b"{", b"<html>"], ids=repr)
async def test_documents_may_be_no_documents(body: bytes) -> None:
    with pretend() as server:
        for path in (
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/oauth-authorization-server",
            "/register",
        ):
            server.answers[path] = lambda asked: (200, [("content-type", "application/json")], body)
        assert_coherent(await examine(server.url, profiles=PLAYED))


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer resource_metadata="http://[::1"',
        'Bearer resource_metadata="https://example.com:99999999/x"',
        'Bearer resource_metadata="//\\\\evil"',
        "Bearer",
        ", , ,",
        'Bearer resource_metadata="' + "x" * 20_000,
        'Bearer resource_metadata="javascript:alert(1)"',
    ],
    ids=lambda text: text[:40],
)
async def test_a_challenge_may_be_anything(challenge: str) -> None:
    with pretend() as server:
        server.challenge = [challenge]
        assert_coherent(await examine(server.url, profiles=PLAYED))


@pytest.mark.parametrize("location", ["http://[::1", "", "/mcp", "//", "javascript:x", "https://example.com:99999999/"])
async def test_a_redirect_may_lead_anywhere(location: str) -> None:
    def redirect(asked: Asked) -> Any:
        return 302, [("location", location)], b""

    with pretend() as server:
        for path in ("/mcp", "/.well-known/oauth-authorization-server", "/authorize", "/register"):
            server.answers[path] = redirect
        assert_coherent(await examine(server.url, profiles=PLAYED))


@pytest.mark.parametrize("status", [200, 204, 400, 402, 418, 429, 500, 502, 503])
async def test_everything_may_be_answered_with_one_status(status: int) -> None:
    class One(Pretended):
        def answer(self, asked: Asked) -> Any:
            return answer_json({"error": "whatever"}, status)

    with pretend(One()) as server:
        assert_coherent(await examine(server.url))


async def test_the_reports_of_all_clients_agree_with_what_was_found() -> None:
    with pretend() as server:
        server.status = 403
        report = await examine(server.url)
    assert_coherent(report)
    assert len(report.clients) == len(known_profiles())


@contextmanager
def silent() -> Iterator[str]:
    """A port that takes connections, and never says anything."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for one in held:
        one.close()


async def test_a_server_that_never_answers_is_given_up() -> None:
    with silent() as url:
        sender = JudgedSender(url, seconds=0.05)
        report = await examine(url, profiles=PLAYED, sender=sender)
        later = await sender.send(Ask("GET", url))
    assert [one.check for one in report.findings if one.outcome == "failed"] == ["reachable"]
    assert f"after {MAX_LATE_ANSWERS}" in later.fault
