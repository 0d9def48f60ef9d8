"""`doorward doctor`: examines a server, and shows the report in the forms that were asked for."""

import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.text import Text

from doorward.client.addresses import check_server_url
from doorward.client.browser import BrowserInteraction
from doorward.client.errors import AddressRefused
from doorward.doctor.documents import build_document, build_junit
from doorward.doctor.examining import examine
from doorward.doctor.findings import Report
from doorward.doctor.logging_in import Login
from doorward.doctor.page import build_page
from doorward.doctor.profiles import known_profiles
from doorward.doctor.sending import JudgedSender, Sender
from doorward.doctor.terminal import print_report
from doorward.doctor.visits import Ask, Seen
from doorward.doctor.wording import for_clients, plain, without_secrets

from .client.arguments import read_arguments
from .output import render_json

FAILED = 1
WRONG_USAGE = 2
NOT_EXAMINED = 78
"""As an unusable configuration: what stands at that address cannot be judged. Spec: docs/commands.md"""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command was asked for."""

    url: str
    signs_in: bool = False
    tool: str | None = None
    arguments: str | None = None
    client_id: str | None = None
    siblings: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    registers: bool = True
    as_json: bool = False
    junit: Path | None = None
    html: Path | None = None
    shows_all: bool = False
    is_strict: bool = False
    ca_file: Path | None = None


class _NotExamined(Exception):  # noqa: N818  # names what happened
    """There is nothing at the address that could be judged."""


class _WrongUsage(Exception):  # noqa: N818  # names what happened
    """An option that cannot be followed."""


def run_doctor(wishes: Wishes) -> int:
    """Examine, show, and return the exit code: 0 all well, 1 something fails, 2 wrong usage, 78 not examined."""
    try:
        arguments = _check(wishes)
        report = _examine(wishes, arguments)
        _write_files(report, wishes)
    except (_WrongUsage, AddressRefused) as wrong:
        return _refuse(str(wrong), WRONG_USAGE)
    except _NotExamined as nothing:
        return _refuse(str(nothing), NOT_EXAMINED)
    if wishes.as_json:
        print(render_json(build_document(report)))
    else:
        print_report(report, Console(), shows_all=wishes.shows_all)
    fails = report.outcome == "failed" or (report.outcome == "warning" and wishes.is_strict)
    return FAILED if fails else 0


def _refuse(message: str, code: int) -> int:
    print(f"doorward: {message}", file=sys.stderr)
    return code


def _check(wishes: Wishes) -> dict[str, Any]:
    """The arguments of the tool. Everything that can be known to be wrong is said before the first request."""
    if "@" in wishes.url.partition("://")[2].partition("/")[0]:
        raise _WrongUsage("Give the URL of the server without a name or password in it.")
    known = [profile.id for profile in known_profiles()]
    unknown = [client for client in wishes.clients if client not in known]
    if unknown:
        raise _WrongUsage(f"--client {unknown[0]}: no such client is known. Known are {', '.join(known)}.")
    if wishes.tool is not None and not wishes.signs_in:
        raise _WrongUsage("--tool needs --login: a tool is called with a token.")
    if wishes.client_id is not None and not wishes.signs_in:
        raise _WrongUsage("--client-id needs --login: it is whom the doctor signs in as.")
    _check_siblings(wishes)
    if wishes.arguments is not None and wishes.tool is None:
        raise _WrongUsage("--arguments needs --tool.")
    for option, path in (("--junit", wishes.junit), ("--html", wishes.html)):
        if path is not None and not path.absolute().parent.is_dir():
            raise _WrongUsage(f"{option} {path}: there is no folder {path.absolute().parent}.")
    if wishes.ca_file is not None:
        _check_authority(wishes.ca_file)
    try:
        return read_arguments(wishes.arguments or "{}")
    except ValueError as error:
        raise _WrongUsage(f"--arguments: {error}.") from None


def _check_siblings(wishes: Wishes) -> None:
    if wishes.siblings and not wishes.signs_in:
        raise _WrongUsage("--sibling needs --login: it is what the token is tried at.")
    for sibling in wishes.siblings:
        try:
            check_server_url(sibling)
        except AddressRefused as refused:
            raise _WrongUsage(f"--sibling: {refused}") from None


def _check_authority(path: Path) -> None:
    if not path.is_file():
        raise _WrongUsage(f"--ca-file {path}: there is no such file.")
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # of which the errors of ssl are some
        raise _WrongUsage(f"--ca-file {path}: it holds no certificate in PEM.") from None


@dataclass(slots=True)
class _Telling:
    """A sender that tells how far the visit is, without a query: it may hold what is nobody else's business."""

    sender: Sender
    tell: Callable[[str], None]
    made: int = 0

    async def send(self, ask: Ask) -> Seen:
        self.made += 1
        self.tell(f"{self.made}  {ask.method} {plain(ask.url.partition('?')[0])}")
        return await self.sender.send(ask)


def _examine(wishes: Wishes, arguments: dict[str, Any]) -> Report:
    """The report; on the way a terminal shows what is being looked at."""
    # Whole lines: an address is copied from here.
    console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    trust = str(wishes.ca_file) if wishes.ca_file else None
    login = None
    if wishes.signs_in:
        client_id, tool = wishes.client_id or "", wishes.tool or ""
        login = Login(
            BrowserInteraction(announce=console.print),
            client_id=client_id,
            tool=tool,
            arguments=arguments,
            siblings=wishes.siblings,
        )

    async def run(tell: Callable[[str], None]) -> Report:
        sender = _Telling(JudgedSender(wishes.url, trust=trust), tell)
        return await examine(wishes.url, register=wishes.registers, login=login, sender=sender)

    with console.status("", spinner="line") as status:
        report = anyio.run(run, lambda words: status.update(Text(words, overflow="ellipsis", no_wrap=True)))
    nothing = next((one for one in report.findings if one.check == "reachable" and one.outcome == "failed"), None)
    if nothing is not None:
        raise _NotExamined(f"{without_secrets(report).url}: {plain(nothing.why)} {nothing.change}")
    return for_clients(report, wishes.clients) if wishes.clients else report


def _write_files(report: Report, wishes: Wishes) -> None:
    if wishes.junit is not None:
        _write("--junit", wishes.junit, build_junit(report, is_strict=wishes.is_strict))
    if wishes.html is not None:
        _write("--html", wishes.html, build_page(report))


def _write(option: str, path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _WrongUsage(f"{option} {path}: {error.strerror}.") from None
