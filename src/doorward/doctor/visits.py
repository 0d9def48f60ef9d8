"""What was seen at a server: every request and its answer, by what it was asked for.

Checks and the ways of clients read this record and nothing else: they make no request of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from doorward.oauth.challenges import parse_challenges

from .places import join, origin_of, split
from .profiles import Profile, known_profiles

MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. Headers and body may hold secrets: this value must not be printed."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """How a connection was secured; `not_after` in epoch seconds, 0 where it is not known."""

    protocol: str
    not_after: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A request and what came of it; `status` is 0 when nothing did, and `fault` says why.

    `seconds` is how long the whole answer took; header names are in lower case.
    """

    method: str
    url: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    seconds: float = 0.0
    received_at: float = 0.0
    fault: str = ""
    certificate: Certificate | None = None

    def header(self, name: str) -> str:
        """The first field of that name, or nothing."""
        return next((value for found, value in self.headers if found == name), "")

    def header_values(self, name: str) -> list[str]:
        """Every field of that name."""
        return [value for found, value in self.headers if found == name]

    @property
    def document(self) -> dict[str, Any] | None:
        """The JSON object of the body, whatever the status; None when it is none."""
        try:
            found = json.loads(self.body)
            if b"\\u" in self.body:  # only an escape can make half a character, which nothing can pass on
                found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def location(self) -> str:
        """Where it redirects to, absolute; empty when it does not."""
        if self.status not in (301, 302, 303, 307, 308) or not self.header("location"):
            return ""
        return join(self.url, self.header("location"))

    @property
    def is_untrusted(self) -> bool:
        """Whether there was no answer because of the certificate."""
        return "certificate" in self.fault

    @property
    def in_words(self) -> str:
        """`GET https://… answered 404`, for reports."""
        return f"{self.method} {self.url} " + (f"answered {self.status}" if self.status else f"failed: {self.fault}")


@dataclass(frozen=True, slots=True)
class Crossing:
    """What a page of another origin sees in a browser: the preflight, and the request itself."""

    preflight: Seen
    actual: Seen


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration that was tried, for all profiles whose body is the same but for its names.

    The answer holds secrets: nothing of it may be printed. `removed` is whether it is gone again (RFC 7592).
    """

    profiles: tuple[str, ...]
    body: dict[str, Any]
    seen: Seen = field(repr=False)
    removed: bool = False

    @property
    def client_id(self) -> str:
        """What it was given; empty when it was refused."""
        found = (self.seen.document or {}).get("client_id")
        return found if self.seen.status in (200, 201) and isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the authorization endpoint, without a person: for which client, with which redirect."""

    profile: str
    kind: str
    """`registered` (as it registered), `port` (from another loopback port), `published` (as its document has it),
    `document` (as it asks with it), or for nobody: `error`, `unknown`, `foreign`, `offline`, `scope`."""
    redirect_uri: str
    seen: Seen = field(repr=False)

    @property
    def answer(self) -> dict[str, str]:
        """The parameters of an answer that went to the client's redirect URI; empty when none did."""
        location = self.seen.location
        if not location or location.partition("?")[0] != self.redirect_uri.partition("?")[0]:
            return {}
        return dict(parse_qsl(split(location).query, keep_blank_values=True))

    @property
    def is_known(self) -> bool:
        """Whether the client and its redirect are known: an error that is sent there says so, too."""
        return bool(self.answer) or not self.refusal

    @property
    def refusal(self) -> str:
        """Why this client is not let on, in a word: an error code, a status, or nothing when it is.

        Nothing for 429, too: it was the doctor that asked too often, and not this client.
        """
        if not self.seen.status:
            return "no answer"
        if self.seen.status == 429:
            return ""
        return self.answer.get("error", "") or (str(self.seen.status) if self.seen.status >= 400 else "")


@dataclass(slots=True)
class LoginSeen:
    """What a login showed. Answers hold tokens: nothing of them may be printed."""

    stopped: str = ""
    """Why it could not be tried, or ended before a token came."""
    is_told: bool = False
    """Whether another check tells that already."""
    answer: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The authorization response's parameters."""
    token: Seen | None = None
    scope_asked: str = ""
    initialize: Seen | None = None
    tools: Seen | None = None
    call: Seen | None = None
    called: str = ""
    siblings: list[Seen] = field(default_factory=list)
    refreshes: list[Seen] = field(default_factory=list)
    used_after: list[Seen] = field(default_factory=list)
    """The server's answers to the tokens of two refreshes at once."""
    rotated: Seen | None = None
    revoked: Seen | None = None
    after_revocation: Seen | None = None


