"""A backend's request for tokens of its user, and a client to get them for."""

from typing import Any

from tests.inside import Answer, Door
from tests.server.steps import bearer

MINT = "/api/oauth/token/exchange"


async def mint(door: Door, secret: str | None, **members: Any) -> Answer:
    """The usual request for a user of a backend; None leaves a member out."""
    usual = {"subject": "user-1", "scopes": ["tools:read"], **members}
    given = {name: value for name, value in usual.items() if value is not None}
    return await door.post_json(MINT, given, bearer(secret) if secret else {})


async def public_client(door: Door) -> str:
    return str((await door.register())["client_id"])
