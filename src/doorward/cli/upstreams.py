"""What `doorward protect` is to protect: from its command line, or from a file of several servers."""

import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from doorward.logs import log
from doorward.oauth.budgets import parse_budgets
from doorward.protecting import Upstream
from doorward.settings import EX_CONFIG
from doorward.starting import Stopped

DEFAULT_PATH = "/mcp"
USAGE = 2
"""Exit code of a command line that is wrong."""
# What is taken for a URL whose scheme was left out, when no command goes by that name.
_PORT_ALONE = re.compile(r"\d{1,5}")
_WITHOUT_SCHEME = re.compile(r"(localhost|[A-Za-z0-9.-]+:\d{1,5}|\[[0-9A-Fa-f:.]+\](:\d{1,5})?)(/.*)?")
_KINDS = {
    "bool_type": "is true or false",
    "extra_forbidden": "there is no such key",
    "list_type": 'is a list of texts, as in ["one", "two"]',
    "model_type": "is a table, [[server]]",
    "string_type": "is a text in quotes",
}


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


def read_upstreams(choices: Choices) -> tuple[Upstream, ...]:
    """What is to be protected. Raises `Stopped`, also for an option that would be ignored."""
    for origin in choices.allowed_origins:
        if origin not in {"*", "null"} and "://" not in origin:
            raise Stopped(f"--allow-origin takes an origin with its scheme, such as https://{origin}", USAGE)
    if choices.servers is not None:
        if choices.target:
            raise Stopped("Give either a server, or --servers with a file of them.", USAGE)
        refuse_ignored(_of_one_server(choices), "one server; with --servers it is a key of the file.")
        return _read_file(choices.servers, choices)
    url = _read_url(choices.target)
    if url:
        refuse_ignored({"--shared": choices.shared, "--env": choices.environment}, "a command.")
    else:
        behind = {"--headers-file": choices.headers_file, "--identity-key": choices.identity_key}
        refuse_ignored(behind, "a server at a URL.")
    _check_budgets(choices.budgets, "--budget")
    upstream = Upstream(
        path=choices.path or (_path_of(url) if url else DEFAULT_PATH),
        url=url,
        command=() if url else choices.target,
        name=choices.name,
        shared=choices.shared,
        headers=_read_headers(choices.headers_file) if choices.headers_file else {},
        environment=_pick_environment(choices.environment, "--env"),
        budgets=choices.budgets,
        options=_guard_options(choices, show_all_tools=choices.show_all_tools),
    )
    return (_check(upstream),)


def read_text(path: Path, *, is_secret: bool = False) -> str:
    """The text of a file, with a warning for a secret that others can read. Raises `Stopped`."""
    try:
        text = path.read_text("utf-8")
        mode = path.stat().st_mode
    except OSError as error:
        raise Stopped(f"{path}: {error.strerror}", EX_CONFIG) from None
    except UnicodeDecodeError:
        raise Stopped(f"{path} is not text in UTF-8.", EX_CONFIG) from None
    if is_secret and mode & 0o077:
        log.warning("other users of this machine can read a file that holds a secret: chmod 600", file=str(path))
    return text


def _of_one_server(choices: Choices) -> dict[str, Any]:
    return {
        "--path": choices.path,
        "--name": choices.name,
        "--shared": choices.shared,
        "--env": choices.environment,
        "--headers-file": choices.headers_file,
        "--show-all-tools": choices.show_all_tools,
    }


def refuse_ignored(given: Mapping[str, Any], is_for: str) -> None:
    """Nobody learns otherwise that what was asked for is not done."""
    for option, value in given.items():
        if value:
            raise Stopped(f"{option} is for {is_for}", USAGE)


def _read_url(target: Sequence[str]) -> str:
    """The URL of the server, or nothing when `target` is a command.

    What is neither is refused here, since a command of that name would be looked for instead. Raises `Stopped`.
    """
    if not target:
        raise Stopped("Give the URL of an MCP server, or -- and the command that starts one.", USAGE)
    first = target[0]
    if "://" in first:
        if len(target) > 1:
            raise Stopped("Give one URL, or one command; several servers are in a file: --servers.", USAGE)
        _check_url(first)
        return first
    if shutil.which(first) is None and (meant := _guess_url(first)):
        raise Stopped(f"{first!r} is neither a URL nor a command: did you mean {meant}?", USAGE)
    return ""


