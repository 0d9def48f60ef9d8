"""OAuth clients that know nothing of MCP or of us: what they accept is what the standards say."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.interop.browsers import Browser

from .programs import FOLDER, Step, run_node

Approve = Callable[[dict[str, Any]], Awaitable[None]]


async def run_client(
    program: str, browser: Browser, issuer: str, *steps: Step, approve: Approve | None = None, **given: Any
) -> list[Any]:
    """The result of each step; the last one may be an error, as `{"error": …, "status": …}`."""
    told: list[Any] = []
    argument = json.dumps({"issuer": issuer, "steps": steps, **given})
    async with run_node(FOLDER / program, argument) as client:
        while (event := await client.listen()) is not None:
            if "open" in event:
                await browser.visit(event["open"])
            elif "device" in event:
                assert approve is not None
                await approve(event["device"])
            else:
                told.append(event.get("result", event))
        await client.process.wait()
    return told
