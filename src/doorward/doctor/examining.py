"""One visit: everything is asked, every known client's way is walked, and what was registered is removed again.

Spec: product.md, feature 2
"""

import time
from collections.abc import Callable
from dataclasses import replace

import anyio

from doorward import __version__

from .checks import run_checks
from .checks.subject import Subject
from .clients import judge_client
from .findings import ClientVerdict, Finding, Report
from .gathering import gather_endpoints, gather_metadata
from .knocking import MAX_REGISTRATIONS, ask_for_tokens, authorize_all, register_all, remove_registrations
from .logging_in import Login, log_in
from .profiles import Profile, known_profiles
from .sending import JudgedSender, Sender
from .visits import Visit

REMOVAL_SECONDS = 60


async def examine(
    url: str,
    *,
    register: bool = True,
    most_registrations: int = MAX_REGISTRATIONS,
    profiles: tuple[Profile, ...] | None = None,
    login: Login | None = None,
    sender: Sender | None = None,
    clock: Callable[[], float] = time.time,
) -> Report:
    """What known clients, or those of `profiles`, meet at `url`.

    Registers at most `most_registrations` clients, and none unless `register`; removes what can be removed. With
    `login` a person logs in. Raises `AddressRefused` for a URL that is none of a server.
    """
    started_at = clock()
    sender = sender or JudgedSender(url, clock=clock)
    visit = Visit(url, profiles=known_profiles() if profiles is None else profiles, registers=register)
    await visit_server(visit, sender, login=login, most_registrations=most_registrations)
    clients = tuple(judge_client(profile, visit) for profile in visit.profiles)
    findings = tuple(_with_victims(finding, clients) for finding in run_checks(Subject(visit)))
    registered = tuple((one.client_id, one.removed) for one in (*visit.unmeant, *visit.registrations) if one.client_id)
    return Report(url, started_at, clock(), __version__, findings, clients, registered)


async def visit_server(
    visit: Visit, sender: Sender, *, login: Login | None = None, most_registrations: int = MAX_REGISTRATIONS
) -> None:
    """Ask everything there is to ask, and leave nothing behind that can be removed."""
    await gather_metadata(visit, sender)
    try:
        found = await gather_endpoints(visit, sender)
        if found is None:
            return
        if visit.registers:
            await register_all(visit, sender, most=most_registrations)
        await authorize_all(visit, sender, found)
        await ask_for_tokens(visit, sender, found)
        if login is not None:
            visit.login = await log_in(visit, sender, found, login)
    finally:
        # Also when the visit is given up: nobody else knows what was registered.
        with anyio.move_on_after(REMOVAL_SECONDS, shield=True):
            await remove_registrations(visit, sender)


def _with_victims(finding: Finding, clients: tuple[ClientVerdict, ...]) -> Finding:
    """The finding with the clients that it stops or troubles; what stops a client has failed."""
    hurt = [client for client in clients if client.outcome in ("failed", "warning") and finding.check in client.because]
    if finding.outcome == "warning" and any(client.outcome == "failed" for client in hurt):
        finding = replace(finding, outcome="failed")
    return replace(finding, hurts=tuple(client.client for client in hurt))
