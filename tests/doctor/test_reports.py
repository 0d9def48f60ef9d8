"""The reports of the doctor: what each of them says, and what none of them does."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from doorward.doctor.documents import build_document, build_junit
from doorward.doctor.findings import ClientVerdict, Finding, Report
from doorward.doctor.page import build_page
from doorward.doctor.terminal import print_report
from doorward.doctor.wording import headline
from tests.doctor.samples import CACHE, CLIENTS, GOOD, HEALTHY, MIXED, PORT, build_report

NASTY = "".join(map(chr, range(32))) + "\x7f\x9b\u202e\ufffe\ud800 ]]> </pre><script>alert(1)</script> [red]&amp;\"'"


def in_terminal(report: Report, *, width: int = 80, **options: Any) -> str:
    written = io.StringIO()
    print_report(report, Console(file=written, width=width), **options)
    return written.getvalue()


def in_every_form(report: Report) -> dict[str, str]:
    return {
        "terminal": in_terminal(report, shows_all=True),
        "json": json.dumps(build_document(report), ensure_ascii=False),
        "junit": build_junit(report, is_strict=True),
        "page": build_page(report),
    }


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (MIXED, "2 of 6 clients will not get in."),
        (HEALTHY, "All 3 clients will get in."),
        (build_report(*GOOD, CACHE, clients=CLIENTS[:1]), "The client will get in. 1 thing to look at."),
        (build_report(PORT, clients=CLIENTS[1:2]), "No client will get in."),
        (build_report(PORT, clients=CLIENTS[2:4]), "All 2 clients will get in, but 1 check failed."),
        (build_report(*GOOD), "No client was tried."),
    ],
)
def test_the_first_line_says_who_gets_in(report: Report, told: str) -> None:
    assert headline(report) == told


def test_a_terminal_shows_what_is_wrong_and_counts_the_rest() -> None:
    text = in_terminal(MIXED)
    for words in (
        "Claude Code 2.1.330",
        "loopback-port (RDU-04, RDU-05)",
        "Compare redirect URIs",
        "Get in: Claude.ai, Claude Desktop, mobile; ChatGPT; VS Code.",
        "4 checks passed; --all lists them.",
        "client-two",
    ):
        assert words in text
    assert GOOD[0].title not in text
    assert "client-one" not in text
    everything = in_terminal(MIXED, shows_all=True)
    assert all(finding.title in everything for finding in MIXED.findings)


def test_clients_with_one_trouble_are_told_in_one_row() -> None:
    alike = tuple(
        ClientVerdict(f"client-{number}", f"Client {number}", "1", "failed", "Challenge", ("challenge-status",))
        for number in range(31)
    )
    report = build_report(PORT, clients=alike)
    assert in_terminal(report).count("challenge-status") == 1
    assert build_page(report).count("<td>") == 1
    assert "Client 30" in in_terminal(report)
    assert "Client 30" in build_page(report)


def test_a_terminal_of_80_columns_without_colour_is_enough() -> None:
    text = in_terminal(MIXED, shows_all=True)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "FAILED" in text
    assert "WARNING" in text


def test_of_many_clients_that_a_check_hurts_a_terminal_names_the_first() -> None:
    hurts = tuple(f"client-{number}" for number in range(20))
    text = in_terminal(build_report(replace(PORT, hurts=hurts)))
    assert "client-7; and 12 more" in " ".join(text.split())
    assert "client-19" in build_page(build_report(replace(PORT, hurts=hurts)))


def test_json_has_a_shape_that_stays() -> None:
    document = build_document(MIXED)
    assert list(document) == [
        "format",
        "doorward",
        "url",
        "outcome",
        "headline",
        "started_at",
        "finished_at",
        "counts",
        "clients",
        "checks",
        "registered",
    ]
    assert (document["format"], document["outcome"], document["url"]) == (1, "failed", MIXED.url)
    assert document["finished_at"] == "2026-11-28T21:06:44.250Z"
    assert document["counts"] == {
        "checks": {"failed": 1, "warning": 1, "skipped": 1, "passed": 4},
        "clients": {"failed": 2, "warning": 1, "skipped": 1, "passed": 3},
    }
    assert document["clients"][1] == {
        "client": "claude-code",
        "name": "Claude Code",
        "version": "2.1.330",
        "outcome": "failed",
        "stage": "Registration",
        "because": ["loopback-port"],
    }
    (port,) = [check for check in document["checks"] if check["check"] == "loopback-port"]
    assert list(port) == [
        "check",
        "step",
        "title",
        "outcome",
        "why",
        "change",
        "requirements",
        "hurts",
        "evidence",
    ]
    assert port["hurts"] == ["claude-code", "codex-cli"]
    assert document["registered"][1] == {"client_id": "client-two", "removed": False}
    assert json.loads(json.dumps(document)) == document


def test_junit_has_a_suite_for_each_step_and_one_for_the_clients() -> None:
    root = ET.fromstring(build_junit(MIXED))  # noqa: S314  # our own
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == [
        "Challenge",
        "Resource metadata",
        "Issuer metadata",
        "Registration",
        "Token",
        "Clients",
    ]
    counts = [(one.get("tests"), one.get("failures"), one.get("skipped")) for one in (root, *root)]
    assert counts == [
        ("14", "3", "2"),
        ("1", "0", "0"),
        ("1", "0", "0"),
        ("3", "0", "0"),
        ("1", "1", "0"),
        ("1", "0", "1"),
        ("7", "2", "1"),
    ]
    failure = suites["Registration"].find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "loopback-port"
    assert "RDU-04, RDU-05" in (failure.text or "")


def test_a_warning_fails_junit_only_when_warnings_are_to() -> None:
    assert 'failures="0"' in build_junit(build_report(CACHE)).splitlines()[1]
    assert 'failures="1"' in build_junit(build_report(CACHE), is_strict=True).splitlines()[1]


def test_whatever_a_server_sent_is_text_in_every_report_t11() -> None:
    finding = replace(PORT, evidence=NASTY, why=NASTY, title=f"Title {NASTY}", check="nasty")
    report = build_report(finding, clients=CLIENTS, registered=((NASTY, False),))
    forms = in_every_form(report)
    case = ET.fromstring(forms["junit"]).find("testsuite/testcase/failure")  # noqa: S314  # our own
    assert case is not None
    assert "</pre><script>" in (case.text or "")
    assert "<script" not in forms["page"]
    assert json.loads(forms["json"])["checks"][0]["check"] == "nasty"
    for name in ("terminal", "junit", "page"):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ufffe\ud800]", forms[name]), name
    assert "[red]" in forms["terminal"]


@pytest.mark.parametrize(
    "url",
    ["https://mcp.example.com/mcp?key=s3cret-value%21&plain=x", "https://ada:s3cret-value@mcp.example.com/mcp"],
)
def test_a_key_in_the_address_is_in_no_report(url: str) -> None:
    quoted = url.replace("%", "%25").replace("?", "%3F").replace("=", "%3D").replace("&", "%26")
    finding = replace(PORT, evidence=f"GET {url} answered 401\nresource={quoted} s3cret-value%2521")
    for name, text in in_every_form(build_report(finding, url=url)).items():
        assert "s3cret" not in text, name
        assert "mcp.example.com/mcp" in text


class _Loads(HTMLParser):
    """What a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"script", "link", "img", "iframe", "object", "form"} or "src" in given or "style" in given:
            self.found.append(tag)
        self.ids += [str(given["id"])] if "id" in given else []
        self.links += [str(given["href"])] if "href" in given else []


def test_the_page_loads_and_runs_nothing_and_its_links_stay_inside_t11() -> None:
    page = build_page(MIXED)
    reader = _Loads()
    reader.feed(page)
    assert reader.found == []
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-[^']+'", page)
    assert set(reader.links) == {"#loopback-port", "#metadata-cache"}
    assert len(reader.ids) == len(set(reader.ids))
    assert "url(" not in page
    assert "@import" not in page


def test_a_check_that_is_not_on_the_page_is_named_without_a_link() -> None:
    client = ClientVerdict("one", "One", "1", "failed", "Token", ("elsewhere",))
    page = build_page(build_report(*GOOD, clients=(client,)))
    assert "<code>elsewhere</code>" in page
    assert 'href="#elsewhere"' not in page


def test_a_finding_without_words_is_shown_all_the_same() -> None:
    bare = build_report(Finding("bare", "Challenge", "A bare check", "failed"))
    for name, text in in_every_form(bare).items():
        assert "A bare check" in text, name
