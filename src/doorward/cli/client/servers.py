"""`doorward client add`, `remove` and `status`: which servers there are, and what is held for each."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Device, Paste, build_auth, choose_way, run, show

if TYPE_CHECKING:
    from doorward.client.session import Session
    from doorward.client.storage import Store

    from .known import KnownServer, ServersFile

_COLUMNS = ("name", "url", "state", "expires_at")
_READABLE_BY_OTHERS = 0o077


def add(  # noqa: PLR0913  # one parameter for each option, all named
    name: Annotated[str, typer.Argument(help="What to call it.")],
    url: Annotated[str, typer.Argument(help="Its address, such as https://api.example.com/mcp.")],
    *,
    scope: Annotated[
        list[str] | None, typer.Option(help="What to ask for; repeatable.", show_default="what the server says")
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="Client id that its operator gave you.")] = None,
    client_secret_file: Annotated[
        Path | None, typer.Option(help="File of the secret that goes with it; - for standard input.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="Authorization server that they are for.")] = None,
    metadata_url: Annotated[
        str | None, typer.Option(help="https address of your own client metadata document.")
    ] = None,
    signing_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file of the key that the client proves itself with.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the redirect URI, where it is registered exactly.")
    ] = None,
    account: Annotated[str, typer.Option(help="Keeps this sign-in apart from others at the same server.")] = "",
    dpop: Annotated[
        bool, typer.Option("--dpop", help="Insist on tokens that are worth nothing without a key.")
    ] = False,
    device: Device = False,
    paste: Paste = False,
    as_json: AsJson = False,
) -> None:
    """Give a server a name, and say how to get in; nothing is contacted."""
    from .known import KnownServer

    secret = _read_secret(client_secret_file) if client_secret_file else None
    server = KnownServer(
        name=name,
        url=url,
        scopes=tuple(scope) if scope else None,
        client_id=client_id,
        has_secret=secret is not None,
        issuer=issuer,
        metadata_url=metadata_url,
        signing_key=_check_key(signing_key) if signing_key else None,
        port=port,
        way=choose_way(device=device, paste=paste) or "browser",
        account=account,
        dpop=dpop,
    )
    _keep(server, secret)
    if as_json:
        show({"name": name, "url": url}, as_json=True)
    else:
        print(f"{name} is added. Sign in with: doorward client login {name}")


def _keep(server: "KnownServer", secret: str | None) -> None:
    """Write a server down once all of it is in order. Raises `BadParameter`."""
    from .known import ServersFile, check_server

    async def act() -> None:
        from anyio import to_thread

        try:
            check_server(server)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        await to_thread.run_sync(_add, ServersFile(), server, secret)

    run(act)


def remove(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Sign out of a server and forget it."""
    from anyio import to_thread

    from doorward.client.devices import NoInteraction
    from doorward.client.stores import DefaultStore

    from .known import ServersFile

    async def act() -> bool:
        file = ServersFile()
        server, store = _without_lost_key(file.resolve(name)), DefaultStore()
        if not server.name:
            raise typer.BadParameter("give the name of a server")
        others = [other for other in file.read().values() if other.name != server.name]
        shared = any(_sign_in(server) == _sign_in(other) for other in others)  # and is still needed
        agreed = True if shared else await (await build_auth(server, NoInteraction(), store)).session.logout()
        await to_thread.run_sync(store.delete, server.secret_name)
        file.remove(server.name)
        return agreed

    agreed = run(act)
    if as_json:
        show({"name": name, "revoked": agreed}, as_json=True)
    else:
        print(f"{name} is removed." if agreed else f"{name} is removed. Its authorization server did not confirm it.")


