"""What happened in a project: the audit trail searched and exported, counts by the day, and who is meant by an id."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from doorward.core.models import Client, Project, User
from doorward.storage.audit import NEWEST, EventSearch, Place, RecordedEvent, count_events_by_day, search_events
from doorward.storage.clients import count_clients_by_day, find_client
from doorward.storage.database import Transaction
from doorward.storage.timeline import count_refusals_by_day
from doorward.storage.users import find_user

from .operator import Operator

DAY_MS = 86_400_000
EXPORTED_AT_ONCE = 500

__all__ = ["DAY_MS", "EventSearch", "Place", "count_days", "describe", "export", "find_names", "search"]


@dataclass(frozen=True, slots=True)
class Days:
    """How much there was of each on each day, counted from 1970. An app that nobody went on with leaves no trace."""

    apps: Mapping[int, int]
    actions: Mapping[tuple[int, str], int]
    refusals: Mapping[int, int]


async def search(
    operator: Operator, project: Project, wanted: EventSearch, *, older_than: Place | None = None, at_most: int = 50
) -> list[RecordedEvent]:
    """The newest events of a search, a page at a time."""
    return await operator.database.read(
        search_events, project.project_id, wanted, older_than or NEWEST, at_most=at_most
    )


async def export(operator: Operator, project: Project, wanted: EventSearch) -> AsyncIterator[list[RecordedEvent]]:
    """Every event of a search, newest first, some at a time: a trail may be longer than memory."""
    place: Place | None = None
    while True:
        found = await search(operator, project, wanted, older_than=place, at_most=EXPORTED_AT_ONCE)
        if found:
            yield found
        if len(found) < EXPORTED_AT_ONCE:
            return
        place = Place(found[-1].at, found[-1].event_id)


def describe(event: RecordedEvent) -> dict[str, Any]:
    """An event as it is exported."""
    return asdict(event)


async def count_days(operator: Operator, project: Project, *, since: int) -> Days:
    """How much happened on each day since a time."""
    bounds = {"since": since, "day_ms": DAY_MS}
    events = await operator.database.read(count_events_by_day, project.project_id, **bounds)
    refusals = await operator.database.read(count_refusals_by_day, project.project_id, **bounds)
    apps = await operator.database.read(count_clients_by_day, project.project_id, **bounds)
    return Days(dict(apps), {(day, action): count for day, action, count in events}, dict(refusals))


async def find_names(
    operator: Operator, project: Project, *, users: Iterable[str] = (), clients: Iterable[str] = ()
) -> dict[str, str]:
    """What people and apps are called, by their ids; those that are gone are not in it."""
    return await operator.database.read(_find_names, project, frozenset(users), frozenset(clients))


async def _find_names(
    tx: Transaction, project: Project, user_ids: frozenset[str], client_ids: frozenset[str]
) -> dict[str, str]:
    names: dict[str, str] = {}
    for user_id in user_ids:
        user = await find_user(tx, project.project_id, user_id)
        if user is not None:
            names[user_id] = _name_user(user)
    for client_id in client_ids:
        client = await find_client(tx, project.project_id, client_id)
        if client is not None:
            names[client_id] = _name_client(client)
    return names


def _name_user(user: User) -> str:
    return user.name or user.email or user.user_id


def _name_client(client: Client) -> str:
    return client.metadata.client_name or client.metadata.host or client.client_id
