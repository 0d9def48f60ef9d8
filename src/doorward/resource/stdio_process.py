"""One running command that talks in lines of JSON on its standard streams."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import PurePath

from .stdio_errors import StderrLog

MAX_LINE_SIZE = 16 * 1024 * 1024
"""Bytes of the longest message that a server may write."""
GRACE_SECONDS = 2.0
"""How long a process may take to end at each step: after its input closed, and after SIGTERM."""
WRITE_SECONDS = 30.0
"""How long a process may leave its input unread before a message for it is given up."""
_CHUNK = 64 * 1024
_POLL_SECONDS = 0.02
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE")
_INHERITED_ON_WINDOWS = ("APPDATA", "LOCALAPPDATA", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERPROFILE")

_groups: set[int] = set()
"""The process groups that were started here and are not over."""
_log = logging.getLogger("doorward.resource.stdio")


class ProcessGone(Exception):  # noqa: N818  # what happened to it, not what went wrong here
    """The process has ended or never ran; the text says why, in words that a caller may see."""


def build_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a command finds in its environment: a handful of harmless names, and what the operator gives it.

    Everything else of ours stays here, above all our own settings: a server that is protected is not thereby trusted
    with the secrets of its protector. Raises `ValueError` for a name of ours in `extra`.
    """
    names = (*_INHERITED, *(_INHERITED_ON_WINDOWS if sys.platform == "win32" else ()))
    if ours := [name for name in extra if name.upper().startswith("DOORWARD_")]:
        raise ValueError(f"env: {ours[0]} is for Doorward, and no protected server may see it.")
    # A value that begins so is a function that an old shell exported.
    kept = {name: value for name in names if (value := os.environ.get(name, "")) and not value.startswith("()")}
    return {**kept, **extra}


def kill_groups() -> None:
    """Kill whatever was started here and is not over: for a process that ends itself now and waits for nobody."""
    if sys.platform != "win32":
        for group in list(_groups):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells of the exit itself, which `Process.wait` keeps back while a child holds a pipe open."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


