"""Charts of the last two weeks, drawn here as SVG, each with a table that says the same."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from doorward.asgi import Response
from doorward.core import audit
from doorward.manage import activity
from doorward.manage.activity import DAY_MS

from .desk import BoardPage, Desk

DAYS = 14
WIDTH, HEIGHT, GAP = 560, 120, 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of a chart: what it is called, how much, and where its bar is."""

    day: str
    count: int
    x: float
    y: float
    width: float
    height: float


async def show_charts(desk: Desk) -> Response:
    """Apps that came, sign-ins, tokens and refusals by the day."""
    last = desk.now // DAY_MS
    days = range(last - DAYS + 1, last + 1)
    counted = await activity.count_days(desk.operator, desk.project, since=days[0] * DAY_MS)

    charts = {
        "apps": [counted.apps.get(day, 0) for day in days],
        "sign_ins": [counted.actions.get((day, audit.SIGNED_IN), 0) for day in days],
        "tokens": [sum(counted.actions.get((day, given), 0) for given in audit.TOKENS_GIVEN) for day in days],
        "refusals": [counted.refusals.get(day, 0) for day in days],
    }
    names = [name_day(day) for day in days]
    return desk.render(
        "charts.html",
        "charts",
        charts=[{"key": key, **draw(list(zip(names, counts, strict=True)))} for key, counts in charts.items()],
        width=WIDTH,
        height=HEIGHT,
    )


def draw(counts: list[tuple[str, int]]) -> dict[str, Any]:
    """The bars of a chart whose highest day has the full height; a day with anything at all can be seen."""
    highest = max((count for _, count in counts), default=0)
    step = WIDTH / max(1, len(counts))
    bars = []
    for place, (day, count) in enumerate(counts):
        height = max(2.0, HEIGHT * count / highest) if count else 0.0
        bars.append(
            Bar(day, count, round(place * step, 1), round(HEIGHT - height, 1), round(step - GAP, 1), round(height, 1))
        )
    return {"bars": bars, "highest": highest, "total": sum(count for _, count in counts)}


def name_day(day: int) -> str:
    """A day as people write it, without the year."""
    return f"{datetime.fromtimestamp(day * DAY_MS / 1000, UTC):%d %b}"


CHARTS_PAGE = BoardPage(show_charts)
