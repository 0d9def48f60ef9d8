"""Asking a person whose browser is on another machine: they go there with the address, and bring one back.

The browser ends at an address of its own machine, where nothing answers; that address is what they paste. Should the
browser be on this machine after all, or its port be forwarded here, nothing needs to be pasted.
"""

import inspect
import os
import re
import select
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from urllib.parse import parse_qs

import anyio
from anyio import to_thread

from .addresses import check_browsable
from .browser import TIMEOUT_SECONDS, Announce, announce_on_stderr, explain_timeout, tell_of_taken_port, wanted_ports
from .callback import check_state
from .effects import ShowUserCode
from .errors import LoginRequired
from .interaction import Redirect
from .listener import LoopbackListener, listen

Read = Callable[[], str] | Callable[[], Awaitable[str]]
"""Gives the next line that the person entered, an empty text at the end of all input."""
_LOOKS_EVERY_SECONDS = 0.1
_MAX_LINE_BYTES = 64 * 1024
_CHUNK = 4096
_END_KEYS = (b"\x04", b"\x00")
"""Ctrl-D at a terminal: as it is typed, and as the terminal keeps it where it gathered the line itself."""
_ERASED = re.compile(rb"(?:^|[^\x08\x7f\n])[\x08\x7f]")
_AROUND = re.compile(r"\A[\s\"'<]+|[\s\"'>]+\Z")
_HOW = (
    "Open this address in a browser on any machine and sign in:\n\n  {url}\n\n"
    "At the end the browser may show that it cannot reach {redirect_uri}.\n"
    "Then copy the whole address from its address bar and paste it here:"
)
_NO_ANSWER = "That is not the address that the browser ended at: it begins with {redirect_uri}. Copy all of it:"
_OTHER_SIGN_IN = "That is the answer to another sign-in. Sign in at the address above, and paste what comes then:"


class PasteInteraction:
    """Prints the address to sign in at, and takes the answer from a person who pastes it.

    `read` gives a line that was entered, "" at the end; without it, lines come from standard input. A synchronous one
    runs in a thread, and should not block for longer than the login may take.
    """

    uses_device_grant = False

    def __init__(
        self,
        port: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        announce: Announce = announce_on_stderr,
        read: Read | None = None,
    ) -> None:
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._announce = announce
        self._read = read or LineReader()

    def open(self, *, registered: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Redirect]:
        """A redirect URI of loopback, and a listener there, although nothing may ever come to it."""
        return self._open(wanted_ports(self._port, registered))

    async def show_user_code(self, shown: ShowUserCode) -> None:  # noqa: ARG002  # the interface's
        """Never called: the answer is pasted."""
        raise LoginRequired("An address is pasted here, no code is shown.")

    @asynccontextmanager
    async def _open(self, ports: list[int]) -> AsyncIterator[Redirect]:
        async with listen(ports) as listener:
            tell_of_taken_port(self._port, listener.port, self._announce)
            yield _ByHand(listener, self._timeout_seconds, self._announce, self._read)


class _ByHand:
    def __init__(self, listener: LoopbackListener, timeout_seconds: float, announce: Announce, read: Read) -> None:
        self.redirect_uri = listener.redirect_uri
        self._listener = listener
        self._timeout_seconds = timeout_seconds
        self._announce = announce
        self._read = read

    async def visit(self, url: str, *, state: str) -> str:
        check_browsable(url, loopback_http=True)
        self._announce(_HOW.format(url=url, redirect_uri=self.redirect_uri))
        found: list[str | None] = []
        failures: list[Exception] = []
        with anyio.move_on_after(self._timeout_seconds):
            async with anyio.create_task_group() as tasks:

                async def race(wait: Callable[[str], Awaitable[str | None]]) -> None:
                    try:
                        found.append(await wait(state))
                    except Exception as error:  # noqa: BLE001  # raised below, and not in an exception group
                        failures.append(error)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(race, self._listener.wait)
                tasks.start_soon(race, self._pasted)
        for failure in failures:
            raise failure
        if not found:
            raise LoginRequired(explain_timeout(self._timeout_seconds, self._listener.foreign))
        if found[0] is None:
            raise LoginRequired("There is nobody here who could paste the answer: standard input has ended.")
        return found[0]

    async def _pasted(self, state: str) -> str | None:
        """The query of the first answer that is pasted and belongs here, or None when nothing more can be entered."""
        while line := await self._next_line():
            query = parse_pasted(line, redirect_uri=self.redirect_uri)
            if query is not None and check_state(query, state):
                return query
            if line.strip():
                complaint = _NO_ANSWER if query is None else _OTHER_SIGN_IN
                self._announce(complaint.format(redirect_uri=self.redirect_uri))
        return None

    async def _next_line(self) -> str:
        read = self._read
        try:
            if inspect.iscoroutinefunction(read) or inspect.iscoroutinefunction(type(read).__call__):
                line = read()
            else:
                line = await to_thread.run_sync(read, abandon_on_cancel=True)
            return await line if inspect.isawaitable(line) else line
        except EOFError:  # as `input` says it
            return ""


