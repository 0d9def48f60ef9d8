"""People who are asked to sign in: they do it in a browser of theirs, and bring the answer back."""

import re
from dataclasses import dataclass, field
from typing import Literal

import httpx2

from doorward.client import MemoryStore, PasteInteraction, Store
from tests.person import Person

_ADDRESS = re.compile(r"https?://\S+/oauth/authorize\S*")


@dataclass
class Visitor:
    """Signs in wherever a client sends them, and pastes the address they come back to."""

    decision: Literal["allow", "deny"] = "allow"
    store: Store = field(default_factory=MemoryStore)
    visits: list[str] = field(default_factory=list)
    cookies: httpx2.Cookies = field(default_factory=httpx2.Cookies)

    @property
    def interaction(self) -> PasteInteraction:
        return PasteInteraction(announce=self.go, read=self.paste)

    def go(self, text: str) -> None:
        self.visits += _ADDRESS.findall(text)

    async def paste(self) -> str:
        async with httpx2.AsyncClient(cookies=self.cookies) as http:
            came_back_to = await Person(http).consent(self.visits[-1], self.decision)
            self.cookies.update(http.cookies)
            return came_back_to
