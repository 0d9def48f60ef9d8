"""Budgets: how much may be called in how long, in the one short spelling that operators, tokens and guards share.

Spec: product.md, feature 14
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

Part = Literal["user", "client", "connection", "tool"]
Unit = Literal["calls", "cost"]

BUDGETS_CLAIM = "budgets"
"""The budgets of a token, each in its text form."""
MAX_BUDGETS = 8
MAX_TEXT_LENGTH = 200
MAX_LIMIT = 1_000_000_000
MAX_SECONDS = 31 * 86_400
MAX_TOOLS = 10
_PARTS: tuple[Part, ...] = get_args(Part)
_PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_PERIOD_NAMES = {seconds: name for name, seconds in _PERIODS.items()}
_TOGETHER = "server"
_TOOL = re.compile(r"[!-+\--~]{1,128}")  # printable ASCII without space and comma, which separate names
_TEXT = re.compile(
    r"(?P<cost>cost )?(?P<limit>[0-9]{1,10})/(?P<period>[a-z]+|[0-9]{1,7}s) per (?P<per>[a-z]+( and [a-z]+)*)"
    r"( on (?P<tools>[!-~][ -~]*))?"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `limit` in each window of `seconds`, counted apart for every value of what `per` names.

    `per` names any of user, client, connection (one consent) and tool; empty, all callers of a server share the
    budget. `tools` are those it is about, empty for all. In `unit` "calls" each call counts one, in "cost" what the
    tool costs. Windows are those of the clock in UTC: a minute begins with second 0, a day at midnight.

    Raises `ValueError` for what cannot be a budget.
    """

    limit: int
    seconds: int
    per: tuple[Part, ...] = ()
    tools: tuple[str, ...] = ()
    unit: Unit = "calls"

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise ValueError(f"A budget has a limit from 1 to {MAX_LIMIT:,}.")
        if not 1 <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"A budget is for 1 to {MAX_SECONDS:,} seconds.")
        if self.per != tuple(part for part in _PARTS if part in self.per):
            raise ValueError(f"A budget is per {', '.join(_PARTS)}, each once and in this order.")
        if len(self.tools) > MAX_TOOLS or self.tools != tuple(sorted(set(self.tools))):
            raise ValueError(f"A budget names {MAX_TOOLS} tools at most, each once and in alphabetical order.")
        if not all(_TOOL.fullmatch(tool) for tool in self.tools):
            raise ValueError("A budget names tools in printable ASCII, without spaces and commas.")
        if self.unit not in get_args(Unit):
            raise ValueError("A budget counts calls or cost.")

    def __str__(self) -> str:
        """The text form, which `parse_budget` reads back."""
        cost = "cost " if self.unit == "cost" else ""
        period = _PERIOD_NAMES.get(self.seconds, f"{self.seconds}s")
        on = f" on {', '.join(self.tools)}" if self.tools else ""
        return f"{cost}{self.limit}/{period} per {' and '.join(self.per) or _TOGETHER}{on}"

    def covers(self, tool: str) -> bool:
        """Whether calls of the tool are charged to it."""
        return not self.tools or tool in self.tools


@lru_cache(maxsize=256)
def parse_budget(text: str) -> Budget:
    """The budget that a text such as `10/minute per user` or `cost 500/day per client and tool on draw` spells.

    Periods are second, minute, hour, day, or a number of seconds as in `90s`. What it is counted per is always said,
    since nobody means every caller together without knowing it: that is `per server`. Raises `ValueError`.
    """
    match = _TEXT.fullmatch(" ".join(text.split())) if len(text) <= MAX_TEXT_LENGTH and text.isascii() else None
    if match is None:
        raise ValueError(
            f"{text[:MAX_TEXT_LENGTH]!r} is no budget. It is spelled like 10/minute per user, 1000/day per client or "
            "cost 500/day per connection on search, draw."
        )
    period = match["period"]
    if period not in _PERIODS and not period[0].isdigit():
        raise ValueError(f"{period} is no period of a budget: {', '.join(_PERIODS)}, or seconds as in 90s.")
    return Budget(
        limit=int(match["limit"]),
        seconds=_PERIODS[period] if period in _PERIODS else int(period[:-1]),
        per=_parse_per(match["per"]),
        tools=tuple(sorted({tool.strip() for tool in match["tools"].split(",")})) if match["tools"] else (),
        unit="cost" if match["cost"] else "calls",
    )


def parse_budgets(texts: Iterable[str]) -> tuple[Budget, ...]:
    """Several budgets, each once. Raises `ValueError`."""
    budgets = tuple(dict.fromkeys(parse_budget(text) for text in texts))
    if len(budgets) > MAX_BUDGETS:
        raise ValueError(f"There can be {MAX_BUDGETS} budgets at most.")
    return budgets


def parse_budgets_claim(value: Any) -> tuple[Budget, ...]:
    """The budgets that a token carries; none when it has no such claim. Raises `ValueError` for anything else."""
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_BUDGETS or not all(isinstance(text, str) for text in value):
        raise ValueError("The claim is not a short list of texts.")
    return parse_budgets(value)


def describe_amount(budget: Budget) -> str:
    """What it allows in the words of a person: `10 tool calls a minute`."""
    one, more = ("unit of use", "units of use") if budget.unit == "cost" else ("tool call", "tool calls")
    amount = f"{budget.limit:,} {one if budget.limit == 1 else more}"
    name = _PERIOD_NAMES.get(budget.seconds)
    if name is None:
        return f"{amount} in {budget.seconds:,} seconds"
    return f"{amount} {'an' if name == 'hour' else 'a'} {name}"


def _parse_per(text: str) -> tuple[Part, ...]:
    named = text.split(" and ")
    if named == [_TOGETHER]:
        return ()
    if _TOGETHER in named:
        raise ValueError("A budget per server is one for all callers together, and per nothing else.")
    if unknown := [part for part in named if part not in _PARTS]:
        raise ValueError(f"A budget is per {', '.join((*_PARTS, _TOGETHER))}, and not per {unknown[0]}.")
    if len(set(named)) != len(named):
        raise ValueError("A budget names each thing it is counted per once.")
    return tuple(part for part in _PARTS if part in named)
