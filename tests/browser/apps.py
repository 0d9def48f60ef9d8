"""Apps that ask for access, as far as a browser can tell: a registration, an address to send people to, a way back."""

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx2
from playwright.async_api import BrowserContext, Route

from doorward.oauth.pkce import build_challenge
from tests.person import answer_parameters
from tests.running import RunningDoorward

LOOPBACK = "http://127.0.0.1:9/callback"
"""Nothing listens there: `App.serve` answers in its place, inside the browser."""


@dataclass
class App:
    """One registered client and what it was answered."""

    server: RunningDoorward
    client_id: str
    redirect_uri: str
    answers: list[dict[str, str]] = field(default_factory=list)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def url(self, **parameters: str) -> str:
        """Where the app sends people."""
        request = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": build_challenge(self.verifier),
            "code_challenge_method": "S256",
            "state": "state-1",
            "resource": self.server.demo,
            **parameters,
        }
        return f"{self.server.issuer}/oauth/authorize?{urlencode(request)}"

    async def serve(self, context: BrowserContext, *, status: int = 200) -> None:
        """Answer the browser at the redirect URI, and note with what it came."""

        async def answer(route: Route) -> None:
            self.answers.append(answer_parameters(route.request.url))
            await route.fulfill(status=status, content_type="text/html", body="<title>The app</title>")

        await context.route(f"{self.redirect_uri}?**", answer)

    async def redeem(self) -> dict[str, Any]:
        """The token answer for the last code it was given."""
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": self.answers[-1]["code"],
            "code_verifier": self.verifier,
            "redirect_uri": self.redirect_uri,
        }
        async with httpx2.AsyncClient() as http:
            answer = await http.post(f"{self.server.issuer}/api/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def register(server: RunningDoorward, redirect_uri: str = LOOPBACK, **metadata: Any) -> App:
    """A public client that registered itself."""
    given = {"client_name": "Travel planner", "token_endpoint_auth_method": "none", "redirect_uris": [redirect_uri]}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{server.issuer}/api/oauth/register", json={**given, **metadata})
    assert answer.status_code == 201, answer.text
    return App(server, str(answer.json()["client_id"]), redirect_uri)
