"""Asking a person in their own browser, and opening one without a shell ever seeing the address.

Spec: RFC 8252 §7.3, §8.12 (AUTHZ-16, AUTHZ-18); threat T11
"""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from .addresses import check_browsable
from .effects import ShowUserCode
from .errors import LoginRequired
from .interaction import Redirect
from .listener import LoopbackListener, listen, own_ports

Announce = Callable[[str], None]
"""Tells the person something."""
TIMEOUT_SECONDS = 300.0
_STARTS_WITHIN_SECONDS = 3.0
_OPENERS = ("xdg-open", "wslview")
_SIGNS_OF_A_SCREEN = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")


def announce_on_stderr(text: str) -> None:
    """Tell the person at the terminal; standard output is for results."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # telling is its purpose


class BrowserInteraction:
    """Opens the person's browser, and receives the answer on this machine.

    `port` is tried first, for clients whose redirect URI is registered exactly; any free one is taken where it is not.
    `announce` tells the person where to go, in case that no browser opens, and `otherwise` what else they may do then.
    Spec: AUTHZ-18, RDU-08
    """

    uses_device_grant = False

    def __init__(
        self,
        port: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        announce: Announce = announce_on_stderr,
        otherwise: str = "",
    ) -> None:
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._announce = announce
        self._otherwise = f" {otherwise}" if otherwise else ""

    def open(self, *, registered: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Redirect]:
        """A listener on the port that was given, else on one of an earlier registration, else on a free one."""
        return self._open(wanted_ports(self._port, registered))

    async def show_user_code(self, shown: ShowUserCode) -> None:  # noqa: ARG002  # the interface's
        """Never called: there is a browser here."""
        raise LoginRequired("A browser is used here, not a code.")

    @asynccontextmanager
    async def _open(self, ports: list[int]) -> AsyncIterator[Redirect]:
        async with listen(ports) as listener:
            tell_of_taken_port(self._port, listener.port, self._announce)
            yield _InBrowser(listener, self._timeout_seconds, self._announce, self._otherwise)


class _InBrowser:
    def __init__(self, listener: LoopbackListener, timeout_seconds: float, announce: Announce, otherwise: str) -> None:
        self.redirect_uri = listener.redirect_uri
        self._listener = listener
        self._timeout_seconds = timeout_seconds
        self._announce = announce
        self._otherwise = otherwise

    async def visit(self, url: str, *, state: str) -> str:
        check_browsable(url, loopback_http=True)
        self._announce(
            f"Your browser opens to sign in. If it does not, open this address on this machine:\n\n  {url}\n"
        )
        query: str | None = None
        with anyio.move_on_after(self._timeout_seconds):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._open_browser, url)
                query = await self._listener.wait(state)
                tasks.cancel_scope.cancel()
        if query is None:
            raise LoginRequired(explain_timeout(self._timeout_seconds, self._listener.foreign))
        return query

    async def _open_browser(self, url: str) -> None:
        """In a thread that nobody has to wait for: a browser may run for as long as it likes."""
        opened: list[bool] = []
        thread = threading.Thread(target=lambda: opened.append(open_browser(url)), daemon=True)
        thread.start()
        while thread.is_alive():  # noqa: ASYNC110  # a thread sets no event of any event loop
            await anyio.sleep(0.05)
        if opened == [False]:
            text = "No browser could be opened here: please open the address above by hand."
            self._announce(f"{text}{self._otherwise}")


def wanted_ports(port: int | None, registered: tuple[str, ...]) -> list[int]:
    """The ports to try, in their order."""
    return [*([port] if port else []), *own_ports(registered)]


def tell_of_taken_port(wanted: int | None, taken: int, announce: Announce) -> None:
    """Say that the port that was asked for is not the one: where it is registered exactly, that is why it fails."""
    if wanted is not None and wanted != taken:
        announce(f"Port {wanted} is in use by another program; the answer is awaited on port {taken} instead.")


def explain_timeout(seconds: float, foreign: int) -> str:
    """Why a login was given up, in words that show nothing of what came."""
    limit = f"{round(seconds / 60)} minutes" if seconds >= 120 else f"{round(seconds)} seconds"
    message = f"Nobody came back from the browser within {limit}. Start the sign-in again."
    if foreign:
        message += f" Answers that did not carry the state of this sign-in were not used: {foreign}."
    return message


def open_browser(url: str, *, environment: Mapping[str, str] | None = None) -> bool:
    """Open `url` in the person's browser; False when none could be started. Blocks for some seconds at most.

    Only web addresses, in characters that mean nothing to a shell should the opener be a script, as one argument of a
    program. $BROWSER counts where it names programs
    and nothing else: what the standard library makes of `%s` and of words behind it is a command line.
    Raises `AddressRefused`, and then nothing was started. Spec: AUTHZ-16; threat T11
    """
    check_browsable(url, loopback_http=True)
    if sys.platform == "win32":
        try:
            os.startfile(url)  # noqa: S606  # the system's own opener: no shell, and no %NAME% is looked up
        except OSError:
            return False
        return True
    environment = os.environ if environment is None else environment
    return any(_start([program, url], environment) for program in _programs(environment, sys.platform))


def _programs(environment: Mapping[str, str], platform: str) -> Iterator[str]:
    """Paths of programs that take an address as their only argument, the best first."""
    path = environment.get("PATH")
    names = [name for name in environment.get("BROWSER", "").split(os.pathsep) if not name.startswith("-")]
    if platform == "darwin":
        names.append("/usr/bin/open")
    elif any(environment.get(sign) for sign in _SIGNS_OF_A_SCREEN):
        names.extend(_OPENERS)
    for name in names:
        found = shutil.which(name, path=path) if name else None
        if found is not None:
            yield found


def _start(command: list[str], environment: Mapping[str, str]) -> bool:
    """Start a program of its own session; it has failed when it ends soon with anything but 0."""
    kept = {name: value for name, value in environment.items() if name != "BROWSER"}
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(  # noqa: S603  # one argument, judged above, and no shell
            command, stdin=quiet, stdout=quiet, stderr=quiet, env=kept, start_new_session=True
        )
    except OSError:
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(_STARTS_WITHIN_SECONDS) == 0
    threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay behind as a zombie
    return True
