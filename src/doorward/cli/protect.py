"""`doorward protect`: a door in front of MCP servers that know nothing of it."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import uvloop
from joserfc.jwk import ECKey

from doorward.app import Doorward
from doorward.logs import configure_logs, log
from doorward.manage.operator import ActionRefused
from doorward.oauth.scopes import READ_TOOLS, WRITE_TOOLS
from doorward.protecting import Elsewhere, Upstream, mount_all, mount_for_issuer, tools_file
from doorward.resource.identity import IdentitySigner
from doorward.serving import Certificate, Served, check_port, leave, run_server
from doorward.settings import EX_CONFIG, Settings
from doorward.starting import Stopped, opened, read_settings

from .opening import name_options
from .upstreams import USAGE, Choices, read_text, read_upstreams, refuse_ignored

_OPTIONS = {"data": "--data", "host": "--host", "port": "--port", "issuer": "--public-url"}
"""The option that each setting is given by."""
_SCOPES = f"--scope {READ_TOOLS} --scope {WRITE_TOOLS}"
_UNTOLD = (
    "the issuer is not told of tools, so one that is added or changed later stays closed to everybody:"
    " give --key-file, or delete the file to open what there is then"
)


def run_protect(options: Mapping[str, Any], choices: Choices) -> int:
    """Serve until SIGTERM or Ctrl-C, and end the process; only a start that was refused returns its exit code."""
    try:
        uvloop.run(_serve(read_settings(options), choices))
    except Stopped as stopped:
        print(f"doorward: {name_options(str(stopped), options, _OPTIONS)}", file=sys.stderr)
        return stopped.code


async def _serve(settings: Settings, choices: Choices) -> NoReturn:
    configure_logs(settings.log)
    upstreams = read_upstreams(choices)
    certificate = _read_certificate(settings, choices)
    key = _read_key(choices)
    check_port(settings)
    setup_link: str | None = None
    try:
        signer = _read_signer(choices.identity_key)
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
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    elsewhere = Elsewhere(choices.issuer or "", key, choices.introspects, choices.legacy_clients)
    standing = mount_for_issuer(elsewhere, settings.public_url, upstreams, signer, data=settings.data)
    if key is None:
        for upstream in upstreams:
            log.warning(_UNTOLD, server=upstream.path, file=str(tools_file(settings.data, upstream.path)))
    return standing


def _read_key(choices: Choices) -> str | None:
    """The key that the issuer elsewhere is talked to with. Raises `Stopped`."""
    if not choices.issuer:
        asked = {"--introspect": choices.introspects, "--legacy-clients": choices.legacy_clients}
        is_for = "an authorization server elsewhere: give --issuer."
        refuse_ignored({"--key-file": choices.key_file, **asked}, is_for)
    if choices.key_file is None:
        if choices.introspects:
            raise Stopped("--introspect needs a key of the issuer: give --key-file.", USAGE)
        return None
    key = read_text(choices.key_file, is_secret=True).strip()
    if not key or not key.isascii() or not key.isprintable():
        raise Stopped(f"{choices.key_file} holds no key.", EX_CONFIG)
    return key


def _read_signer(path: Path | None) -> IdentitySigner:
    """What signs the identity header, with a key made at the first start where `path` names no file yet.

    Raises `ValueError` for a file without such a key, and `Stopped` where none can be made.
    """
    if path is None:
        return IdentitySigner()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(ECKey.generate_key("P-256", private=True).as_pem(private=True))
        log.info("a key for the identity header was made", file=str(path))
    except FileExistsError:
        read_text(path, is_secret=True)
    except OSError as error:
        raise Stopped(f"--identity-key: {path}: {error.strerror}", EX_CONFIG) from None
    return IdentitySigner.from_pem(path)


def _read_certificate(settings: Settings, choices: Choices) -> Certificate | None:
    chain, key = choices.tls_certificate, choices.tls_key
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise Stopped("Give --tls-certificate and --tls-key together.", USAGE)
    if not settings.is_secure:
        raise Stopped("With a certificate the public URL is https: give it as --public-url.", EX_CONFIG)
    read_text(chain)
    read_text(key, is_secret=True)
    return Certificate(chain, key)


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
    if not facts["is_local"]:
        lines += ["", "  A Doorward that does not know the server yet is told of it where it runs:", ""]
        lines += [f"    doorward admin resource add {url} {_SCOPES}" for url in facts["servers"]]
    lines += ["", "  Give the MCP server's address to any MCP client: it finds the way in by itself.", ""]
    print("\n".join(lines), flush=True)
    print(f"ready {first}", flush=True)
