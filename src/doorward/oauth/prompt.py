"""What a client asks of the person's sign-in: `prompt` and `max_age`.

Spec: OpenID Connect Core 1.0 §3.1.2.1; clients.md no. 35
"""

import re
from dataclasses import dataclass

from .errors import invalid_request

PROMPTS = ("none", "login", "consent", "select_account")
"""The values that are understood, to be published as `prompt_values_supported`; others are ignored."""
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class SignInDemand:
    """How the person has to have signed in; consent is asked for whatever is demanded."""

    is_silent: bool = False
    """Nobody is to be shown anything: where that cannot be, the client wants an error."""
    is_anew: bool = False
    """Being signed in is not enough."""
    max_age: int | None = None
    """How many seconds ago the sign-in may have been."""

    @property
    def asks_for_time(self) -> bool:
        """Whether it matters when the person signed in."""
        return self.is_anew or self.max_age is not None


def parse_demand(prompt: str | None, max_age: str | None) -> SignInDemand:
    """Read the two parameters. Raises `invalid_request` for `none` beside another value, and for a malformed age."""
    prompts = frozenset((prompt or "").split(" ")) - {""}
    if "none" in prompts and len(prompts) > 1:
        raise invalid_request("The prompt none excludes every other.")
    if max_age is not None and not _SECONDS.fullmatch(max_age):
        raise invalid_request("The max_age must be a number of seconds.")
    return SignInDemand(
        is_silent="none" in prompts,
        is_anew=bool(prompts & {"login", "select_account"}),
        max_age=None if max_age is None else int(max_age),
    )
