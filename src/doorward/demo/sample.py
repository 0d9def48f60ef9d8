"""The sample data that the demo's tools answer with, and the bookings that its users make.

Nothing here is real, and every answer says so in its `notice`.
"""

import json
import secrets
from collections import OrderedDict
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, Field

MAX_USERS = 1_000
MAX_BOOKINGS_OF_A_USER = 20


class DayForecast(BaseModel):
    """One day of a forecast."""

    day: int = Field(description="1 is today")
    conditions: str
    high_c: int
    low_c: int
    rain_percent: int
    wind_kmh: int


class Forecast(BaseModel):
    """What `weather_forecast` answers."""

    notice: str = Field(description="What this data is")
    city: str
    country: str
    days: list[DayForecast]


class Quote(BaseModel):
    """The price of one stock."""

    symbol: str
    name: str
    currency: str
    price: float
    change_percent: float
    volume: int


class Quotes(BaseModel):
    """What `stock_quotes` answers."""

    notice: str = Field(description="What this data is")
    quotes: list[Quote]
    unknown_symbols: list[str]


class Flight(BaseModel):
    """One flight of the timetable, which is the same every day."""

    flight_number: str
    airline: str
    origin: str = Field(description="IATA code of the airport")
    destination: str = Field(description="IATA code of the airport")
    departs: str = Field(description="Local time")
    arrives: str = Field(description="Local time")
    duration_minutes: int
    price_eur: int
    seats_left: int


class Flights(BaseModel):
    """What `flight_search` answers."""

    notice: str = Field(description="What this data is")
    date: str
    flights: list[Flight]


class Booking(BaseModel):
    """What `book_flight` answers."""

    notice: str = Field(description="What this data is")
    reference: str
    flight: Flight
    passenger_name: str
    bookings_of_this_user: int


class UnknownSample(LookupError):  # noqa: N818  # said to the user as it is
    """The sample data does not hold what was asked for; the text says what it does hold."""


@cache
def _read(name: str) -> Any:
    return json.loads(files(__package__).joinpath("data", f"{name}.json").read_text(encoding="utf-8"))


def find_forecast(city: str, days: int) -> Forecast:
    """The forecast for a city, found whatever the case. Raises `UnknownSample`."""
    data = _read("weather")
    for entry in data["cities"]:
        if entry["city"].casefold() == city.strip().casefold():
            forecast = [DayForecast(day=number, **day) for number, day in enumerate(entry["days"][:days], start=1)]
            return Forecast(notice=data["notice"], city=entry["city"], country=entry["country"], days=forecast)
    known = ", ".join(entry["city"] for entry in data["cities"])
    raise UnknownSample(f"The sample data knows these cities: {known}.")


def find_quotes(symbols: list[str]) -> Quotes:
    """The quotes of the symbols that exist, and the names of those that do not."""
    data = _read("stocks")
    known = {entry["symbol"]: entry for entry in data["quotes"]}
    asked = list(dict.fromkeys(symbol.strip().upper() for symbol in symbols))
    return Quotes(
        notice=data["notice"],
        quotes=[Quote(**known[symbol]) for symbol in asked if symbol in known],
        unknown_symbols=[symbol for symbol in asked if symbol not in known],
    )


def find_flights(origin: str, destination: str, date: str) -> Flights:
    """The flights between two airports. Raises `UnknownSample` when there are none."""
    data = _read("flights")
    route = (origin.strip().upper(), destination.strip().upper())
    found = [Flight(**entry) for entry in data["flights"] if (entry["origin"], entry["destination"]) == route]
    if not found:
        routes = sorted({f"{entry['origin']}–{entry['destination']}" for entry in data["flights"]})
        raise UnknownSample(f"The sample data knows these routes: {', '.join(routes)}.")
    return Flights(notice=data["notice"], date=date, flights=found)


class Bookings:
    """The bookings made since the start: kept per user, in memory, the oldest users and bookings going first."""

    def __init__(self) -> None:
        self._of_user: OrderedDict[tuple[str, str], list[Booking]] = OrderedDict()

    def book(self, user: tuple[str, str], flight_number: str, passenger_name: str) -> Booking:
        """Book a flight for `user`, an (issuer, subject). Raises `UnknownSample`."""
        data = _read("flights")
        number = flight_number.replace(" ", "").upper()
        entry = next((entry for entry in data["flights"] if entry["flight_number"] == number), None)
        if entry is None:
            known = ", ".join(entry["flight_number"] for entry in data["flights"])
            raise UnknownSample(f"The sample data knows these flights: {known}.")
        theirs = self._of_user.pop(user, [])[-(MAX_BOOKINGS_OF_A_USER - 1) :]
        booking = Booking(
            notice=data["notice"],
            reference=secrets.token_hex(3).upper(),
            flight=Flight(**entry),
            passenger_name=passenger_name,
            bookings_of_this_user=len(theirs) + 1,
        )
        self._of_user[user] = [*theirs, booking]
        if len(self._of_user) > MAX_USERS:
            self._of_user.popitem(last=False)
        return booking
