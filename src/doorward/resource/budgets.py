"""How many tool calls a caller has left, by the operator's rules and by those its token carries."""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from doorward.oauth.budgets import (
    BUDGETS_CLAIM,
    MAX_LIMIT,
    Budget,
    describe_amount,
    parse_budget,
    parse_budgets_claim,
)
from doorward.oauth.jwt import GRANT_CLAIM

from .asgi import Answer, Refused, build_header, build_rpc_error, build_text
from .challenges import NO_STORE
from .counters import Charge, Counters, FallbackCounters, LocalCounters, Short
from .policy import Call
from .principal import Principal

BUDGET_EXCEEDED = 429
"""The JSON-RPC error code: an application's own, outside the range that the protocol keeps for itself. Spec: RS-20"""
MAX_CHARGES = 256
_KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The calls are too many for `budget`, which has `remaining` left, and nothing was charged.

    `retry_after` is the seconds until the same calls are within every budget again, if nobody else uses it up; None
    when they never will be, since they are more than a whole budget.
    """

    budget: Budget
    remaining: int
    retry_after: int | None


class Budgets:
    """Charges tool calls to `rules`, and to those in the `budgets` claim of each token: both apply.

    A rule is a `Budget` or its text, such as `10/minute per user`. `costs` says what a call of a tool costs in rules
    that count cost; other tools cost 1. Without `counters` each process counts on its own; when shared ones are away,
    each goes on alone with what it knows. Calls that come together are charged together or not at all.

    One rule counts apart for each server, issuer and value of what it is per, and for each window; two rules that
    differ only in their limit share a count, so that tokens with an old and a new limit do not add up. Raises
    `ValueError` for rules and costs that cannot be right. Close it with `aclose`, or use it as an async context
    manager around the app's life.

    Spec: product.md, feature 14; complaint 14; T52
    """

    def __init__(
        self,
        rules: Iterable[Budget | str] = (),
        *,
        counters: Counters | None = None,
        costs: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(rules, str):
            raise ValueError("rules: give a list of budgets, not one string.")
        self._rules = tuple(parse_budget(rule) if isinstance(rule, str) else rule for rule in rules)
        self._costs = dict(costs or {})
        if not all(0 <= cost <= MAX_LIMIT for cost in self._costs.values()):
            raise ValueError(f"costs: a tool costs a whole number from 0 to {MAX_LIMIT:,}.")
        self._counters: Counters = LocalCounters() if counters is None else FallbackCounters(counters)
        self._clock = clock

    async def charge(self, principal: Principal, tools: Sequence[str]) -> Exceeded | None:
        """Charge one call for each of `tools` to every budget there is for it, or nothing to any.

        Raises `ValueError` when the token carries budgets that cannot be read: what limits them is not known then.
        """
        rules = (*self._rules, *parse_budgets_claim(principal.claims.get(BUDGETS_CLAIM)))
        charged = self._build_charges(rules, principal, Counter(tools))
        if not charged:
            return None
        budgets, charges = zip(*charged.values(), strict=True)
        if len(charges) > MAX_CHARGES:  # a batch of many tools, each with counters of its own
            return Exceeded(budgets[0], 0, None)
        now = self._clock()
        short = await self._counters.take(charges, now=now)
        return None if short is None else _judge(budgets, charges, short, now)

    async def aclose(self) -> None:
        """Let go of the counters."""
        await self._counters.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _build_charges(
        self, rules: Iterable[Budget], principal: Principal, tools: Mapping[str, int]
    ) -> dict[str, tuple[Budget, Charge]]:
        """What to take from each counter; of rules with the same counter the lowest limit counts."""
        charges: dict[str, tuple[Budget, Charge]] = {}
        for rule in rules:
            costs: Counter[str] = Counter()
            for tool, calls in tools.items():
                if rule.covers(tool):
                    key = _build_key(rule, principal, tool)
                    costs[key] += calls * (self._costs.get(tool, 1) if rule.unit == "cost" else 1)
            for key, cost in costs.items():
                if cost and (key not in charges or rule.limit < charges[key][0].limit):
                    charges[key] = rule, Charge(key, cost, rule.limit, rule.seconds)
        return charges


async def check_budgets(budgets: Budgets, principal: Principal, calls: Sequence[Call]) -> None:
    """Charge the tool calls of a request body. Raises `Refused` when they are not within every budget.

    A token whose budgets cannot be read calls no tools: to let it would be to lift the limits that its issuer set.
    """
    tools = [call.tool for call in calls if call.tool is not None]
    if not tools:
        return
    try:
        exceeded = await budgets.charge(principal, tools)
    except ValueError as error:
        text = "The access token carries budgets that this server does not understand."
        raise Refused(build_text(403, text, NO_STORE), f"budgets of the token: {error}") from None
    if exceeded is not None:
        request_id = calls[0].id if len(calls) == 1 else None
        raise Refused(build_refusal(exceeded, request_id), f"budget_exceeded: {exceeded.budget}")


def build_refusal(exceeded: Exceeded, request_id: str | int | None) -> Answer:
    """429 with a JSON-RPC error, so that a client gives it to whoever made the call. Spec: RFC 6585 §4"""
    budget, wait = exceeded.budget, exceeded.retry_after
    amount = describe_amount(budget)
    if wait is None:
        text = f"These calls are more than the whole budget of {amount}. Send fewer at once."
    else:
        text = f"The budget of {amount} is used up; again in {describe_wait(wait)}."
    data: dict[str, Any] = {"budget": str(budget), "limit": budget.limit, "remaining": exceeded.remaining}
    if wait is not None:
        data["retry_after"] = wait
    headers = [NO_STORE] if wait is None else [build_header("retry-after", str(wait)), NO_STORE]
    return build_rpc_error(429, BUDGET_EXCEEDED, text, request_id, *headers, data=data)


def describe_wait(seconds: int) -> str:
    """A wait in the words of a person, in two units at most and never shorter than it is."""
    if seconds < 2 * 60:
        return _count(seconds, "second")
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return _count(minutes, "minute")
    if minutes < 48 * 60:
        return _count_both(minutes // 60, "hour", minutes % 60, "minute")
    hours = math.ceil(seconds / 3600)
    return _count_both(hours // 24, "day", hours % 24, "hour")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _count_both(number: int, unit: str, rest: int, smaller: str) -> str:
    return f"{_count(number, unit)} and {_count(rest, smaller)}" if rest else _count(number, unit)


def _build_key(rule: Budget, principal: Principal, tool: str) -> str:
    """The counter of a rule for one caller: a digest, so that a shared store learns no names and keys are short."""
    values = {
        "user": principal.subject,
        "client": principal.client_id,
        # One that other issuers do not name is the person with the client.
        "connection": principal.claims.get(GRANT_CLAIM) or [principal.subject, principal.client_id],
        "tool": tool,
    }
    counted = [rule.unit, rule.seconds, rule.per, rule.tools, [values[part] for part in rule.per]]
    text = json.dumps([principal.issuer, principal.audience, *counted])
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def _judge(budgets: Sequence[Budget], charges: Sequence[Charge], short: Short, now: float) -> Exceeded:
    """The budget that keeps the calls back for longest."""
    worst: Exceeded | None = None
    for budget, charge, used in zip(budgets, charges, short.used, strict=True):
        if used + charge.cost <= charge.limit:
            continue
        wait = max(1, math.ceil(charge.ends_at(now) - now)) if charge.cost <= charge.limit else None
        found = Exceeded(budget, max(0, charge.limit - used), wait)
        if worst is None or _rank(found) > _rank(worst):
            worst = found
    assert worst is not None  # noqa: S101  # a store says Short only when one of them is
    return worst


def _rank(exceeded: Exceeded) -> float:
    return math.inf if exceeded.retry_after is None else exceeded.retry_after
