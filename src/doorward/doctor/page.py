"""The report as one page that can be passed on: a single file that loads nothing, runs nothing and needs nobody."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

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

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '$style_hash'; base-uri 'none'; \
form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>$headline · $url</title>
<style>$style</style>
</head>
<body>
<header>
<p class="made">Doorward doctor · <time datetime="$machine_time">$time</time></p>
<h1>$mark<span>$headline</span></h1>
<p class="url"><code>$url</code></p>
<p class="tally">$tally</p>
</header>
<main>
$clients
$problems
$rest
</main>
<footer>$footer</footer>
</body>
</html>
""")
_SHAPES: dict[Outcome, str] = {
    "passed": '<path d="m6.5 12.5 3.5 3.5 7.5-8"/>',
    "warning": '<path d="M12 6.5v6.5"/><path d="M12 16.8v.2"/>',
    "failed": '<path d="m8 8 8 8m0-8-8 8"/>',
    "skipped": '<path d="M7.5 12h9"/>',
}
_PROBLEMS = {"failed", "warning"}
_VERDICTS: dict[Outcome, str] = {
    "failed": "stays out",
    "warning": "gets in, warned",
}
_OTHERS: tuple[tuple[Outcome, str], ...] = (("passed", "Who gets in"), ("skipped", "Who was not tried"))
_CHECKED: dict[Outcome, str] = {"failed": "failed", "warning": "warning", "passed": "passed", "skipped": "skipped"}
_CLASSES: dict[Outcome, str] = {"failed": "failed", "warning": "warning", "passed": "passed-mark", "skipped": "skipped"}


def build_page(report: Report) -> str:
    """The whole page. Every text of it is escaped, and its policy lets nothing run if one were not. Spec: T11"""
    report = without_secrets(report)
    style = _read_style()
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    finished = datetime.fromtimestamp(report.finished_at, UTC)
    return _PAGE.substitute(
        style_hash=f"sha256-{digest}",
        style=style,
        headline=escape(headline(report)),
        url=escape(report.url),
        time=f"{finished.day} {finished:%B %Y, %H:%M} UTC",
        machine_time=finished.isoformat(timespec="seconds"),
        mark=_draw(report.outcome),
        tally=escape(f"{tally(report)}, in {report.finished_at - report.started_at:.1f} s."),
        clients=_render_clients(report),
        problems=_render_problems(report),
        rest=_render_rest(report.findings),
        footer=_render_footer(report),
    )


@cache
def _read_style() -> str:
    return (files("doorward.doctor") / "page.css").read_text(encoding="utf-8")


def _draw(outcome: Outcome) -> str:
    """A sign in a circle; the words beside it say the same."""
    return (
        f'<svg class="{_CLASSES[outcome]}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
        f'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="12" cy="12" r="10"/>'
        f"{_SHAPES[outcome]}</svg>"
    )


def _mark(outcome: Outcome, words: str) -> str:
    return f'<span class="mark {_CLASSES[outcome]}">{_draw(outcome)}{words}</span>'


def _render_clients(report: Report) -> str:
    """Those with something to say of in a table, the others as names."""
    if not report.clients:
        return ""
    linked = {finding.check for finding in report.findings if finding.outcome in _PROBLEMS}
    troubled = [client for client in report.clients if client.outcome in _PROBLEMS]
    rows = [_render_alike(alike, linked) for alike in group_alike(troubled)]
    parts = ["<section>"]
    if rows:
        head = '<thead><tr><th scope="col">Client</th><th scope="col">Verdict</th></tr></thead>'
        parts.append(f"<table>\n<caption>Who has trouble</caption>\n{head}\n<tbody>")
        parts += [*rows, "</tbody></table>"]
    for outcome, words in _OTHERS:
        others = [client for client in report.clients if client.outcome == outcome]
        if others:
            parts.append(f'<h2>{words}</h2>\n<ul class="names">')
            parts += [*map(_render_name, others), "</ul>"]
    return "\n".join([*parts, "</section>"])


