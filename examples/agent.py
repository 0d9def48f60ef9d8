"""An agent that gets itself into an MCP server, looks at its tools, uses one and checks what it says.

    pip install '.[client]'                         # in a checkout, where ./dev has done it
    ./dev up                                        # a server to get into: the demo
    python examples/agent.py                        # the browser opens once; later runs ask nobody
    python examples/agent.py https://other.example/mcp

In a checkout it is `.venv/bin/python`. With CLIENT_ID and CLIENT_SECRET of a client that may use client credentials
(`doorward admin client add --grant client_credentials`) it is an agent of its own, and no person is asked at all.
"""

import asyncio
import os
import sys

from doorward.client import ClientCredentials, ClientError, DoorwardClient

DEMO = "http://127.0.0.1:8400/demo/mcp"


def build_client(url: str) -> DoorwardClient:
    """A client of its own where there are credentials for one, else one that asks its person."""
    if "CLIENT_ID" in os.environ:
        return DoorwardClient(
            url,
            client_id=os.environ["CLIENT_ID"],
            client_secret=os.environ["CLIENT_SECRET"],
            agent=ClientCredentials(),
        )
    return DoorwardClient(url, client_name="Example agent")


async def run(url: str) -> bool:
    """Whether the server's tools could be used; the forecast of the demo is looked at closer."""
    async with build_client(url) as client:
        welcome = await client.initialize()
        tools = {tool.name for tool in await client.list_tools()}
        name = welcome.server_info.name if welcome.server_info else url
        print(f"{name} speaks MCP {welcome.protocol_version} and has {len(tools)} tools.")
        if "weather_forecast" not in tools:
            return True
        result = await client.call_tool("weather_forecast", {"city": "Lisbon", "days": 2}, timeout=30)
        forecast = result.structured_content or {}
        for day in forecast.get("days", []):
            print(f"  day {day['day']}: {day['conditions']}, {day['low_c']} to {day['high_c']} °C")
        return not result.is_error and len(forecast["days"]) == 2


if __name__ == "__main__":
    try:
        went_well = asyncio.run(run(sys.argv[1] if len(sys.argv) > 1 else DEMO))
    except ClientError as kept_out:
        sys.exit(f"{type(kept_out).__name__}: {kept_out}")
    sys.exit(0 if went_well else 1)