def status(
    server: Annotated[
        str | None, typer.Argument(metavar="[NAME_OR_URL]", help="One server.", show_default="all that were added")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say which servers there are, and whether you are signed in to them; nothing is contacted."""
    from doorward.client.devices import NoInteraction
    from doorward.client.stores import DefaultStore

    from .known import ServersFile

    async def act() -> list[dict[str, Any]]:
        file, store = ServersFile(), DefaultStore()
        servers = [file.resolve(server)] if server else list(file.read().values())
        found = []
        for known in servers:
            session = (await build_auth(_without_lost_key(known), NoInteraction(), store)).session
            await session.load()
            found.append(describe(known, session, store))
        return found

    rows = run(act)
    if server:
        show(rows[0], as_json=as_json)
    elif as_json:
        show(rows, as_json=True)
    elif rows:
        # When a token ends that is renewed by itself is nothing that a person has to know.
        told = [{**row, "expires_at": "renews itself"} if _lasts(row) else row for row in rows]
        show(told, columns=_COLUMNS, as_json=False)
    else:
        print("No server was added yet. Add one with: doorward client add NAME URL")


def describe(server: "KnownServer", session: "Session", store: "Store") -> dict[str, Any]:
    """What is held for a server, without any secret. Times are in milliseconds, as everywhere on the command line."""
    from doorward.client.stores import describe_store

    tokens, registration = session.held, session.connection.registration
    expires_at = tokens.expires_at if tokens else None
    is_over = expires_at is not None and expires_at <= session.now()
    renews = tokens is not None and tokens.refresh_token is not None
    state = "signed out" if tokens is None else "expired" if is_over and not renews else "signed in"
    return {
        "name": server.name,
        "url": server.url,
        "state": state,
        "scopes": list(tokens.scope) if tokens else [],
        "expires_at": None if expires_at is None else int(expires_at * 1000),
        "renews_itself": renews,
        "issuer": session.server.issuer if session.server else None,
        "client_id": registration.client_id if registration else server.client_id,
        "kept": describe_store(store),
    }


def _lasts(row: dict[str, Any]) -> bool:
    return bool(row["state"] == "signed in" and row["renews_itself"])


def _add(file: "ServersFile", server: "KnownServer", secret: str | None) -> None:
    from doorward.client.errors import StoreUnavailable
    from doorward.client.stores import MemoryStore, describe_store, open_store

    if secret is None:
        file.add(server)
        return
    store = open_store()
    if isinstance(store, MemoryStore):
        raise StoreUnavailable(f"The client secret would be kept {describe_store(store)}.")
    file.add(server)
    try:
        store.save(server.secret_name, {"client_secret": secret})
    except StoreUnavailable:
        file.remove(server.name)
        raise


def _without_lost_key(server: "KnownServer") -> "KnownServer":
    """The server without a key whose file is gone: what is held can be looked at and forgotten all the same."""
    lost = server.signing_key is not None and not Path(server.signing_key).exists()
    return replace(server, signing_key=None) if lost else server


def _sign_in(server: "KnownServer") -> tuple[str | None, ...]:
    """What tells one sign-in from another, whatever it is called."""
    from doorward.oauth.resources import match_key

    return match_key(server.url), server.client_id, server.metadata_url, server.account


def _check_key(path: Path) -> str:
    """Where the key is, from everywhere. Raises `typer.BadParameter` for a file without one that is its owner's."""
    from doorward.client.errors import StoreUnavailable
    from doorward.client.key_files import read_signing_key

    try:
        read_signing_key(path)
    except (StoreUnavailable, ValueError) as error:
        raise typer.BadParameter(f"--signing-key: {error}") from None
    return str(path.absolute())


def _read_secret(path: Path) -> str:
    """The secret of a file, or of standard input. Raises `typer.BadParameter`."""
    if str(path) == "-":
        text = sys.stdin.read()
    else:
        try:
            text = path.read_text(encoding="utf-8")
            if sys.platform != "win32" and path.stat().st_mode & _READABLE_BY_OTHERS:
                print(f"doorward: others can read {path}; make it private: chmod 600 '{path}'", file=sys.stderr)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise typer.BadParameter(f"{path} cannot be read: {reason}") from None
    secret = text.strip()
    if not secret or not secret.isascii() or not secret.isprintable():
        raise typer.BadParameter(f"{path} holds no client secret")
    return secret