def _render_name(client: ClientVerdict) -> str:
    return (
        f'<li>{_draw(client.outcome)}<span>{escape(client.name)} <span class="version">{escape(client.version)}</span>'
        "</span></li>"
    )


def _render_alike(alike: list[ClientVerdict], linked: set[str]) -> str:
    """One row for all clients that end at the same place for the same reason."""
    client = alike[0]
    because = ", ".join(
        f'<a href="#{escape(check)}"><code>{escape(check)}</code></a>'
        if check in linked
        else f"<code>{escape(check)}</code>"
        for check in client.because
    )
    where = f"stops at {escape(client.stage)}" if client.stage else ""
    told = ": ".join(filter(None, (where, because)))
    names = "; ".join(
        f'<span class="client">{escape(one.name)}</span> <span class="version">{escape(one.version)}</span>'
        for one in alike
    )
    return (
        f'<tr><th scope="row">{names}'
        + (f'<span class="because">{told}</span>' if told else "")
        + f"</th><td>{_mark(client.outcome, _VERDICTS[client.outcome])}</td></tr>"
    )


def _render_problems(report: Report) -> str:
    wrong = [finding for finding in report.findings if finding.outcome in _PROBLEMS]
    if not wrong:
        return ""
    names = name_clients(report)
    parts = ["<section>", "<h2>What to change</h2>"]
    for step, findings in group_by_step(wrong).items():
        parts += [f"<h3>{escape(step)}</h3>", *(_render_problem(finding, names) for finding in findings)]
    return "\n".join([*parts, "</section>"])


def _render_problem(finding: Finding, names: dict[str, str]) -> str:
    facts = "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in _describe(finding, names))
    return (
        f'<article id="{escape(finding.check)}">\n<div class="title"><h4>{escape(finding.title)}</h4>'
        f"{_mark(finding.outcome, _CHECKED[finding.outcome])}</div>\n<dl>\n{facts}\n</dl>\n</article>"
    )


def _describe(finding: Finding, names: dict[str, str]) -> Iterable[tuple[str, str]]:
    if finding.why:
        yield "Why", escape(finding.why)
    if finding.change:
        yield "Change", escape(finding.change)
    if finding.hurts:
        yield "Hurts", escape("; ".join(names.get(client, client) for client in finding.hurts))
    if finding.evidence:
        yield "Seen", f"<pre>{escape(finding.evidence)}</pre>"
    required = f" ({escape(', '.join(finding.requirements))})" if finding.requirements else ""
    yield "Check", f"<code>{escape(finding.check)}</code>{required}"


def _render_rest(findings: tuple[Finding, ...]) -> str:
    """What needs no change, folded."""
    rest = [finding for finding in findings if finding.outcome in {"passed", "skipped"}]
    if not rest:
        return ""
    counted = count_outcomes(rest)
    words = f"{count(counted['passed'], 'check')} passed"
    if counted["skipped"]:
        words += f", {counted['skipped']} skipped"
    parts = [f'<details class="passed"><summary>{words}</summary>']
    for step, of_step in group_by_step(rest).items():
        items = "\n".join(_render_passed(finding) for finding in of_step)
        parts.append(f"<h3>{escape(step)}</h3>\n<ul>\n{items}\n</ul>")
    return "\n".join([*parts, "</details>"])


def _render_passed(finding: Finding) -> str:
    if finding.outcome == "passed":
        return f"<li>{escape(finding.title)}</li>"
    why = f": {escape(finding.why)}" if finding.why else ""
    return f'<li class="skipped">{escape(finding.title)} (skipped{why})</li>'


def _render_footer(report: Report) -> str:
    left = [client_id for client_id, removed in report.registered if not removed]
    parts = []
    if left:
        ids = ", ".join(f"<code>{escape(client_id)}</code>" for client_id in left)
        parts.append(f"<p>Left at the authorization server, which did not remove them: {ids}.</p>")
    elif report.registered:
        parts.append(f"<p>{count(len(report.registered), 'registration')} made, and removed again.</p>")
    made = f"Made by <code>doorward doctor</code> {escape(report.version)}"
    return "\n".join([*parts, f"<p>{made}. This page holds no secrets and loads nothing.</p>"])
