"""`doorward protect`: a door in front of MCP servers that know nothing of it."""

import json
import os
import shlex
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import uvloop
from pydantic import BaseModel, ValidationError

from doorward.app import Doorward
from doorward.logs import configure_logs, log
from doorward.manage.operator import ActionRefused
from doorward.protecting import Elsewhere, Upstream, mount_all, mount_for_issuer, tools_file
from doorward.resource.identity import IdentitySigner
from doorward.serving import Certificate, Served, check_port, leave, run_server
from doorward.settings import EX_CONFIG, Settings
from doorward.starting import Stopped, opened, read_settings

DEFAULT_PATH = "/mcp"
_USAGE = 2
_UNTOLD = (
    "the issuer is not told of tools, so one that is added or changed later stays closed to everybody:"
    " give --key-file, or delete the file to open what there is then"
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line asks for, beside the settings."""

    target: tuple[str, ...]
    path: str | None
    name: str
    shared: bool
    headers_file: Path | None
    environment: tuple[str, ...]
    budgets: tuple[str, ...]
    show_all_tools: bool
    allowed_origins: tuple[str, ...]
    servers: Path | None
    issuer: str | None
    key_file: Path | None
    introspects: bool
    legacy_clients: bool
    identity_key: Path | None
    tls_certificate: Path | None
    tls_key: Path | None
    as_json: bool


class _Server(BaseModel, extra="forbid", strict=True):
    """A `[[server]]` table as it is written."""

    path: str = ""
    url: str = ""
    command: str | list[str] = ""
    name: str = ""
    shared: bool = False
    headers_file: str = ""
    env: list[str] = []
    budgets: list[str] | None = None
    show_all_tools: bool = False


def run_protect(options: Mapping[str, Any], choices: Choices) -> int:
    """Serve until SIGTERM or Ctrl-C, and end the process; only a start that was refused returns its exit code."""
    try:
        uvloop.run(_serve(read_settings(options), choices))
    except Stopped as stopped:
        print(f"doorward: {stopped}", file=sys.stderr)
        return stopped.code


async def _serve(settings: Settings, choices: Choices) -> NoReturn:
    configure_logs(settings.log)
    upstreams = _read_upstreams(choices)
    certificate = _read_certificate(settings, choices)
    key = _read_key(choices)
    check_port(settings)
    setup_link: str | None = None
    try:
        signer = IdentitySigner.from_pem(choices.identity_key) if choices.identity_key else IdentitySigner()
        app: Served
        if choices.issuer:
            app = _stand_alone(settings, choices, upstreams, signer, key)
        else:
            async with opened(settings) as parts:
                app = Doorward(parts.context, await mount_all(parts, upstreams, signer))
                setup_link = parts.setup_link
    except (ValueError, ActionRefused) as refused:
        raise Stopped(str(refused), EX_CONFIG) from None
    facts = _facts(settings, choices, upstreams, setup_link)
    announce = partial(_announce, facts, as_json=choices.as_json)
    leave(await run_server(app, settings, announce, certificate=certificate))


def _stand_alone(
    settings: Settings, choices: Choices, upstreams: Sequence[Upstream], signer: IdentitySigner, key: str | None
) -> Served:
    if key is None:
        for upstream in upstreams:
            log.warning(_UNTOLD, server=upstream.path, file=str(tools_file(settings.data, upstream.path)))
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    elsewhere = Elsewhere(choices.issuer or "", key, choices.introspects, choices.legacy_clients)
    return mount_for_issuer(elsewhere, settings.public_url, upstreams, signer, data=settings.data)


def _read_key(choices: Choices) -> str | None:
    """The key that the issuer elsewhere is talked to with. Raises `Stopped`."""
    if choices.key_file is None:
        if choices.introspects:
            raise Stopped("--introspect needs a key of the issuer: give --key-file.", _USAGE)
        return None
    if not choices.issuer:
        raise Stopped("--key-file is for an authorization server elsewhere: give --issuer.", _USAGE)
    key = _read_text(choices.key_file).strip()
    if not key or not key.isascii() or not key.isprintable():
        raise Stopped(f"{choices.key_file} holds no key.", EX_CONFIG)
    return key


def _read_upstreams(choices: Choices) -> tuple[Upstream, ...]:
    """What is to be protected. Raises `Stopped`."""
    if choices.servers is not None:
        if choices.target:
            raise Stopped("Give either a server, or --servers with a file of them.", _USAGE)
        return _read_file(choices.servers, choices)
    if not choices.target:
        raise Stopped("Give the URL of an MCP server, or -- and the command that starts one.", _USAGE)
    is_url = len(choices.target) == 1 and urlsplit(choices.target[0]).scheme.lower() in ("http", "https")
    upstream = Upstream(
        path=choices.path or (_path_of(choices.target[0]) if is_url else DEFAULT_PATH),
        url=choices.target[0] if is_url else "",
        command=() if is_url else choices.target,
        name=choices.name,
        shared=choices.shared,
        headers=_read_headers(choices.headers_file) if choices.headers_file else {},
        environment=_pick_environment(choices.environment),
        budgets=choices.budgets,
        options=_guard_options(choices, show_all_tools=choices.show_all_tools),
    )
    return (_check(upstream),)


def _read_file(path: Path, choices: Choices) -> tuple[Upstream, ...]:
    """The `[[server]]` tables of a TOML file. Raises `Stopped` naming the table and what is wrong with it."""
    try:
        tables = tomllib.loads(_read_text(path)).get("server", [])
    except tomllib.TOMLDecodeError as error:
        raise Stopped(f"{path}: {error}", EX_CONFIG) from None
    if not isinstance(tables, list) or not tables:
        raise Stopped(f"{path} has no [[server]].", EX_CONFIG)
    upstreams = tuple(_read_table(table, f"{path}: server {number}", choices) for number, table in enumerate(tables, 1))
    paths = [upstream.path for upstream in upstreams]
    for one in paths:
        if any(one != other and other.startswith(f"{one}/") for other in paths) or paths.count(one) > 1:
            raise Stopped(f"{path}: no server may be at, or below, the path of another: {one}", EX_CONFIG)
    return upstreams


def _read_table(table: Any, where: str, choices: Choices) -> Upstream:
    try:
        server = _Server.model_validate(table)
        command = shlex.split(server.command) if isinstance(server.command, str) else server.command
    except ValidationError as error:
        first = error.errors()[0]
        raise Stopped(f"{where}: {'.'.join(map(str, first['loc'])) or 'table'}: {first['msg']}", EX_CONFIG) from None
    except ValueError as error:
        raise Stopped(f"{where}: command: {error}", EX_CONFIG) from None
    if bool(server.url) == bool(command):
        raise Stopped(f"{where}: give either url or command.", EX_CONFIG)
    try:
        return _check(
            Upstream(
                path=server.path or (_path_of(server.url) if server.url else DEFAULT_PATH),
                url=server.url,
                command=tuple(command),
                name=server.name,
                shared=server.shared,
                headers=_read_headers(Path(server.headers_file)) if server.headers_file else {},
                environment=_pick_environment(server.env),
                budgets=choices.budgets if server.budgets is None else tuple(server.budgets),
                options=_guard_options(choices, show_all_tools=server.show_all_tools),
            )
        )
    except Stopped as stopped:
        raise Stopped(f"{where}: {stopped}", stopped.code) from None


def _check(upstream: Upstream) -> Upstream:
    path = upstream.path
    if not path.startswith("/") or path.endswith("/") or "//" in path or "?" in path or "#" in path:
        raise Stopped(f"A path is such as /mcp, with no slash at its end: {path!r}", EX_CONFIG)
    if upstream.command and shutil.which(upstream.command[0]) is None:
        raise Stopped(f"There is no command that can be run by the name of {upstream.command[0]!r}.", EX_CONFIG)
    return upstream


def _guard_options(choices: Choices, *, show_all_tools: bool) -> dict[str, Any]:
    return {"shows_all_tools": show_all_tools, "allowed_origins": choices.allowed_origins}


def _path_of(url: str) -> str:
    """The path of a server stays the same in public, but for one that has none."""
    return urlsplit(url).path.rstrip("/") or DEFAULT_PATH


def _read_headers(path: Path) -> dict[str, str]:
    """Headers for the server behind, one `Name: value` a line; a file, since they are secrets. Raises `Stopped`."""
    headers: dict[str, str] = {}
    for line in _read_text(path).splitlines():
        name, separator, value = line.partition(":")
        if line.strip() and not line.startswith("#"):
            if not separator or not name.strip():
                raise Stopped(f"{path}: a line is no header. Write: Name: value", EX_CONFIG)
            headers[name.strip()] = value.strip()
    return headers


def _pick_environment(names: Sequence[str]) -> dict[str, str]:
    """Variables of our own environment that the command gets, too. Raises `Stopped` for one that is not set."""
    for name in names:
        if name not in os.environ:
            raise Stopped(f"{name} is not set in the environment.", EX_CONFIG)
    return {name: os.environ[name] for name in names}


def _read_certificate(settings: Settings, choices: Choices) -> Certificate | None:
    chain, key = choices.tls_certificate, choices.tls_key
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise Stopped("Give --tls-certificate and --tls-key together.", _USAGE)
    if not settings.is_secure:
        raise Stopped("With a certificate the public URL is https: give it as --public-url.", EX_CONFIG)
    for path in (chain, key):
        _read_text(path)
    return Certificate(chain, key)


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise Stopped(f"{path}: {error.strerror}", EX_CONFIG) from None
    except UnicodeDecodeError:
        raise Stopped(f"{path} is not text in UTF-8.", EX_CONFIG) from None


def _facts(
    settings: Settings, choices: Choices, upstreams: Sequence[Upstream], setup_link: str | None
) -> dict[str, Any]:
    return {
        "issuer": choices.issuer or settings.public_url,
        "is_local": not choices.issuer,
        "servers": {f"{settings.public_url}{upstream.path}": upstream.described for upstream in upstreams},
        "setup_link": setup_link,
        "data": str(settings.data),
    }


def _announce(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Tell the terminal what is there; scripts wait for the line `ready <MCP URL>`."""
    first = next(iter(facts["servers"]))
    if as_json:
        print(json.dumps({"ready": first, **facts}), flush=True)
        print(f"ready {first}", flush=True)
        return
    lines = ["", "  The door is up.", ""]
    for url, behind in facts["servers"].items():
        lines += [f"  MCP server   {url}", f"               in front of {behind}"]
    lines.append(f"  issuer       {facts['issuer']}")
    if facts["setup_link"]:
        lines.append(f"  dashboard    {facts['setup_link']}")
        lines.append("               Open it once to make the first administrator.")
    elif facts["is_local"]:
        lines.append(f"  dashboard    {facts['issuer']}/dashboard")
    lines += ["", "  Give the MCP server's address to any MCP client: it finds the way in by itself.", ""]
    print("\n".join(lines), flush=True)
    print(f"ready {first}", flush=True)
