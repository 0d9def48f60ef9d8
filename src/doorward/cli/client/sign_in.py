"""`doorward client login`, `logout` and `token`."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import (
    AsJson,
    Device,
    NameOrUrl,
    Paste,
    Teller,
    build_auth,
    build_interaction,
    choose_interaction,
    choose_way,
    refuse,
    run,
    show,
)

if TYPE_CHECKING:
    from doorward.client.records import Tokens


def login(server: NameOrUrl, *, device: Device = False, paste: Paste = False, as_json: AsJson = False) -> None:
    """Sign in to a server, in your browser unless you say otherwise."""
    from doorward.client.stores import DefaultStore

    from .known import ServersFile
    from .servers import describe

    way = choose_way(device=device, paste=paste)

    async def act() -> dict[str, Any]:
        teller, store = Teller(), DefaultStore()
        known = ServersFile().resolve(server)
        known = replace(known, way=way or known.way)
        interaction = build_interaction(known.way, known.port, teller.say)
        session = (await build_auth(known, interaction, store)).session
        with teller.waiting(f"Signing in to {known.called} …", quiet=known.way == "paste"):
            await session.login()
        return describe(known, session, store)

    held = run(act)
    if as_json:
        show(held, as_json=True)
        return
    scopes = f" It may use: {' '.join(held['scopes'])}." if held["scopes"] else ""
    print(f"You are signed in to {server} by {held['issuer']}.{scopes}")
    print(f"Your sign-in is kept {held['kept']}.", file=sys.stderr)


def logout(server: NameOrUrl, *, as_json: AsJson = False) -> None:
    """Sign out: tokens are given back, a registration that was made is removed, and both are forgotten."""
    from doorward.client.devices import NoInteraction

    from .known import ServersFile

    async def act() -> bool:
        auth = await build_auth(ServersFile().resolve(server), NoInteraction())
        return await auth.session.logout()

    agreed = run(act)
    if as_json:
        show({"server": server, "revoked": agreed}, as_json=True)
        return
    print(f"You are signed out of {server}.")
    if not agreed:
        print(
            "Its authorization server did not confirm it: the tokens are forgotten here, and end there in their time.",
            file=sys.stderr,
        )


def token(
    server: NameOrUrl,
    *,
    header: Annotated[bool, typer.Option("--header", help="Print it as a header field, for curl -H @-.")] = False,
    show_it: Annotated[bool, typer.Option("--show", help="Print it even on a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print an access token that is good now, for another program."""
    from .known import ServersFile

    if sys.stdout.isatty() and not show_it:
        refuse(
            "An access token is a secret, and would stay on this screen. Give it to a program,\n"
            f"  doorward client token {server} --header | curl -H @- …\n"
            "or add --show."
        )

    async def act() -> "Tokens":
        teller = Teller()
        known = ServersFile().resolve(server)
        session = (await build_auth(known, choose_interaction(known, teller))).session
        return await session.token() or await session.login()

    held = run(act, server)
    if held.token_type == "DPoP":  # the name of a kind
        print(
            "doorward: this token is bound to a key, and works only with proofs that are signed by it", file=sys.stderr
        )
    if as_json:
        expires_at = None if held.expires_at is None else int(held.expires_at * 1000)
        members = {"access_token": held.access_token, "token_type": held.token_type}
        show({**members, "scopes": list(held.scope), "expires_at": expires_at}, as_json=True)
    elif header:
        print(f"Authorization: {held.token_type} {held.access_token}")
    else:
        print(held.access_token)