@dataclass(slots=True)
class Visit:
    """Everything that was seen of one server."""

    url: str
    profiles: tuple[Profile, ...] = field(default_factory=known_profiles)
    """The clients that are played."""
    probes: dict[str, Seen] = field(default_factory=dict)
    """Requests to the MCP endpoint without a token (POST, GET, HEAD, EMPTY, SLASH) and with a made up one (GARBAGE)."""
    documents: dict[str, Seen] = field(default_factory=dict)
    """GET requests for metadata, by URL; redirects are not followed here but have their targets beside them."""
    issuers: tuple[str, ...] = ()
    """The issuers that the resource metadata names, as written."""
    agents: dict[str, list[Seen]] = field(default_factory=dict)
    """What the server and its metadata answer to each name that clients go by, in the same order as to the doctor's."""
    endpoints: dict[str, Seen] = field(default_factory=dict)
    crossings: dict[str, Crossing] = field(default_factory=dict)
    registers: bool = True
    registrations: list[Registered] = field(default_factory=list)
    unmeant: list[Registered] = field(default_factory=list)
    """What was registered for a request that says nothing and should have been refused."""
    left_out: tuple[str, ...] = ()
    """Profiles whose body was not tried, because the most that are registered was reached."""
    authorizations: list[Asked] = field(default_factory=list)
    tokens: dict[str, Seen] = field(default_factory=dict)
    unknown: Seen | None = None
    """A well-known address that nobody publishes anything at."""
    login: LoginSeen | None = None

    def get(self, url: str, *, follows: bool = True) -> Seen | None:
        """The answer for `url`, through redirects of the same origin where the client follows them."""
        seen = self.documents.get(url)
        for _ in range(MAX_REDIRECTS):
            if seen is None or not follows or not seen.location or origin_of(seen.location) != origin_of(url):
                return seen
            seen = self.documents.get(seen.location)
        return seen

    def is_refused(self, agent: str) -> bool:
        """Whether a client of that name is answered otherwise than the doctor is, and not just asked to wait."""
        own = [seen.status for seen in self.agents.get("", [])]
        pairs = zip(self.agents.get(agent, []), own, strict=False)
        return any(seen.status not in (status, 429) for seen, status in pairs)

    def registration_of(self, profile: str) -> Registered | None:
        """The registration with that client's body, if it was tried."""
        return next((one for one in self.registrations if profile in one.profiles), None)

    def asked_as(self, kind: str, profile: str = "") -> list[Asked]:
        """What was asked of the authorization endpoint in that way, by that client or any."""
        return [one for one in self.authorizations if one.kind == kind and profile in ("", one.profile)]

    @property
    def is_open(self) -> bool:
        """Whether the server begins a session with whoever has no token."""
        seen = self.probes.get("POST")
        return seen is not None and seen.status == 200 and b'"jsonrpc"' in seen.body and b'"result"' in seen.body

    @property
    def is_elsewhere(self) -> bool:
        """Whether there seems to be no MCP server at this address."""
        seen = self.probes.get("POST")
        return seen is not None and seen.status in (404, 405)

    def challenge_fields(self, probe: str = "POST") -> list[str]:
        """The `WWW-Authenticate` fields of a probe, when it was answered 401 or 403."""
        seen = self.probes.get(probe)
        return seen.header_values("www-authenticate") if seen is not None and seen.status in (401, 403) else []

    def challenge_url(self, probe: str = "POST") -> str:
        """The `resource_metadata` of its Bearer challenge as written, or nothing."""
        found = parse_challenges(self.challenge_fields(probe))
        return next((one.resource_metadata or "" for one in found if one.scheme == "bearer"), "")

    def challenge_scope(self) -> str:
        """The scopes its challenge asks for."""
        found = parse_challenges(self.challenge_fields())
        return next((one.scope or "" for one in found if one.scheme == "bearer"), "")
