"""`doorward doctor`: examines a server, and shows the report in the forms that were asked for."""

import json
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console

from doorward.client.browser import BrowserInteraction
from doorward.client.errors import AddressRefused, ClientError
from doorward.doctor.documents import build_document, build_junit
from doorward.doctor.examining import Login, examine
from doorward.doctor.findings import Report
from doorward.doctor.page import build_page
from doorward.doctor.profiles import known_profiles
from doorward.doctor.terminal import print_report

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
    clients: tuple[str, ...] = ()
    registers: bool = True
    as_json: bool = False
    junit: Path | None = None
    html: Path | None = None
    shows_all: bool = False
    is_strict: bool = False
    ca_file: Path | None = None


class _WrongUsage(Exception):  # noqa: N818  # names what happened
    """An option that cannot be followed."""


def run_doctor(wishes: Wishes) -> int:
    """Examine, show, and return the exit code: 0 all well, 1 something fails, 2 wrong usage, 78 not examined."""
    try:
        arguments = _check(wishes)
        report = _examine(wishes, arguments)
        _write_files(report, wishes)
    except _WrongUsage as wrong:
        return _refuse(str(wrong), WRONG_USAGE)
    except AddressRefused as refused:
        return _refuse(str(refused), WRONG_USAGE)
    except ClientError as error:
        return _refuse(str(error), NOT_EXAMINED)
    if wishes.as_json:
        print(json.dumps(build_document(report), indent=2, ensure_ascii=False))
    else:
        print_report(report, Console(), shows_all=wishes.shows_all)
    fails = report.outcome == "failed" or (report.outcome == "warning" and wishes.is_strict)
    return FAILED if fails else 0


def _refuse(message: str, code: int) -> int:
    print(f"doorward: {message}", file=sys.stderr)
    return code


def _check(wishes: Wishes) -> dict[str, Any]:
    """The arguments of the tool. Everything that can be known to be wrong is said before the first request."""
    known = [profile.id for profile in known_profiles()]
    unknown = [client for client in wishes.clients if client not in known]
    if unknown:
        raise _WrongUsage(f"--client {unknown[0]}: no such client is known. Known are {', '.join(known)}.")
    if wishes.tool is not None and not wishes.signs_in:
        raise _WrongUsage("--tool needs --login: a tool is called with a token.")
    if wishes.arguments is not None and wishes.tool is None:
        raise _WrongUsage("--arguments needs --tool.")
    for option, path in (("--junit", wishes.junit), ("--html", wishes.html)):
        if path is not None and not path.absolute().parent.is_dir():
            raise _WrongUsage(f"{option} {path}: there is no folder {path.absolute().parent}.")
    if wishes.ca_file is not None:
        _check_authority(wishes.ca_file)
    return _parse_arguments(wishes.arguments or "{}")


def _check_authority(path: Path) -> None:
    if not path.is_file():
        raise _WrongUsage(f"--ca-file {path}: there is no such file.")
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # of which the errors of ssl are some
        raise _WrongUsage(f"--ca-file {path}: it holds no certificate in PEM.") from None


def _parse_arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise _WrongUsage("""--arguments: give a JSON object, such as '{"city": "Lisbon"}'.""")
    return arguments


def _examine(wishes: Wishes, arguments: dict[str, Any]) -> Report:
    """The report; on the way a terminal shows what is being looked at."""
    console = Console(stderr=True)
    login = Login(BrowserInteraction(), wishes.tool, arguments) if wishes.signs_in else None

    async def run(tell: Callable[[str], None]) -> Report:
        return await examine(
            wishes.url,
            clients=wishes.clients,
            registers=wishes.registers,
            login=login,
            trust=str(wishes.ca_file) if wishes.ca_file else None,
            tell=tell,
        )

    with console.status("Looking at the server") as status:
        return anyio.run(run, status.update)


def _write_files(report: Report, wishes: Wishes) -> None:
    for option, path, build in (
        ("--junit", wishes.junit, lambda: build_junit(report, is_strict=wishes.is_strict)),
        ("--html", wishes.html, lambda: build_page(report)),
    ):
        if path is None:
            continue
        try:
            path.write_text(build(), encoding="utf-8")
        except OSError as error:
            raise _WrongUsage(f"{option} {path}: {error.strerror}.") from None
