"""The demo's tools as both clients call them, and what they answer."""

from typing import Any, Protocol

TOOLS = {"weather_forecast", "stock_quotes", "flight_search", "book_flight"}


class ToolResult(Protocol):
    """The answer of a tool, as the SDK and FastMCP both have it."""

    structured_content: dict[str, Any] | None
    is_error: bool


class ToolClient(Protocol):
    """A connected client, whichever it is."""

    async def list_tools(self) -> Any: ...

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any: ...


async def call(client: ToolClient, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a tool that did not fail."""
    result: ToolResult = await client.call_tool(tool, arguments)
    assert not result.is_error
    assert result.structured_content is not None
    return result.structured_content


async def use_tools(client: ToolClient) -> None:
    """List the tools, ask for the weather and for a price."""
    listed = await client.list_tools()
    assert {tool.name for tool in getattr(listed, "tools", listed)} == TOOLS
    forecast = await call(client, "weather_forecast", city="Lisbon", days=2)
    assert (forecast["city"], forecast["country"], len(forecast["days"])) == ("Lisbon", "Portugal", 2)
    assert await price_of_door(client) > 0


async def price_of_door(client: ToolClient) -> float:
    """A call that needs the scope `tools:read`."""
    quotes = await call(client, "stock_quotes", symbols=["DOOR"])
    assert [quote["symbol"] for quote in quotes["quotes"]] == ["DOOR"]
    return float(quotes["quotes"][0]["price"])


async def book(client: ToolClient) -> str:
    """A call that needs the scope `tools:write`; the flight it is for."""
    booking = await call(client, "book_flight", flight_number="DW101", passenger_name="Ada")
    return str(booking["flight"]["flight_number"])
