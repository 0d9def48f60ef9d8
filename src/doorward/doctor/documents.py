"""The report for programs: JSON with a shape that stays, and JUnit XML for what shows test results."""

from datetime import UTC, datetime
from html import escape
from typing import Any

from .findings import ClientVerdict, Finding, Report
from .wording import CLIENT_WORDS, count_outcomes, group_by_step, headline, name_clients, without_secrets

FORMAT = 1
"""Grows when a member changes its meaning or goes; new members may come at any time."""


def build_document(report: Report) -> dict[str, Any]:
    """The report as JSON; docs/doctor.md has every member."""
    report = without_secrets(report)
    return {
        "format": FORMAT,
        "doorward": report.version,
        "url": report.url,
        "outcome": report.outcome,
        "headline": headline(report),
        "started_at": _moment(report.started_at),
        "finished_at": _moment(report.finished_at),
        "counts": {"checks": count_outcomes(report.findings), "clients": count_outcomes(report.clients)},
        "clients": [_describe_client(client) for client in report.clients],
        "checks": [_describe_check(finding) for finding in report.findings],
        "registered": [{"client_id": client_id, "removed": removed} for client_id, removed in report.registered],
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _describe_client(client: ClientVerdict) -> dict[str, Any]:
    return {
        "client": client.client,
        "name": client.name,
        "version": client.version,
        "outcome": client.outcome,
        "stage": client.stage,
        "because": list(client.because),
    }


def _describe_check(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "step": finding.step,
        "title": finding.title,
        "outcome": finding.outcome,
        "why": finding.why,
        "change": finding.change,
        "requirements": list(finding.requirements),
        "hurts": list(finding.hurts),
        "evidence": finding.evidence,
    }


def build_junit(report: Report, *, is_strict: bool = False) -> str:
    """JUnit XML: a suite for each step and one for the clients; with `is_strict` a warning is a failure, too.

    Well-formed whatever a server sent: characters that XML cannot hold were replaced, and all markup is escaped.
    """
    report = without_secrets(report)
    names = name_clients(report)
    suites = [
        _suite(step, [_case_of_check(finding, names, is_strict=is_strict) for finding in findings])
        for step, findings in group_by_step(report.findings).items()
    ]
    if report.clients:
        suites.append(_suite("Clients", [_case_of_client(client, is_strict=is_strict) for client in report.clients]))
    whole = "\n".join(suites)
    attributes = _attributes(
        name="doorward doctor",
        timestamp=_moment(report.started_at),
        time=f"{report.finished_at - report.started_at:.3f}",
        **_count_cases(whole),
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites{attributes}>\n{whole}\n</testsuites>\n'


def _suite(name: str, cases: list[str]) -> str:
    body = "\n".join(cases)
    return f"<testsuite{_attributes(name=name, **_count_cases(body))}>\n{body}\n</testsuite>"


def _count_cases(body: str) -> dict[str, str]:
    """Texts are escaped, so that these can only be our own tags."""
    counted = {"tests": "<testcase ", "failures": "<failure ", "skipped": "<skipped "}
    return {name: str(body.count(tag)) for name, tag in counted.items()} | {"errors": "0"}


def _case_of_check(finding: Finding, names: dict[str, str], *, is_strict: bool) -> str:
    facts = {
        "Change": finding.change,
        "Hurts": "; ".join(names.get(client, client) for client in finding.hurts),
        "Requirements": ", ".join(finding.requirements),
        "Seen": finding.evidence,
    }
    told = "\n".join([finding.why, *(f"{name}: {value}" for name, value in facts.items() if value)])
    return _case(finding.step, finding.title, finding.outcome, finding.check, finding.why, told, is_strict=is_strict)


def _case_of_client(client: ClientVerdict, *, is_strict: bool) -> str:
    message = CLIENT_WORDS[client.outcome]
    if client.stage:
        message = f"{message}: it stops at {client.stage}"
    told = f"Because of: {', '.join(client.because)}" if client.because else ""
    title = f"{client.name} {client.version}".strip()
    return _case("Clients", title, client.outcome, client.client, message, told, is_strict=is_strict)


def _case(suite: str, title: str, outcome: str, kind: str, message: str, told: str, *, is_strict: bool) -> str:
    start = f"<testcase{_attributes(classname=f'doctor.{suite}', name=title, time='0')}"
    if outcome == "failed" or (outcome == "warning" and is_strict):
        return f"{start}><failure{_attributes(type=kind, message=message)}>{escape(told)}</failure></testcase>"
    if outcome == "warning":
        return f"{start}><system-out>{escape(f'WARNING {kind}: {message}')}\n{escape(told)}</system-out></testcase>"
    if outcome == "skipped":
        return f"{start}><skipped{_attributes(message=message)}/></testcase>"
    return f"{start}/>"


def _attributes(**values: str) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in values.items())
