"""The report that a person reads in a terminal: 80 columns are enough, and no meaning is in a colour alone."""

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .findings import ClientVerdict, Finding, Outcome, Report
from .wording import (
    count,
    count_outcomes,
    group_alike,
    group_by_step,
    headline,
    name_clients,
    tally,
    without_secrets,
)

MAX_WIDTH = 100
"""Lines longer than this are hard to read, however wide the window is."""
MAX_EVIDENCE = 300
MAX_NAMES = 8
_STYLES: dict[Outcome, str] = {"failed": "bold red", "warning": "yellow", "passed": "green", "skipped": "dim"}
_WORDS: dict[Outcome, str] = {"failed": "FAILED", "warning": "WARNING", "passed": "passed", "skipped": "skipped"}
_VERDICTS: dict[Outcome, str] = {"failed": "NO", "warning": "yes, warned", "passed": "yes", "skipped": "not tried"}


def print_report(report: Report, console: Console, *, shows_all: bool = False) -> None:
    """Write the report to the console: who gets in, then what to change, the rest counted or (`shows_all`) listed.

    Texts of the server are written as they are: none is read as markup, and none moves the cursor. Spec: T11
    """
    report = without_secrets(report)
    width = min(console.width, MAX_WIDTH)
    console.print(_render(report, shows_all=shows_all), width=width, highlight=False, markup=False, emoji=False)


def _render(report: Report, *, shows_all: bool) -> RenderableType:
    parts: list[RenderableType] = [
        Text(report.url, overflow="fold"),
        Text(headline(report), style=_STYLES[report.outcome]),
        Text(f"{tally(report)}, in {report.finished_at - report.started_at:.1f} s.", style="dim"),
    ]
    if report.clients:
        parts += [_title("Clients"), *_render_clients(report.clients, shows_all=shows_all)]
    names = name_clients(report)
    for step, findings in group_by_step(report.findings).items():
        shown = [one for one in findings if shows_all or one.outcome in {"failed", "warning"}]
        if shown:
            parts += [_title(step), *_spaced(_render_finding(one, names) for one in shown)]
    parts += _render_rest(report, shows_all=shows_all)
    return Group(*parts)


def _title(words: str) -> RenderableType:
    return Text(f"\n{words}", style="bold")


def _indent(shown: RenderableType) -> RenderableType:
    return Padding(shown, (0, 0, 0, 2), expand=False)


def _spaced(shown: Iterable[tuple[RenderableType, bool]]) -> Iterable[RenderableType]:
    """With an empty line between two when one of them has more than its title."""
    before = False
    for number, (one, is_long) in enumerate(shown):
        if number and (before or is_long):
            yield Text()
        yield one
        before = is_long


def _render_clients(clients: tuple[ClientVerdict, ...], *, shows_all: bool) -> Iterable[RenderableType]:
    shown = [client for client in clients if shows_all or client.outcome in {"failed", "warning"}]
    if shown:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for column in ("gets in", "client", "stops at", "because of"):
            table.add_column(column, overflow="fold", header_style="dim")
        for alike in group_alike(shown):
            client = alike[0]
            verdict = Text(_VERDICTS[client.outcome], style=_STYLES[client.outcome])
            names = Text("; ".join(f"{one.name} {one.version}" for one in alike))
            table.add_row(verdict, names, Text(client.stage or "–"), Text("\n".join(client.because) or "–"))
        yield _indent(table)
    if shows_all:
        return
    listed: tuple[tuple[Outcome, str], ...] = (("passed", "Get in"), ("skipped", "Not tried"))
    for outcome, words in listed:
        others = [client.name for client in clients if client.outcome == outcome]
        if others:
            yield _indent(Text(f"{words}: {'; '.join(others)}.", style=_STYLES[outcome]))


def _render_finding(finding: Finding, names: dict[str, str]) -> tuple[RenderableType, bool]:
    head = Table.grid(padding=(0, 2, 0, 0))
    head.add_column(no_wrap=True)
    head.add_column(overflow="fold")
    head.add_row(Text(_WORDS[finding.outcome], style=_STYLES[finding.outcome]), Text(finding.title))
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for name, value in _describe(finding, names):
        lines.add_row(name, Text(value))
    return _indent(Group(head, _indent(lines))), bool(lines.row_count)


def _describe(finding: Finding, names: dict[str, str]) -> Iterable[tuple[str, str]]:
    if finding.why:
        yield "why", finding.why
    if finding.change:
        yield "change", finding.change
    if finding.outcome == "passed":
        return
    if finding.hurts:
        yield "hurts", _list_clients([names.get(client, client) for client in finding.hurts])
    if finding.evidence:
        seen = finding.evidence
        yield "seen", seen if len(seen) <= MAX_EVIDENCE else f"{seen[:MAX_EVIDENCE]}…"
    yield "check", finding.check + (f" ({', '.join(finding.requirements)})" if finding.requirements else "")


def _list_clients(names: list[str]) -> str:
    """All of a few; of many the first, since the table above has them all."""
    if len(names) <= MAX_NAMES:
        return "; ".join(names)
    return f"{'; '.join(names[:MAX_NAMES])}; and {len(names) - MAX_NAMES} more"


def _render_rest(report: Report, *, shows_all: bool) -> Iterable[RenderableType]:
    counted = count_outcomes(report.findings)
    if counted["passed"] and not shows_all:
        yield Text(f"\n{count(counted['passed'], 'check')} passed; --all lists them.", style="dim")
    left = [client_id for client_id, removed in report.registered if not removed]
    if left:
        words = "Left at the authorization server, which did not remove them"
        yield Text(f"\n{words}: {', '.join(left)}.", style=_STYLES["warning"])
    elif report.registered:
        yield Text(f"\n{count(len(report.registered), 'registration')} made, and removed again.", style="dim")
