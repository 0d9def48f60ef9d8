"""The steps a person goes through before a client gets a code, as one table.

The authorization endpoint is the only dispatcher: it asks for the next step, the step's page does one thing and
returns to the authorization endpoint, which asks again. Steps never lead to each other, so none can be skipped by
naming the next one (T41). What decides is on the server: the session and the stored request, never a field of a form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from doorward.oauth.prompt import SignInDemand

INTERACTION_LIFE_MS = 600_000
"""How long a person may take: from the first sight of a request that must be remembered, and to decide."""

Step = Literal["sign_in", "consent"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of the person at the authorization endpoint, all of it read from the server's own records."""

    signed_in: bool
    is_recent: bool = True
    """Whether the sign-in is as recent as the client asked for."""


_STEPS: tuple[tuple[Step, Callable[[Progress], bool]], ...] = (
    ("sign_in", lambda progress: not (progress.signed_in and progress.is_recent)),
    # Consent is asked every time: a name that a client gave itself proves nothing (CON-03, T3).
    ("consent", lambda _: True),
)


def next_step(progress: Progress) -> Step:
    """The first step that is still needed."""
    return next(step for step, is_needed in _STEPS if is_needed(progress))


def is_recent_enough(demand: SignInDemand, *, signed_in_at: int, first_seen_at: int | None, now: int) -> bool:
    """Whether a sign-in satisfies what the client asked of it.

    One that came after the request was first seen always does, or a person would sign in for ever. A sign-in of the
    future is none: the clock was set back since. Times are epoch milliseconds.
    """
    if signed_in_at > now:
        return not demand.asks_for_time
    if first_seen_at is not None and signed_in_at >= first_seen_at:
        return True
    return not demand.is_anew and (demand.max_age is None or now - signed_in_at < demand.max_age * 1000)
