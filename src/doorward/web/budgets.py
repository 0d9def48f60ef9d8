"""Budgets in the words of a person who is asked, or looks up what they agreed to."""

from collections.abc import Iterable

from doorward.oauth.budgets import Budget, describe_amount, parse_budget


def describe_budgets(texts: Iterable[str]) -> list[str]:
    """What the calls of an app are limited to, a line for each budget, as in `10 tool calls a minute`."""
    return [_describe(parse_budget(text)) for text in texts]


def _describe(budget: Budget) -> str:
    words = [describe_amount(budget)]
    if "tool" in budget.per:
        words.append("with each of its tools" if not budget.tools else "with each of")
    elif budget.tools:
        words.append("with")
    if budget.tools:
        words.append(_join(budget.tools))
    if who := _describe_sharers(budget):
        words.append(who)
    return " ".join(words)


def _describe_sharers(budget: Budget) -> str:
    """With whom the app shares the budget; nothing where it is about this app and this person alone."""
    if "connection" in budget.per or {"user", "client"} <= {*budget.per}:
        return ""
    if "user" in budget.per:
        return "by all your apps together"
    if "client" in budget.per:
        return "by everybody who uses this app, together"
    return "by everybody together"


def _join(tools: tuple[str, ...]) -> str:
    *first, last = tools
    return f"{', '.join(first)} and {last}" if first else last
