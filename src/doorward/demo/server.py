"""The demo's MCP server: four tools over sample data, behind `ProtectMCP`."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

import doorward
from doorward.resource import Reporter, Verifier
from doorward.resource.asgi import Receive, Scope, Send
from doorward.resource.mcp import protect

from .sample import (
    Booking,
    Bookings,
    Flights,
    Forecast,
    Quotes,
    UnknownSample,
    find_flights,
    find_forecast,
    find_quotes,
)
from .scopes import DEMO_TOOLS, READ

_TITLES = {tool["name"]: tool["title"] for tool in DEMO_TOOLS}
_READING = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_BOOKING = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)

Airport = Annotated[
    str, Field(description="IATA code, such as LIS, BER, JFK, KEF, NBO or NRT", min_length=3, max_length=8)
]


class Demo:
    """The demo as an ASGI app for the path of its resource, and what keeps it running.

    Behind a server that speaks ASGI's lifespan protocol nothing more is needed; inside another app, enter `lifespan`
    around that app's own. It may be mounted at any depth: requests carry the whole path, as ASGI has it.
    """

    def __init__(
        self,
        server: MCPServer[Any],
        *,
        resource: str,
        issuer: str,
        verifier: Verifier,
        reporter: Reporter | None = None,
    ) -> None:
        self._server = server
        self._app = protect(
            server,
            issuer=issuer,
            resource=resource,
            scopes=[READ],
            tools={tool["name"]: tool["scopes"] for tool in DEMO_TOOLS},
            shows_all_tools=True,  # so that a client can try what stepping up is like
            name="Doorward demo",
            verifier=verifier,
            reporter=reporter,
            stateless_http=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Run the MCP server; once in the life of the object."""
        async with self._server.session_manager.run():
            yield


def build_demo(resource: str, issuer: str, verifier: Verifier, reporter: Reporter | None = None) -> Demo:
    """The demo MCP server at `resource`, for tokens of `issuer`. Raises `ValueError` for URLs that cannot be theirs."""
    # WARNING: the SDK sets up the root logger of the whole process, and at INFO it tells of every request.
    server: MCPServer[Any] = MCPServer(
        "doorward-demo",
        title="Doorward demo",
        version=doorward.__version__,
        instructions="Weather, stock quotes and flights to try a client with. All data are samples; nothing is booked.",
        log_level="WARNING",
    )
    _add_lookups(server)
    _add_booking(server, Bookings())
    return Demo(server, resource=resource, issuer=issuer, verifier=verifier, reporter=reporter)


def _add_lookups(server: MCPServer[Any]) -> None:
    @server.tool(title=_TITLES["weather_forecast"], annotations=_READING)
    def weather_forecast(
        city: Annotated[str, Field(description="Name of a city, such as Lisbon", min_length=1, max_length=80)],
        days: Annotated[int, Field(description="How many days, today included", ge=1, le=7)] = 3,
    ) -> Forecast:
        """Weather of a city for up to seven days. Sample data, not a forecast."""
        try:
            return find_forecast(city, days)
        except UnknownSample as unknown:
            raise ToolError(str(unknown)) from None

    @server.tool(title=_TITLES["stock_quotes"], annotations=_READING)
    def stock_quotes(
        symbols: Annotated[
            list[Annotated[str, Field(min_length=1, max_length=12)]],
            Field(description="Ticker symbols, such as ACME or DOOR", min_length=1, max_length=20),
        ],
    ) -> Quotes:
        """Prices of stocks. Sample data about companies that do not exist."""
        return find_quotes(symbols)

    @server.tool(title=_TITLES["flight_search"], annotations=_READING)
    def flight_search(
        origin: Airport,
        destination: Airport,
        date: Annotated[dt.date, Field(description="Day of departure, YYYY-MM-DD")],
    ) -> Flights:
        """Flights between two airports on a day. Sample data: the timetable is the same every day."""
        try:
            return find_flights(origin, destination, date.isoformat())
        except UnknownSample as unknown:
            raise ToolError(str(unknown)) from None


def _add_booking(server: MCPServer[Any], bookings: Bookings) -> None:
    @server.tool(title=_TITLES["book_flight"], annotations=_BOOKING)
    def book_flight(
        flight_number: Annotated[str, Field(description="As flight_search gives it", min_length=2, max_length=12)],
        passenger_name: Annotated[str, Field(min_length=1, max_length=120)],
    ) -> Booking:
        """Book a flight for the signed-in user. A demonstration: nothing is really booked or paid."""
        token = get_access_token()
        if token is None or token.subject is None:
            raise ToolError("Bookings need a signed-in user.")
        try:
            return bookings.book((str((token.claims or {}).get("iss")), token.subject), flight_number, passenger_name)
        except UnknownSample as unknown:
            raise ToolError(str(unknown)) from None
