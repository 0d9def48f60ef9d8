"""The steps a person goes through before a client gets a code, as one table.

The authorization endpoint is the only dispatcher: it asks for the next step, the step's page does one thing and
returns to the authorization endpoint, which asks again. Steps never lead to each other, so none can be skipped by
naming the next one (T41). What decides is on the server: the session and the stored request, never a field of a form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Step = Literal["sign_in", "consent"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of the person at the authorization endpoint, all of it read from the server's own records."""

    signed_in: bool


_STEPS: tuple[tuple[Step, Callable[[Progress], bool]], ...] = (
    ("sign_in", lambda progress: not progress.signed_in),
    # Consent is asked every time: a name that a client gave itself proves nothing (CON-03, T3).
    ("consent", lambda _: True),
)


def next_step(progress: Progress) -> Step:
    """The first step that is still needed."""
    return next(step for step, is_needed in _STEPS if is_needed(progress))
