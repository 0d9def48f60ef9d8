"""The form of a decision, on the page of an app as on that of a device. Nothing in it is believed but who sent it."""

from doorward.core.choices import LASTS
from doorward.oauth.forms import MAX_FIELDS, Form
from doorward.oauth.tools import MAX_TOOLS
from doorward.server.choice import Choice
from doorward.server.page_error import PageError

from .visit import Visit

_TOOL = "tool"
_AGAIN = ("Go back and choose.",)


async def read_decision_form(visit: Visit) -> Form:
    """The posted form, in which every tool of a long list may be ticked. Raises `PageError` and `OAuthError`."""
    return await visit.form(lists=(_TOOL,), max_fields=MAX_FIELDS + MAX_TOOLS)


def read_choice(form: Form) -> Choice:
    """Which button was pressed, with what was ticked. Raises `PageError` for what the page does not offer.

    A browser sends what is ticked with every button: with another than that of the ticked tools, it says nothing.
    """
    decision, lasts = form.get("decision"), form.get("lasts", "until_revoked")
    chosen = next((known for known in LASTS if known == lasts), None)
    match decision:
        case "allow" | "allow_reading" | "allow_chosen" | "deny":
            pass
        case _:
            raise PageError("Nothing was decided", "Choose Allow or Deny.", _AGAIN)
    if chosen is None and decision != "deny":
        raise PageError("Nothing was decided", "Choose for how long the app may have access.", _AGAIN)
    return Choice(
        decision,
        tools_at=_read_tools_at(form.get("tools_at")),
        tools=form.lists[_TOOL] if decision == "allow_chosen" else (),
        lasts=chosen or "until_revoked",
    )


def _read_tools_at(value: str | None) -> int:
    """The version of the list of tools that was on the page, as its form says; 0 where it says none."""
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) <= 15 else 0
