"""What every report says in the same words, and what no report may show."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from .findings import ClientVerdict, Finding, Outcome, Report

OUTCOMES: tuple[Outcome, ...] = ("failed", "warning", "skipped", "passed")
"""The worst first."""
CLIENT_WORDS: dict[Outcome, str] = {
    "failed": "will not get in",
    "warning": "gets in, with a warning",
    "passed": "gets in",
    "skipped": "not tried",
}
HIDDEN = "…"
_LEAST_SECRET = 6
"""The shortest value of a query that is looked for in other texts: less would blot out words."""

# Control characters move a terminal's cursor and end a line of a report; bidirectional ones turn words around.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class _Judged(Protocol):
    @property
    def outcome(self) -> Outcome: ...


def count_outcomes(judged: Iterable[_Judged]) -> dict[Outcome, int]:
    """How many of each outcome, the worst first, zeros included."""
    counted = Counter(one.outcome for one in judged)
    return {outcome: counted[outcome] for outcome in OUTCOMES}


def group_by_step(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings of each step, in the order of a client's way."""
    steps: dict[str, list[Finding]] = {}
    for finding in findings:
        steps.setdefault(finding.step, []).append(finding)
    return steps


def headline(report: Report) -> str:
    """The whole report in one sentence."""
    clients, checks = count_outcomes(report.clients), count_outcomes(report.findings)
    tried = len(report.clients) - clients["skipped"]
    if any(one.outcome == "warning" and "unauthorized-post" in one.because for one in report.clients):
        return "The server asks nobody to sign in."
    if clients["failed"] and clients["failed"] == tried:
        return "No client will get in."
    if clients["failed"]:
        return f"{clients['failed']} of {count(tried, 'client')} will not get in."
    start = (
        f"All {tried} clients will get in"
        if tried > 1
        else "The client will get in"
        if tried
        else "No client was tried"
    )
    if checks["failed"]:
        return f"{start}, but {count(checks['failed'], 'check')} failed."
    if checks["warning"]:
        return f"{start}. {count(checks['warning'], 'thing')} to look at."
    return f"{start}."


def count(number: int, noun: str) -> str:
    """`1 check`, `3 checks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def tally(report: Report) -> str:
    """`44 checks: 2 failed, 1 warned, 41 passed`."""
    counted = count_outcomes(report.findings)
    words = {"failed": "failed", "warning": "warned", "skipped": "skipped", "passed": "passed"}
    told = [f"{number} {words[outcome]}" for outcome, number in counted.items() if number]
    return f"{count(len(report.findings), 'check')}: {', '.join(told)}" if told else "No check was made"


def plain(text: str) -> str:
    """`text` without what is no character to read: evidence is what a stranger's server sent. Spec: T11"""
    return _UNSEEN.sub("�", text)


def name_clients(report: Report) -> dict[str, str]:
    """The names of the clients by their ids."""
    return {client.client: client.name for client in report.clients}


def without_secrets(report: Report) -> Report:
    """The same report as it may be shown: a key in the query or a password in the URL of the server is in no text.

    Nothing else of a report is secret, but people keep keys in addresses, and evidence quotes addresses.
    """
    parts = urlsplit(report.url)
    person, _, host = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(query=HIDDEN if parts.query else "", netloc=host))
    hidden = {f"{person}@": "", **{f"?{value}": f"?{HIDDEN}" for value in (parts.query, quote(parts.query, safe=""))}}
    for value in (person.partition(":")[2], *(value for _, value in parse_qsl(parts.query))):
        if len(value) >= _LEAST_SECRET:
            hidden |= {value: HIDDEN, quote(value, safe=""): HIDDEN, quote(quote(value, safe=""), safe=""): HIDDEN}

    def hide(text: str) -> str:
        for secret, shown in hidden.items():
            text = text.replace(secret, shown) if secret not in {"@", "?"} else text
        return plain(text)

    findings = tuple(
        replace(one, why=hide(one.why), change=hide(one.change), evidence=hide(one.evidence), title=hide(one.title))
        for one in report.findings
    )
    registered = tuple((hide(client_id), removed) for client_id, removed in report.registered)
    return replace(report, url=plain(url), findings=findings, registered=registered)


def for_clients(report: Report, ids: Collection[str]) -> Report:
    """The report for these clients alone: without the others, and without checks that stop nobody but others."""
    clients = tuple(client for client in report.clients if client.client in ids)
    findings = (replace(one, hurts=tuple(client for client in one.hurts if client in ids)) for one in report.findings)
    kept = tuple(new for new, old in zip(findings, report.findings, strict=True) if new.hurts or not old.hurts)
    return replace(report, clients=clients, findings=kept)


def group_alike(clients: Iterable[ClientVerdict]) -> list[list[ClientVerdict]]:
    """Clients with one and the same trouble together, worst first: thirty rows of it would hide what it is."""
    groups: dict[tuple[Outcome, str, tuple[str, ...]], list[ClientVerdict]] = {}
    for client in worst_first(clients):
        groups.setdefault((client.outcome, client.stage, client.because), []).append(client)
    return list(groups.values())


def worst_first(clients: Iterable[ClientVerdict]) -> list[ClientVerdict]:
    """Those that do not get in before the others; otherwise in their order."""
    return sorted(clients, key=lambda client: OUTCOMES.index(client.outcome))
