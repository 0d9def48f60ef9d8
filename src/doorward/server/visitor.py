"""Who looks at an authorization request: what the pages know of the browser, told to the server."""

from dataclasses import dataclass

from doorward.core.models import Session, User


@dataclass(frozen=True, slots=True)
class Visitor:
    """One look at a request. `now` is epoch milliseconds."""

    source: str
    browser: str
    """What the browser keeps whoever signs in; empty where it keeps nothing yet."""
    is_browser: bool
    """Whether the look shows the marks of a person's browser, and not only of a program that asks ahead of it."""
    signed_in: tuple[Session, User] | None
    first_seen_at: int | None
    """When this browser first came with this very request, where that had to be remembered."""
    now: int