def _check_url(url: str) -> None:
    """What is left to say of it is said when it is first used. Raises `Stopped`, without what may be a password."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        meant = f": did you mean {guess}?" if (guess := _guess_url(url)) else ", such as http://localhost:3000/mcp."
        raise Stopped(f"url: A server is at a whole URL{meant}", EX_CONFIG)
    if scheme.lower() not in {"http", "https"}:
        raise Stopped(f"A server is at an http or https URL, not at {scheme}://", USAGE)
    try:
        urlsplit(url)
    except ValueError:
        raise Stopped("The URL of the server is not a valid one.", USAGE) from None


def _guess_url(text: str) -> str:
    if _PORT_ALONE.fullmatch(text):
        return f"http://localhost:{text}{DEFAULT_PATH}"
    if _WITHOUT_SCHEME.fullmatch(text):
        return f"http://{text}" if "/" in text else f"http://{text}{DEFAULT_PATH}"
    return ""


def _read_file(path: Path, choices: Choices) -> tuple[Upstream, ...]:
    """The `[[server]]` tables of a TOML file. Raises `Stopped` naming the table and what is wrong with it."""
    _check_budgets(choices.budgets, "--budget")
    try:
        tables = tomllib.loads(read_text(path)).get("server", [])
    except tomllib.TOMLDecodeError as error:
        raise Stopped(f"{path}: {error}", EX_CONFIG) from None
    if not isinstance(tables, list) or not tables:
        raise Stopped(f"{path} has no [[server]].", EX_CONFIG)
    upstreams = []
    for number, table in enumerate(tables, 1):
        try:
            upstreams.append(_read_table(table, path.parent, choices))
        except Stopped as stopped:
            raise Stopped(f"{path}: server {number}: {stopped}", EX_CONFIG) from None
    paths = [upstream.path for upstream in upstreams]
    for one in paths:
        if any(one != other and other.startswith(f"{one}/") for other in paths) or paths.count(one) > 1:
            raise Stopped(f"{path}: no server may be at, or below, the path of another: {one}", EX_CONFIG)
    return tuple(upstreams)


def _read_table(table: Any, folder: Path, choices: Choices) -> Upstream:
    """One server. A file that it names is looked for in `folder`, wherever the door was started."""
    server, command = _parse_table(table)
    if bool(server.url) == bool(command):
        raise Stopped("give either url or command.", EX_CONFIG)
    if server.url:
        _check_url(server.url)
        refuse_ignored({"shared": server.shared, "env": server.env}, "a command.")
    else:
        refuse_ignored({"headers_file": server.headers_file}, "a server at a URL.")
    _check_budgets(server.budgets or (), "budgets")
    return _check(
        Upstream(
            path=server.path or (_path_of(server.url) if server.url else DEFAULT_PATH),
            url=server.url,
            command=tuple(command),
            name=server.name,
            shared=server.shared,
            headers=_read_headers(folder / server.headers_file) if server.headers_file else {},
            environment=_pick_environment(server.env, "env"),
            budgets=choices.budgets if server.budgets is None else tuple(server.budgets),
            options=_guard_options(choices, show_all_tools=server.show_all_tools),
        )
    )


def _parse_table(table: Any) -> tuple[_Server, list[str]]:
    """A table, and its command in words: a text is split as a shell would, but no shell runs. Raises `Stopped`."""
    try:
        server = _Server.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        said = _KINDS.get(first["type"], first["msg"])
        raise Stopped(f"{'.'.join(map(str, first['loc'])) or 'table'}: {said}", EX_CONFIG) from None
    try:
        return server, shlex.split(server.command) if isinstance(server.command, str) else server.command
    except ValueError as error:
        raise Stopped(f"command: {error}", EX_CONFIG) from None


def _check(upstream: Upstream) -> Upstream:
    path = upstream.path
    if not path.startswith("/") or path.endswith("/") or "//" in path or "?" in path or "#" in path:
        raise Stopped(f"A path is such as /mcp, with no slash at its end: {path!r}", EX_CONFIG)
    if upstream.command and shutil.which(upstream.command[0]) is None:
        raise Stopped(f"There is no command that can be run by the name of {upstream.command[0]!r}.", EX_CONFIG)
    return upstream


def _check_budgets(texts: Sequence[str], given_as: str) -> None:
    try:
        parse_budgets(texts)
    except ValueError as error:
        raise Stopped(f"{given_as}: {error}", EX_CONFIG) from None


def _guard_options(choices: Choices, *, show_all_tools: bool) -> dict[str, Any]:
    return {"shows_all_tools": show_all_tools, "allowed_origins": choices.allowed_origins}


def _path_of(url: str) -> str:
    """The path of a server stays the same in public, but for one that has none."""
    return urlsplit(url).path.rstrip("/") or DEFAULT_PATH


def _read_headers(path: Path) -> dict[str, str]:
    """Headers for the server behind, one `Name: value` a line; a file, since they are secrets. Raises `Stopped`."""
    headers: dict[str, str] = {}
    for line in read_text(path, is_secret=True).splitlines():
        name, separator, value = line.partition(":")
        if line.strip() and not line.startswith("#"):
            if not separator or not name.strip():
                raise Stopped(f"{path}: a line is no header. Write: Name: value", EX_CONFIG)
            headers[name.strip()] = value.strip()
    return headers


def _pick_environment(names: Sequence[str], given_as: str) -> dict[str, str]:
    """Variables of our own environment that the command gets, too. Raises `Stopped` for one that is not set."""
    for name in names:
        alone, separator, _ = name.partition("=")  # what follows may be a secret, and is not repeated
        if separator:
            message = f"{given_as} takes the name alone, {alone}; its value is that of the environment."
            raise Stopped(message, USAGE)
        if name not in os.environ:
            raise Stopped(f"{given_as}: {name} is not set in the environment.", EX_CONFIG)
    return {name: os.environ[name] for name in names}
