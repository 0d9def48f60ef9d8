"""Which events make one story, by rules that need no clock and no database."""

from typing import Any

from doorward.core.timeline import SAME_VISIT_MS, TimelineEvent, build_stories

SEALED = "mcx_abc"
SHARED = "https://claude.ai/oauth/client"
MINUTE = 60_000


def event(at: int, step: Any = "token", **changes: Any) -> TimelineEvent:
    given = {"outcome": "ok", "source": "192.0.2.1", "agent": "app/1.0", **changes}
    return TimelineEvent(at, step, **given)


def shapes(events: list[TimelineEvent]) -> list[list[int]]:
    """The times of each story's events, newest story first."""
    return [[each.at for each in story.events] for story in build_stories(events)]


def test_a_connection_holds_its_steps_together_for_ever() -> None:
    assert shapes([event(1, grant_id="g"), event(10 * SAME_VISIT_MS, "refresh", grant_id="g")]) == [
        [1, 10 * SAME_VISIT_MS]
    ]


def test_a_stored_request_ties_a_browser_to_the_connection_it_made() -> None:
    browser = {"source": "192.0.2.9", "agent": "browser"}
    events = [event(1, "authorize", flow="f", **browser), event(2, "consent", flow="f", grant_id="g", **browser)]
    assert shapes([*events, event(3, grant_id="g")]) == [[1, 2, 3]]


def test_an_id_of_one_installation_ties_whoever_uses_it_within_a_visit() -> None:
    events = [event(1, "register", client_id=SEALED), event(2, "authorize", client_id=SEALED, agent="browser")]
    assert shapes(events) == [[1, 2]]
    late = event(2 + SAME_VISIT_MS + 1, "authorize", client_id=SEALED, agent="browser")
    assert shapes([*events, late]) == [[late.at], [1, 2]]


def test_an_id_that_many_share_ties_one_program_at_one_address_alone() -> None:
    events = [event(1, client_id=SHARED), event(2, client_id=SHARED, source="192.0.2.2"), event(3, client_id=SHARED)]
    assert shapes(events) == [[1, 3], [2]]


def test_people_of_a_shared_client_are_told_apart_by_their_connections() -> None:
    events = [event(1, client_id=SHARED, grant_id="a"), event(2, client_id=SHARED, source="x", grant_id="b")]
    assert shapes([*events, event(3, grant_id="a"), event(4, grant_id="b")]) == [[2, 4], [1, 3]]


def test_anonymous_steps_go_to_the_next_step_of_the_same_program() -> None:
    events = [event(1, "challenge"), event(2, "metadata"), event(3, "register", client_id=SEALED)]
    assert shapes(events) == [[1, 2, 3]]
    other = event(2, "metadata", agent="other")
    assert shapes([*events, other]) == [[1, 2, 3], [2]]


def test_steps_of_one_millisecond_stay_in_their_order_whoever_took_them() -> None:
    events = [
        event(1, "challenge", agent="mcp"),
        event(1, "metadata", agent=""),
        event(1, "register", agent="", client_id=SEALED),
        event(1, "authorize", agent="mcp", client_id=SEALED),
    ]
    (story,) = build_stories(events)
    assert story.events == events


def test_anonymous_steps_that_led_nowhere_are_told_visit_by_visit() -> None:
    assert shapes([event(1, "metadata"), event(2, "metadata"), event(3 + SAME_VISIT_MS, "metadata")]) == [
        [3 + SAME_VISIT_MS],
        [1, 2],
    ]


def test_an_old_look_is_not_taken_for_the_beginning_of_a_new_attempt() -> None:
    late = event(2 + SAME_VISIT_MS, "register", client_id=SEALED)
    assert shapes([event(1, "metadata"), late]) == [[late.at], [1]]


def test_the_verdict_says_how_far_it_came() -> None:
    def verdict(*events: TimelineEvent) -> str:
        (story,) = build_stories(events)
        return story.verdict

    assert verdict(event(1, "metadata")) == "came as far as our metadata, and did not go on"
    refused = event(2, client_id=SEALED, outcome="refused", reason="why")
    assert verdict(refused) == "stopped at the token: why"
    assert verdict(refused, event(3, client_id=SEALED)) == "connected, after 1 refusals"
    assert verdict(event(1, "call", grant_id="g")) == "connected and calling"
    assert verdict(event(1, grant_id="g"), event(2, "revoke", grant_id="g")) == "gave its access back"
