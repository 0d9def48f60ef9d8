"""How much that costs something while it is open is open at once, for each person and in all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .asgi import Refused, build_header, build_json
from .challenges import NO_STORE
from .principal import Principal

MAX_STREAMS_OF_A_PERSON = 20
MAX_STREAMS = 2000
_RETRY_AFTER = build_header("retry-after", "5")


class StreamLimits:
    """Counts what is open in this process; a stream is cheap to open and held for as long as its client likes.

    A person is (issuer, subject): another client brings no more room. What is refused reached nobody. `what` is
    counted, in the words of a refusal. Spec: T48
    """

    def __init__(
        self, what: str = "streams", *, per_person: int = MAX_STREAMS_OF_A_PERSON, overall: int = MAX_STREAMS
    ) -> None:
        if per_person < 1 or overall < 1:
            raise ValueError("Limits on streams must be at least 1.")
        self._what = what
        self._per_person = per_person
        self._overall = overall
        self._open: Counter[tuple[str, str]] = Counter()
        self._in_all = 0

    @contextmanager
    def admit(self, principal: Principal) -> Iterator[None]:
        """Hold one place. Raises `Refused`: 429 for what this person holds, 503 for what everybody does."""
        person = principal.identity[:2]
        if self._open[person] >= self._per_person:
            text = f"At most {self._per_person} {self._what} may be open for one user. Close one, or try again shortly."
            document = {"error": f"too_many_{self._what.replace(' ', '_')}", "error_description": text}
            answer = build_json(429, document, _RETRY_AFTER, NO_STORE)
            raise Refused(answer, f"too many {self._what} of one person")
        if self._in_all >= self._overall:
            text = f"The server has as many {self._what} open as it can hold. Try again shortly."
            document = {"error": "temporarily_unavailable", "error_description": text}
            raise Refused(build_json(503, document, _RETRY_AFTER, NO_STORE), f"too many {self._what}")
        self._open[person] += 1
        self._in_all += 1
        try:
            yield
        finally:
            self._in_all -= 1
            self._open[person] -= 1
            if not self._open[person]:
                del self._open[person]
