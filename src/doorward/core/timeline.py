"""The timeline: what a client did on its way in, step by step, told as one story for each attempt.

Events are facts, recorded as they happen by whichever process saw them; stories are made when somebody asks. Nothing
in an event is a secret, and nothing a stranger sent is repeated in it but its name for itself.

Spec: product.md, feature 1; complaints 7, 36; GEN-06
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from .sealing import is_sealed

TimelineStep = Literal[
    "challenge",
    "resource_metadata",
    "metadata",
    "register",
    "authorize",
    "push",
    "device",
    "sign_in",
    "consent",
    "token",
    "refresh",
    "revoke",
    "call",
]
TimelineOutcome = Literal["ok", "refused", "failed"]
STEPS: tuple[TimelineStep, ...] = get_args(TimelineStep)
"""In the order of a client's way in."""
SAME_VISIT_MS = 600_000
"""How long after one another steps of the same program still belong together when nothing else ties them."""
MAX_REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One step of one client, as somebody saw it. `at` is epoch milliseconds."""

    at: int
    step: TimelineStep
    outcome: TimelineOutcome
    source: str
    agent: str
    reference: str = ""
    """What was printed on the page or in the error, for people to quote."""
    client_id: str | None = None
    flow: str | None = None
    """Names the stored authorization request; not the secret that opens it."""
    grant_id: str | None = None
    user_id: str | None = None
    reason: str = ""
    """Why it went no further, in full: what the client was told may be less."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nothing but address and program name says whose step it was."""
        return self.client_id is None and self.flow is None and self.grant_id is None


@dataclass(slots=True)
class Story:
    """The steps of one attempt to connect, oldest first."""

    events: list[TimelineEvent] = field(default_factory=list)

    @property
    def client_id(self) -> str | None:
        return next((event.client_id for event in self.events if event.client_id), None)

    def is_of_another(self, event: TimelineEvent) -> bool:
        """Whether it is about one connection and the event about another one, of the same client."""
        grants = {each.grant_id for each in self.events if each.grant_id}
        return bool(grants) and event.grant_id is not None and event.grant_id not in grants

    @property
    def user_id(self) -> str | None:
        return next((event.user_id for event in self.events if event.user_id), None)

    @property
    def verdict(self) -> str:
        """How far it came, in plain words."""
        refused = [event for event in self.events if event.outcome != "ok"]
        last = self.events[-1]
        if last.outcome != "ok":
            return f"stopped at {_NAMES[last.step]}: {last.reason or last.outcome}"
        reached = max(self.events, key=lambda event: STEPS.index(event.step)).step
        if reached in ("token", "refresh", "revoke", "call"):
            word = {"revoke": "gave its access back", "call": "connected and calling"}.get(reached, "connected")
            return f"{word}, after {len(refused)} refusals" if refused else word
        return f"came as far as {_NAMES[reached]}, and did not go on"


_NAMES: dict[TimelineStep, str] = {
    "challenge": "the server's invitation",
    "resource_metadata": "the server's metadata",
    "metadata": "our metadata",
    "register": "registering",
    "authorize": "the authorization request",
    "push": "the pushed request",
    "device": "the device request",
    "sign_in": "signing in",
    "consent": "consent",
    "token": "the token",
    "refresh": "refreshing",
    "revoke": "giving back",
    "call": "the first call",
}


def build_stories(events: Iterable[TimelineEvent]) -> list[Story]:
    """The attempts that events belong to, newest first.

    A grant, a stored request and an id that one installation alone has tie steps together for certain. An id that
    many share, such as a document's, does so only for one program at one address. Steps without any of these go to
    the next step of the same program from the same address.
    """
    ordered = sorted(events, key=lambda event: event.at)  # stable: what happened at once stays in its order
    stories: list[Story] = []
    by_key: dict[tuple[str, ...], tuple[int, Story]] = {}
    waiting: dict[tuple[str, str], list[TimelineEvent]] = {}
    for event in ordered:
        if event.is_anonymous:
            waiting.setdefault((event.source, event.agent), []).append(event)
            continue
        story = _find_story(by_key, event)
        if story is None:
            story = Story()
            stories.append(story)
        story.events += _take_recent(waiting, event)
        story.events.append(event)
        for key in _keys(event):
            by_key[key] = (event.at, story)
    stories += [story for left in waiting.values() for story in _by_visit(left)]
    place = {id(event): index for index, event in enumerate(ordered)}
    for story in stories:
        story.events.sort(key=lambda event: place[id(event)])  # of one millisecond too, whoever's steps they were
    return sorted(stories, key=lambda story: story.events[-1].at, reverse=True)


def _find_story(by_key: dict[tuple[str, ...], tuple[int, Story]], event: TimelineEvent) -> Story | None:
    for key in _keys(event):
        found = by_key.get(key)
        if found is None:
            continue
        at, story = found
        if key[0] in ("grant", "flow") or (event.at - at <= SAME_VISIT_MS and not story.is_of_another(event)):
            return story
    return None


def _keys(event: TimelineEvent) -> Sequence[tuple[str, ...]]:
    """What ties an event to others, the most certain first."""
    keys: list[tuple[str, ...]] = []
    if event.grant_id:
        keys.append(("grant", event.grant_id))
    if event.flow:
        keys.append(("flow", event.flow))
    if event.client_id:
        own = is_sealed(event.client_id)
        keys.append(("client", event.client_id) if own else ("client", event.client_id, event.source, event.agent))
    return keys


def _take_recent(waiting: dict[tuple[str, str], list[TimelineEvent]], event: TimelineEvent) -> list[TimelineEvent]:
    held = waiting.pop((event.source, event.agent), [])
    recent = [each for each in held if event.at - each.at <= SAME_VISIT_MS]
    if len(recent) < len(held):
        waiting[event.source, event.agent] = held[: len(held) - len(recent)]
    return recent


def _by_visit(events: list[TimelineEvent]) -> list[Story]:
    """Steps that never led to a client, cut where the program was away for a while."""
    stories: list[Story] = []
    for event in events:
        if not stories or event.at - stories[-1].events[-1].at > SAME_VISIT_MS:
            stories.append(Story())
        stories[-1].events.append(event)
    return stories
