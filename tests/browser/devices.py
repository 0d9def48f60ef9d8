"""A device without a browser, as far as the person's browser can tell: it has a code to show, and asks."""

from dataclasses import dataclass
from typing import Any

import httpx2

from doorward.core.models import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from tests.running import RunningDoorward


@dataclass
class Device:
    """One registered program, and what it was given to show and to ask with."""

    server: RunningDoorward
    client_id: str
    told: dict[str, Any]

    @property
    def user_code(self) -> str:
        return str(self.told["user_code"])

    @property
    def page(self) -> str:
        """Where it sends its person to type."""
        return str(self.told["verification_uri"])

    @property
    def link(self) -> str:
        """The same with the code, as in a QR code."""
        return str(self.told["verification_uri_complete"])

    async def ask(self) -> tuple[int, dict[str, Any]]:
        """(status, answer) of the question whether the person has decided."""
        form = {"grant_type": DEVICE_CODE, "client_id": self.client_id, "device_code": self.told["device_code"]}
        async with httpx2.AsyncClient() as http:
            answer = await http.post(f"{self.server.issuer}/api/oauth/token", data=form)
        return answer.status_code, answer.json()


async def start_device(server: RunningDoorward, *, agent: str = "weather-station/2.1", **metadata: Any) -> Device:
    """A program that registers itself and asks to be let in."""
    given = {
        "client_name": "Weather station",
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["http://127.0.0.1:9/callback"],
        "grant_types": [AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE],
        **metadata,
    }
    async with httpx2.AsyncClient(headers={"user-agent": agent}) as http:
        registered = await http.post(f"{server.issuer}/api/oauth/register", json=given)
        assert registered.status_code == 201, registered.text
        client_id = registered.json()["client_id"]
        form = {"client_id": client_id, "scope": "tools:read tools:write", "resource": server.demo}
        answer = await http.post(f"{server.issuer}/api/oauth/device", data=form)
    assert answer.status_code == 200, answer.text
    return Device(server, client_id, answer.json())
