"""Runs flows: performs what they yield, and hands results and failures back in.

Spec: architecture rule 5
"""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from .effects import (
    Effect,
    Flow,
    LoadRegistration,
    Obtain,
    OpenRedirect,
    SaveRegistration,
    Send,
    ShowUserCode,
    Visit,
    Wait,
)
from .errors import ClientError
from .interaction import Interaction, Redirect
from .records import Registration
from .transport import Sender

T = TypeVar("T")
LoadsRegistration = Callable[[str, str], Awaitable[Registration | None]]
SavesRegistration = Callable[[str, Registration], Awaitable[None]]


class Driver:
    """Performs effects with real parts. One for each session; flows may run one after the other."""

    def __init__(
        self, sender: Sender, interaction: Interaction, *, load: LoadsRegistration, save: SavesRegistration
    ) -> None:
        self._sender = sender
        self._interaction = interaction
        self._load = load
        self._save = save

    async def run(self, flow: Flow[T]) -> T:
        """What `flow` returns. A redirect that it opens is closed with it, however it ends."""
        run = _Run(self._sender, self._interaction, self._load, self._save)
        async with run.opened:
            try:
                effect = next(flow)
                while True:
                    try:
                        result = await run.perform(effect)
                    except ClientError as error:
                        effect = flow.throw(error)
                    else:
                        effect = flow.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            finally:
                flow.close()


class _Run:
    """One flow, with the redirect it opened."""

    def __init__(
        self, sender: Sender, interaction: Interaction, load: LoadsRegistration, save: SavesRegistration
    ) -> None:
        self.opened = AsyncExitStack()
        self._sender = sender
        self._interaction = interaction
        self._load = load
        self._save = save
        self._redirect: Redirect | None = None

    async def perform(self, effect: Effect) -> object:
        """The result of one effect."""
        match effect:
            case Send():
                return await self._sender.send(effect)
            case Wait():
                await anyio.sleep(effect.seconds)
            case LoadRegistration():
                return await self._load(effect.issuer, effect.resource)
            case SaveRegistration():
                await self._save(effect.resource, effect.registration)
            case ShowUserCode():
                await self._interaction.show_user_code(effect)
            case Obtain():
                return await _obtain(effect.fetch)
            case OpenRedirect():
                opening = self._interaction.open(registered=effect.registered)
                self._redirect = await self.opened.enter_async_context(opening)
                return self._redirect.redirect_uri
            case Visit():
                if self._redirect is None:
                    raise ClientError("A page was to be visited before its response could be received.")
                return await self._redirect.visit(effect.url, state=effect.state)
        return None


async def _obtain(obtain: Callable[[], str | Awaitable[str]]) -> str:
    found = obtain() if inspect.iscoroutinefunction(obtain) else await run_sync(obtain)
    return await found if inspect.isawaitable(found) else found
