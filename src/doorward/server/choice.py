"""What a person chose on the page of a decision, and the scopes it comes to, whichever way the app asks.

Spec: CON-04, CON-06; product.md, features 8 and 9
"""

from dataclasses import dataclass
from typing import Literal

from doorward.core.choices import MAX_CHOSEN, MAX_CHOSEN_LENGTH, Lasts, choose_tools, find_end
from doorward.core.models import Resource
from doorward.core.tools import only_reading
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes, format_scope

from .page_error import PageError

Decision = Literal["allow", "allow_reading", "allow_chosen", "deny"]
"""All that was asked for, only what of it changes nothing, only the tools that were ticked, or nothing."""
_AGAIN = ("Go back and choose.",)


@dataclass(frozen=True, slots=True)
class Choice:
    """The form of a decision. `tools` are those that were ticked, `tools_at` is the version of the list on the page."""

    decision: Decision
    tools_at: int = 0
    tools: tuple[str, ...] = ()
    lasts: Lasts = "until_revoked"

    @property
    def is_denied(self) -> bool:
        return self.decision == "deny"

    @property
    def name(self) -> str:
        """The same for the same choice, and for no other: a form that differs is no repetition."""
        if self.is_denied:
            return "deny"
        tools = sorted(self.tools) if self.decision == "allow_chosen" else []
        return "\n".join((self.decision, self.lasts, str(self.tools_at), *tools))

    def ends_at(self, now: int) -> int | None:
        """When what is given now ends by itself; None is never."""
        return find_end(self.lasts, now)


def scope_allowed(resource: Resource | None, asked: Scopes, choice: Choice) -> Scopes:
    """What a person who did not decline gives of what was asked for: never more than that.

    Raises `PageError` for a choice that comes to nothing, or that is not one of what was on the page; nothing is
    decided then.
    """
    if choice.decision == "allow" or resource is None:
        return asked
    if choice.decision == "allow_chosen":
        return _scope_chosen(resource, asked, choice)
    scope = only_reading(resource, asked)
    if not any(name != OFFLINE_ACCESS for name in scope):
        raise _undecided("Nothing the app asks for only reads. Choose Allow or Deny.")
    return scope


def _scope_chosen(resource: Resource, asked: Scopes, choice: Choice) -> Scopes:
    if not choice.tools:
        raise _undecided("No tool was ticked. Tick those that the app may use, or choose Deny.")
    if len(choice.tools) > MAX_CHOSEN:
        raise _undecided(f"At most {MAX_CHOSEN} tools can be chosen one by one. Tick fewer, or choose another answer.")
    scope = choose_tools(resource, asked, frozenset(choice.tools), tools_at=choice.tools_at)
    if scope is None:
        raise PageError(
            "Nothing was decided",
            "The tools of the server are not those that were on the page any more.",
            ("Go back, reload the page and choose again.",),
        )
    if len(format_scope(scope)) > MAX_CHOSEN_LENGTH:
        raise _undecided("The names of these tools are too long to be given one by one. Tick fewer of them.")
    return scope


def _undecided(message: str) -> PageError:
    return PageError("Nothing was decided", message, _AGAIN)
