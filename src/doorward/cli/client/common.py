"""What the commands of a client share: options, whom they ask, and what becomes of everything that can go wrong."""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from doorward.cli.output import print_one, print_rows, printable

if TYPE_CHECKING:
    from doorward.client.auth import DoorwardAuth
    from doorward.client.browser import Announce
    from doorward.client.connect import AuthOptions
    from doorward.client.interaction import Interaction
    from doorward.client.storage import Store
    from doorward.oauth.jwt import SigningKey

    from .known import KnownServer, Way

T = TypeVar("T")

NameOrUrl = Annotated[str, typer.Argument(metavar="NAME_OR_URL", help="A server that was added, or the URL of any.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Device = Annotated[bool, typer.Option("--device", help="Sign in on another device, by a code.")]
Paste = Annotated[
    bool, typer.Option("--paste", help="Sign in with a browser elsewhere, and paste the address it ends at.")
]
EX_CONFIG = 78
INTERRUPTED = 130
_ELSEWHERE = "Is your browser on another machine? Press Ctrl-C, and sign in with: doorward client login --paste"
_UNHEARD = logging.NullHandler()
"""What libraries log of failures is said by the command, in words, or not at all."""


def choose_way(*, device: bool, paste: bool) -> "Way | None":
    """How the person wants to be asked. Raises `typer.BadParameter`."""
    if device and paste:
        raise typer.BadParameter("give --device or --paste, not both")
    return "device" if device else "paste" if paste else None


class Teller:
    """Tells the person what is going on, on standard error, so that standard output holds results alone."""

    def __init__(self) -> None:
        from rich.console import Console  # slow to import

        self._console: Console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line, or some, kept whole: addresses are copied from here."""
        self._console.print(text)

    @contextmanager
    def waiting(self, text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
        """A line that moves while something takes its time, on a terminal; calling it changes its words.

        `quiet` for when the person is to type something.
        """
        from rich.text import Text

        if quiet or not self._console.is_terminal:
            yield lambda _: None
            return
        # As a string it would be read for markup, and a server's words may be none.
        with self._console.status(Text(printable(text))) as status:
            yield lambda words: status.update(Text(printable(words)))


def run(work: Callable[[], Awaitable[T]], called: str = "") -> T:
    """Do the work of a command; whatever keeps it from being done ends the process with the contract's exit codes.

    `called` is the server as the person named it, for when they have to sign in first.
    """
    import asyncio

    from doorward.client.errors import ClientError, LoginRequired, StoreUnavailable

    async def main() -> T:
        return await work()

    logging.getLogger().addHandler(_UNHEARD)
    try:
        return asyncio.run(main())
    except StoreUnavailable as unsafe:
        refuse(str(unsafe), code=EX_CONFIG)
    except LoginRequired as needed:
        refuse(f"{needed}\nSign in with: doorward client login {called}" if called else str(needed))
    except ClientError as error:
        refuse(str(error))
    except KeyboardInterrupt:
        refuse("interrupted", code=INTERRUPTED)


def show(result: dict[str, Any] | list[dict[str, Any]], *, as_json: bool, columns: tuple[str, ...] = ()) -> None:
    """Print one thing, or many in `columns`."""
    if isinstance(result, list):
        print_rows(result, columns, as_json=as_json, limit=None)
    else:
        print_one(result, as_json=as_json)


def refuse(message: str, *, code: int = 1) -> NoReturn:
    """Say on standard error why it was not done."""
    print(f"doorward: {printable(message)}", file=sys.stderr)
    raise typer.Exit(code)


def is_attended() -> bool:
    """Whether a person sits at this terminal, rather than a script or a timer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def build_interaction(way: "Way", port: int | None, announce: "Announce") -> "Interaction":
    """How the person is asked."""
    from doorward.client.browser import BrowserInteraction
    from doorward.client.devices import DeviceInteraction
    from doorward.client.pasting import PasteInteraction

    if way == "device":
        return DeviceInteraction(announce=announce)
    if way == "paste":
        return PasteInteraction(port=port, announce=announce)
    return BrowserInteraction(port=port, announce=announce, otherwise=_ELSEWHERE)


async def build_auth_options(server: "KnownServer", store: "Store", interaction: "Interaction") -> "AuthOptions":
    """What `DoorwardAuth` and `DoorwardClient` take to get into a server.

    Raises `StoreUnavailable` where its secret or key cannot be had.
    """
    from anyio import to_thread

    # A keyring may wait for its password to be typed in.
    kept = await to_thread.run_sync(store.load, server.secret_name) if server.has_secret else None
    return {
        "client_id": server.client_id,
        "client_secret": kept["client_secret"] if kept else None,
        "issuer": server.issuer,
        "client_metadata_url": server.metadata_url,
        "redirect_port": server.port,
        "scopes": server.scopes,
        "account": server.account,
        "store": store,
        "interaction": interaction,
        "signing_key": _read_signing_key(server.signing_key) if server.signing_key else None,
        "dpop": server.dpop,
    }


def _read_signing_key(path: str) -> "SigningKey":
    from doorward.client.errors import StoreUnavailable
    from doorward.client.key_files import read_signing_key

    try:
        return read_signing_key(Path(path))
    except ValueError as error:
        raise StoreUnavailable(str(error)) from None


async def build_auth(server: "KnownServer", interaction: "Interaction", store: "Store | None" = None) -> "DoorwardAuth":
    """The session of a server, with what is kept of it."""
    from doorward.client.auth import DoorwardAuth
    from doorward.client.stores import DefaultStore

    return DoorwardAuth(server.url, **await build_auth_options(server, store or DefaultStore(), interaction))


def choose_interaction(server: "KnownServer", teller: Teller) -> "Interaction":
    """Ask the person where there is one; a script is told that somebody has to sign in."""
    from doorward.client.devices import NoInteraction

    return build_interaction(server.way, server.port, teller.say) if is_attended() else NoInteraction()