def parse_pasted(text: str, *, redirect_uri: str) -> str | None:
    """The query, undecoded, of a pasted address or of a pasted query; None when it is no authorization response.

    The address of the sign-in page holds the same state, and is what people paste by mistake.
    """
    text = _AROUND.sub("", text).partition("#")[0]
    address, mark, query = text.rpartition("?")
    bare = redirect_uri.removeprefix("http://")
    if mark and address not in {"", redirect_uri, bare}:
        return None
    if not query.isascii() or not query.isprintable() or " " in query:
        return None
    return query if parse_qs(query, keep_blank_values=True).keys() & {"code", "error"} else None


class LineReader:
    """Lines of standard input, read so that a login that ends elsewhere leaves nothing waiting for the keyboard."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self._kept = b""
        self._reading: list[bytes] | None = None

    async def __call__(self) -> str:
        """The next line with its end, and "" when there are no more."""
        descriptor = _standard_input() if self._descriptor is None else self._descriptor
        if descriptor is None:
            return ""
        is_terminal = os.isatty(descriptor)
        with _long_lines(descriptor):
            while not self._is_complete(is_terminal=is_terminal) and (chunk := await self._read(descriptor)):
                self._kept = _edit(self._kept + chunk) if is_terminal else self._kept + chunk
        line, end, self._kept = self._kept.partition(b"\n")
        if is_terminal and not end:
            line = line.rstrip(b"".join(_END_KEYS))
        return (line + end).decode("utf-8", "replace")

    def _is_complete(self, *, is_terminal: bool) -> bool:
        kept = self._kept
        ended = is_terminal and kept.endswith(_END_KEYS)
        return ended or b"\n" in kept or len(kept) >= _MAX_LINE_BYTES

    async def _read(self, descriptor: int) -> bytes:
        """What is there. Without a thread where the system can look, since a thread would take the next line, too."""
        if sys.platform == "win32":
            return await self._read_in_thread(descriptor)
        while not select.select([descriptor], [], [], 0)[0]:  # noqa: ASYNC110  # the keyboard sets no event
            await anyio.sleep(_LOOKS_EVERY_SECONDS)
        try:
            return os.read(descriptor, _CHUNK)
        except OSError:  # the terminal is gone
            return b""

    async def _read_in_thread(self, descriptor: int) -> bytes:
        """The same, in a thread that does not keep the program from ending; what it reads is kept for the next."""
        if self._reading is None:
            chunks = self._reading = []
            threading.Thread(target=lambda: chunks.append(os.read(descriptor, _CHUNK)), daemon=True).start()
        while not self._reading:  # noqa: ASYNC110  # a thread sets no event of any event loop
            await anyio.sleep(_LOOKS_EVERY_SECONDS)
        (chunk,), self._reading = self._reading, None
        return chunk


@contextmanager
def _long_lines(descriptor: int) -> Iterator[None]:
    """Have the terminal hand over what is pasted as it comes.

    By itself it gathers a line first, and no more than 1024 bytes of it on a Mac: less than some codes have.
    """
    if sys.platform == "win32" or not os.isatty(descriptor):
        yield
        return
    import termios  # noqa: PLC0415  # Windows has none

    before = termios.tcgetattr(descriptor)
    changed = termios.tcgetattr(descriptor)
    changed[3] &= ~termios.ICANON
    termios.tcsetattr(descriptor, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _edit(line: bytes) -> bytes:
    """Do what the terminal no longer does by itself: take back what was erased."""
    while found := _ERASED.search(line):
        line = line[: found.start()] + line[found.end() :]
    return line


def _standard_input() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # a program without one, or with something else in its place
        return None
