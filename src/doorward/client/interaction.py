"""The interface of how a person is asked; `browser`, `pasting` and `devices` are the ways there are."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from .effects import ShowUserCode


class Redirect(Protocol):
    """A place where one authorization response arrives."""

    @property
    def redirect_uri(self) -> str:
        """What to register and to send as `redirect_uri`."""
        ...

    async def visit(self, url: str, *, state: str) -> str:
        """Lead the person to `url` and wait for the response with that `state`; its query, undecoded.

        `url` was judged by `addresses.check_browsable`. Raises `LoginRequired` when nobody came back in time.
        """
        ...


class Interaction(Protocol):
    """A way to ask a person.

    `uses_device_grant` is for machines without a browser: then `show_user_code` is called, and `open` never is.
    """

    uses_device_grant: bool

    def open(self, *, registered: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Redirect]:
        """Be ready for one response, on the port of an earlier registration where it is free. Spec: RDU-08"""
        ...

    async def show_user_code(self, shown: ShowUserCode) -> None:
        """Show where to sign in and what code to enter there."""
        ...
