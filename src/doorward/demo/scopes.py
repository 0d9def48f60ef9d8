"""The demo's scopes and tools as plain data, to protect the demo with and to describe it to its issuer."""

from typing import Any

READ = "tools:read"
WRITE = "tools:write"

DEMO_TOOLS: list[dict[str, Any]] = [
    {"name": "weather_forecast", "title": "Weather forecast", "kind": "read", "scopes": []},
    {"name": "stock_quotes", "title": "Stock quotes", "kind": "read", "scopes": [READ]},
    {"name": "flight_search", "title": "Flight search", "kind": "read", "scopes": [READ]},
    {"name": "book_flight", "title": "Book a flight", "kind": "write", "scopes": [WRITE]},
]
"""Every tool with the scopes that a call needs; one without scopes is open to every signed-in user."""


def _tools_of(scope: str) -> list[dict[str, str]]:
    return [
        {"name": tool["name"], "title": tool["title"], "kind": tool["kind"]}
        for tool in DEMO_TOOLS
        if scope in tool["scopes"] or (scope == READ and not tool["scopes"])
    ]


DEMO_SCOPES: list[dict[str, Any]] = [
    {
        "name": READ,
        "title": "Look things up",
        "description": "Read stock quotes and search for flights. The data are samples.",
        "kind": "read",
        "tools": _tools_of(READ),
    },
    {
        "name": WRITE,
        "title": "Book flights",
        "description": "Book flights in your name. Nothing is really booked or paid.",
        "kind": "write",
        "tools": _tools_of(WRITE),
    },
]
"""The scopes in the words of a consent page, each with the tools it opens."""
