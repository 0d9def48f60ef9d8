"""Telling the authorization server which tools a server has, so that its consent page shows them.

The issuer says in which version of the list each tool became what it is, and its tokens carry the version that their
person was shown. So a tool that is added later is opened by the next consent, wherever the guard runs.

Spec: product.md, feature 8 (T14)
"""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import httpx2

from doorward.oauth.tools import KnownTool, ListedTool, merge_tools, parse_known_tool

from .catalogue import FileStore
from .issuer import Issuer, Unreachable, check_url

TOLD_SECONDS = 20
"""How long the issuer is not told again what it was told."""
MAX_ANSWER_SIZE = 8 * 1024 * 1024
_UNTOLD = 2**53 - 1
"""The version of what the issuer was not told yet: later than whatever anybody was shown."""

_log = logging.getLogger("doorward.resource")


class RemoteTools:
    """A `CatalogueStore` at a Doorward elsewhere, which a project key that may introspect gives access to.

    `scopes` are those of single tools, as the guard has them. While the issuer cannot be told, tools that it knows
    stay as they are, and all that is new or changed is held back from everybody. With a `file`, that outlives a
    restart; without, nothing is known until the issuer was told.

    Without `http_client` each list opens its own connection.
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        key: str,
        scopes: Mapping[str, Sequence[str]] | None = None,
        file: str | os.PathLike[str] | None = None,
        http_client: httpx2.AsyncClient | None = None,
        insecure_http: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        check_url(resource, "resource", insecure_http=True)
        self._issuer = Issuer(issuer, http_client=http_client, insecure_http=insecure_http)
        self._resource = resource
        self._headers = {"Authorization": f"Bearer {key}"}
        self._scopes = {name: list(names) for name, names in (scopes or {}).items()}
        self._file = FileStore(file) if file is not None else None
        self._monotonic = monotonic
        self._known: tuple[KnownTool, ...] = ()
        self._told: tuple[ListedTool, ...] | None = None
        self._told_at = 0.0

    async def load(self) -> tuple[KnownTool, ...]:
        """What the issuer last answered, as far as it was kept. Raises `ValueError` for a file that is no such list."""
        if self._file is not None:
            self._known = await self._file.load()
        return self._known

    async def learn(self, listed: Sequence[ListedTool], now: int) -> tuple[KnownTool, ...]:  # noqa: ARG002  # theirs
        """Tell the issuer the whole list; what it knows then, by its own clock.

        Raises `Unreachable` when it cannot be told and nothing is known, and `OSError` when the file cannot be written.
        """
        tools = tuple(listed)
        if tools == self._told and self._monotonic() < self._told_at + TOLD_SECONDS:
            return self._known
        try:
            known = await self._tell(tools)
        except Unreachable as error:
            self._told = None
            if not self._known:
                raise
            _log.warning("New and changed tools stay closed, since the issuer was not told of them: %s", error)
            return merge_tools(self._known, tools, now=_UNTOLD)
        if self._file is not None and known and known != self._known:
            await self._file.keep(known)
        self._known, self._told, self._told_at = known, tools, self._monotonic()
        return known

    async def _tell(self, tools: tuple[ListedTool, ...]) -> tuple[KnownTool, ...]:
        url = f"{self._issuer.issuer}/api/oauth/tools"
        document = {"resource": self._resource, "tools": [asdict(tool) for tool in tools], "scopes": self._scopes}
        try:
            answer = await self._issuer.read(
                "PUT", url, headers=self._headers, document=document, max_size=MAX_ANSWER_SIZE
            )
        except Unreachable as error:
            raise Unreachable(f"{error}{_HINTS.get(error.status, '')}", status=error.status) from error
        return _parse_answer(answer)


_HINTS: Mapping[int | None, str] = {
    400: "; every scope of a tool must be one of the resource's there",
    401: "; the key must be one of that project which may introspect",
    404: "; is the resource registered there, and the key not for another one?",
    413: "; the list of tools is too long",
}


def _parse_answer(answer: Mapping[str, Any]) -> tuple[KnownTool, ...]:
    """Raises `Unreachable`: an issuer that answers something else was not told."""
    members = answer.get("tools")
    if not isinstance(members, list):
        raise Unreachable("the issuer answers without a list of tools")
    try:
        return tuple(map(parse_known_tool, members))
    except ValueError as error:
        raise Unreachable(f"the issuer answers with tools that cannot be read: {error}") from None