class StdioProcess:
    """A command in a process group of its own, started without a shell.

    `on_line` is awaited for each line it writes, before the next is read: whoever is slow there slows the process
    down. `on_end` is called once with the reason when the process is gone, whether it was stopped or went by itself,
    and then nothing is left of its group; a child that moved itself to another group is out of reach.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        on_line: Callable[[bytes], Awaitable[None]],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._command = tuple(command)
        self._on_line = on_line
        self._grace = grace_seconds
        self._writing = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._transport: asyncio.SubprocessTransport
        self._process: asyncio.subprocess.Process
        self._exited: asyncio.Event
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    async def start(
        self,
        *,
        environment: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
        secrets: Sequence[str] = (),
        on_end: Callable[[str], None],
    ) -> None:
        """Run the command. Raises `ProcessGone` if it cannot be run at all; `secrets` are kept out of the log."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: _Protocol(loop),
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            _log.error("The command %r cannot be run: %s", self._command[0], error)  # the reason is told
            raise ProcessGone("The server behind cannot be started.") from None
        self._transport, self._exited = transport, protocol.exited
        self._process = asyncio.subprocess.Process(transport, protocol, loop)
        _groups.add(self.pid)
        self._supervisor = asyncio.create_task(self._supervise(StderrLog(self.pid, secrets), on_end))

    async def write(self, line: bytes) -> None:
        """Write one line, waiting while the process does not read, within bounds. Raises `ProcessGone`.

        A line is written whole or not at all, even when the caller is cancelled while it waits.
        """
        if b"\n" in line:
            raise ValueError("A message is one line.")
        stdin = self._process.stdin
        if stdin is None or self._exited.is_set() or self._stopping.is_set():
            raise ProcessGone("The server behind has ended.")
        try:
            async with asyncio.timeout(WRITE_SECONDS), self._writing:
                await stdin.drain()
                stdin.write(line + b"\n")
        except TimeoutError:
            raise ProcessGone("The server behind takes no messages.") from None
        except (OSError, RuntimeError):
            raise ProcessGone("The server behind has ended.") from None

    async def stop(self) -> None:
        """End the process and its group, gently first; returns when it is gone, after three times the grace at most."""
        self._stopping.set()
        if self._supervisor is not None:
            await asyncio.shield(self._supervisor)

    async def _supervise(self, errors: StderrLog, on_end: Callable[[str], None]) -> None:
        """See the process to its end, whichever way it ends."""
        reading = asyncio.create_task(self._read())
        told = asyncio.create_task(errors.follow(self._process.stderr))
        signs = [asyncio.create_task(event.wait()) for event in (self._exited, self._stopping)]
        try:
            await asyncio.wait({reading, *signs}, return_when=asyncio.FIRST_COMPLETED)
            was_asked = self._stopping.is_set()
            self._stopping.set()
            await self._end()
            await asyncio.wait({reading, told}, timeout=1)  # what it wrote before it went still counts
        finally:
            for task in (reading, told, *signs):
                task.cancel()
            self._signal(kill=True)  # whoever is left of the group
            _groups.discard(self.pid)
            results = await asyncio.gather(reading, told, *signs, return_exceptions=True)
            with contextlib.suppress(PermissionError):
                self._transport.close()
        # An exception of the reader says more than what became of the process because of it.
        failure = results[0] if isinstance(results[0], ProcessGone) else None
        if isinstance(results[0], Exception) and failure is None:
            _log.error("What process %d wrote could not be handled.", self.pid, exc_info=results[0])
        reason = (
            str(failure) if failure else "The server behind was stopped." if was_asked else "The server behind ended."
        )
        self._tell_end(reason, errors.last_words, is_wanted=was_asked and failure is None)
        on_end(reason)

    def _tell_end(self, reason: str, last_words: str, *, is_wanted: bool) -> None:
        """Tell the operator, and what it last wrote to its standard error unless it ended as it was asked to.

        One that fails may be asked to end between closing its input and ending.
        """
        program, code = PurePath(self._command[0]).name, self._process.returncode
        has_failed = not is_wanted or (code is not None and code > 0)
        said = f" It last wrote: {last_words}" if has_failed and last_words else ""
        level = logging.INFO if is_wanted else logging.WARNING
        _log.log(level, "Process %d (%s) ended with %s: %s%s", self.pid, program, code, reason, said)

    async def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is not None:
            async for line in _split_lines(stdout):
                await self._on_line(line)

    async def _end(self) -> None:
        """Close its input, then SIGTERM, then SIGKILL, each for the whole group. Spec: MCP Lifecycle, Shutdown"""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if not await self._is_gone_within(self._grace):
            self._signal(kill=False)
            if not await self._is_gone_within(self._grace):
                self._signal(kill=True)
                await self._is_gone_within(self._grace)
        elif self._signal(kill=False):
            # It left children behind, which get the same chance as it had.
            deadline = asyncio.get_running_loop().time() + self._grace
            # Nothing tells when somebody else's children end.
            while self._signal(kill=None) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  # see above
                await asyncio.sleep(_POLL_SECONDS)

    async def _is_gone_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), seconds)
        return self._exited.is_set()

    def _signal(self, *, kill: bool | None) -> bool:
        """Signal the whole group (None: nobody); whether there was anybody left in it."""
        if sys.platform == "win32":
            if not self._exited.is_set() and kill is not None:
                self._process.kill()
            return False
        number = 0 if kill is None else signal.SIGKILL if kill else signal.SIGTERM
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


async def _split_lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, empty ones aside. Raises `ProcessGone` for one that is too long."""
    parts: list[bytes] = []
    size = 0
    while chunk := await stream.read(_CHUNK):
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            line = b"".join((*parts, piece))
            parts, size = [], 0
            if line.strip():
                yield line
        parts.append(tail)
        size += len(tail)
        if size > MAX_LINE_SIZE:
            raise ProcessGone(f"The server behind wrote a message of more than {MAX_LINE_SIZE} bytes.")
