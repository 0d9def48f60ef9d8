"""What a flow wants done. Flows are generators: they yield an effect, and are sent its result.

They do no I/O of their own, so the same rules run under any event loop, in a test without a socket, and in `doctor`.
A failed effect is thrown into the flow as a `ClientError`.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from .records import Registration

MAX_ANSWER_BYTES = 1024 * 1024
TOTAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer within the caps. Header names are in lower case; several fields of one name are all there.

    `received_at` is when it was complete, in epoch seconds: flows have no clock of their own.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at: float

    def header(self, name: str) -> str | None:
        """The first field of that name (in lower case), or None."""
        return next((value for found, value in self.headers if found == name), None)

    def header_values(self, name: str) -> list[str]:
        """Every field of that name."""
        return [value for found, value in self.headers if found == name]


@dataclass(frozen=True, slots=True)
class Send:
    """Make one request; its result is an `Answer`, whatever its status.

    A GET without credentials follows redirects inside its origin; nothing else follows any. `what` says in words
    what is asked for, for the messages of errors. Headers and body hold secrets: this value must not be logged.

    Spec: T8
    """

    method: str
    url: str
    what: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OpenRedirect:
    """Be ready for an authorization response; its result is the redirect URI (`str`) it will arrive at.

    `registered` are redirect URIs of an earlier registration, whose port is tried first. Spec: RDU-08
    """

    registered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """Lead the person to `url`; its result is the query (`str`, undecoded) of the response that came back.

    The redirect must have been opened. Only responses whose state is `state` end the wait. Spec: AUTHZ-16 … AUTHZ-18
    """

    url: str = field(repr=False)
    state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ShowUserCode:
    """Show the person where to sign in, and the code to enter there. No result. Spec: RFC 8628 §3.3"""

    verification_uri: str
    verification_uri_complete: str | None
    user_code: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Let `seconds` pass. No result."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LoadRegistration:
    """How this client is known to an issuer; its result is a `Registration` or None. Spec: CRED-01"""

    issuer: str
    resource: str


@dataclass(frozen=True, slots=True)
class SaveRegistration:
    """Keep a registration at once, so that a login that is given up does not register again. No result."""

    resource: str
    registration: Registration


@dataclass(frozen=True, slots=True)
class Obtain:
    """Have the program give a value that only it can get, such as its platform's assertion; the result is a `str`.

    `fetch` may block, and runs in a worker thread; what it returns is awaited where it can be. What it raises is the
    program's own, and passes through the flow to the caller.
    """

    fetch: Callable[[], str | Awaitable[str]] = field(repr=False)


Effect = Send | OpenRedirect | Visit | ShowUserCode | Wait | LoadRegistration | SaveRegistration | Obtain

T = TypeVar("T")
Flow = Generator[Effect, object, T]
"""Yields effects, is sent their results, and returns a `T`."""
