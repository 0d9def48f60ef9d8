"""What the transport of 2024-11-05 needs at a proxy: its first event names a URL, which must be one of the proxy's."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from .principal import Identity

_MAX_EVENT_BYTES = 8192
_ENDS = (b"\r\n\r\n", b"\n\n", b"\r\r")


class EndpointRewriter:
    """Passes the bytes of an event stream on, with the URL in a first event named `endpoint` put through `publish`.

    Nothing is held back but the part of a first event that has not ended yet; once an event with data was seen, or
    something longer than any endpoint, bytes pass as they come. Spec: MCP 2024-11-05, HTTP with SSE
    """

    def __init__(self, publish: Callable[[str], str]) -> None:
        self._publish = publish
        self._held: bytes | None = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may be sent on after `chunk` came."""
        if self._held is None:
            return chunk
        self._held += chunk
        passed = b""
        while self._held is not None and (end := _find_end(self._held)):
            event, self._held = self._held[:end], self._held[end:]
            rewritten = self._rewrite(event)
            if rewritten is None:
                passed += event
                continue
            passed += rewritten + self._held
            self._held = None
        if self._held is not None and len(self._held) > _MAX_EVENT_BYTES:
            passed, self._held = passed + self._held, None
        return passed

    def finish(self) -> bytes:
        """What was held back when the stream ends."""
        held, self._held = self._held or b"", None
        return held

    def _rewrite(self, event: bytes) -> bytes | None:
        """The first event with data, as it goes on; None for comments and other blocks before it."""
        lines = event.splitlines(keepends=True)
        fields = [line.rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf").partition(b":") for line in lines]
        data = [number for number, (name, _, _) in enumerate(fields) if name == b"data"]
        if not data:
            return None
        names = [value.removeprefix(b" ") for name, _, value in fields if name == b"event"]
        if names[-1:] != [b"endpoint"] or len(data) != 1:
            return event
        at = data[0]
        url = self._publish(fields[at][2].decode("latin-1").strip())
        ending = lines[at][len(lines[at].rstrip(b"\r\n")) :]
        lines[at] = b"data: " + url.encode("ascii") + ending
        return b"".join(lines)


class MessageEndpoints:
    """The message URLs that servers behind have announced, each for as long as its stream and for its principal alone.

    Clients get a token in place of the URL: where the server behind takes messages may lie beside what is protected,
    and is reached in no other way. The id in such a URL is a handle and no credential (T13), so that the principal
    must be the one the stream was opened by. Spec: MCP 2024-11-05, HTTP with SSE (STA-01)
    """

    def __init__(self) -> None:
        self._by_token: dict[str, tuple[str, Identity]] = {}
        self._places: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def announced(self, url: str, identity: Identity, *, parameters: Iterable[str]) -> Iterator[str]:
        """A token that stands for `url` while the context is open; one of its `parameters` names the stream."""
        token = secrets.token_urlsafe(18)
        path = _fold_path(url)
        places = Counter([(path, ""), *((path, name) for name in parameters)])
        self._by_token[token] = (url, identity)
        self._places += places
        try:
            yield token
        finally:
            del self._by_token[token]
            self._places -= places  # and what is at nothing is gone

    def find(self, token: str, identity: Identity) -> str | None:
        """The URL for which a token of this principal stands."""
        url, owner = self._by_token.get(token, ("", None))
        return url if owner == identity else None

    def holds(self, url: str) -> bool:
        """Whether messages for somebody's stream are taken there, so that it must be named by a token."""
        if not self._places:
            return False
        segments = _fold_path(url).split("/")
        # A mount takes whatever lies below it; the root is no mount of messages.
        above = ["/".join(segments[:length]) for length in range(2, len(segments) + 1)]
        return any((path, "") in self._places for path in ("/".join(segments), *above))

    def names_stream(self, url: str, *, parameters: Iterable[str]) -> bool:
        """Whether a URL that takes more than messages is one that takes them for somebody's stream, by a parameter."""
        path = _fold_path(url)
        return any((path, name) in self._places for name in parameters)


def _fold_path(url: str) -> str:
    """A path as the most lenient router compares it, without what some do not count as a part of a segment."""
    segments = unquote(urlsplit(url).path).casefold().split("/")
    return "/".join(segment.partition(";")[0].strip(" .") for segment in segments).rstrip("/")


def _find_end(held: bytes) -> int:
    """The length of the first whole event, with the empty line that ends it; 0 when none is whole."""
    ends = [at + len(end) for end in _ENDS if (at := held.find(end)) >= 0]
    return min(ends, default=0)
