"""What tests of registration do again and again: ask at the authorization endpoint, read the page that says no."""

import html
import re
from typing import Any

from sqlalchemy import func, select

from doorward.core.models import Client
from doorward.manage import connections
from doorward.storage.clients import find_client
from doorward.storage.database import Transaction
from doorward.storage.schema import metadata as schema
from tests.inside import Answer, Door
from tests.person import Page, Person
from tests.server.steps import VERIFIER
from tests.storage.rows import unlisted

APP_REDIRECT = "http://localhost:51234/callback"
_COUNTS = {table.name: unlisted(select(func.count()).select_from(table)) for table in schema.sorted_tables}
WEB = "https://client.example.com/callback"


async def authorize(door: Door, client_id: str, redirect_uri: str = APP_REDIRECT, **parameters: str) -> Answer:
    """An authorization request of a browser that nobody signed in at."""
    return await door.call("GET", door.authorization_url(client_id, VERIFIER, redirect_uri=redirect_uri, **parameters))


def text_of(answer: Answer) -> str:
    """What a page says."""
    without_tags = re.sub(r"<[^>]*>", " ", answer.body.decode())
    return " ".join(html.unescape(without_tags).split())


def told(answer: Answer, *, status: int = 400) -> str:
    """The text of a page that ends the request here: it leads nowhere by itself."""
    assert answer.status == status, (answer.status, answer.headers)
    assert "location" not in answer.headers
    assert answer.header("content-type").startswith("text/html")
    assert 'http-equiv="refresh"' not in answer.body.decode().lower()
    return text_of(answer)


async def is_accepted(door: Door, client_id: str, redirect_uri: str = APP_REDIRECT, **parameters: str) -> bool:
    """Whether the request gets as far as signing in."""
    answer = await authorize(door, client_id, redirect_uri, **parameters)
    if answer.status in (302, 303):
        assert answer.header("location").startswith("/login?"), answer.headers
        return True
    told(answer, status=answer.status)
    return False


async def consent_page(door: Door, person: Person, client_id: str, redirect_uri: str = APP_REDIRECT) -> Page:
    """The page a person sees, signed in."""
    page = await person.open(door.authorization_url(client_id, VERIFIER, redirect_uri=redirect_uri))
    return await person.sign_in(page) if page.forms and "password" in page.forms[0] else page


async def let_in(door: Door, client_id: str, redirect_uri: str = APP_REDIRECT) -> tuple[str, str]:
    """(code, verifier) once somebody allowed it."""
    return await door.obtain_code(client_id, door.person(), redirect_uri=redirect_uri)


async def tokens_of(door: Door, client_id: str, redirect_uri: str = APP_REDIRECT) -> dict[str, Any]:
    """The token answer of a public client that was let in."""
    code, verifier = await let_in(door, client_id, redirect_uri)
    answer = await door.redeem(client_id, code, verifier, redirect_uri=redirect_uri)
    assert answer.status == 200, answer.body
    return answer.json()


async def stored(door: Door, client_id: str) -> Client | None:
    """The client's row."""
    return await door.context.database.read(find_client, door.project.project_id, client_id)


async def audited(door: Door) -> list[str]:
    """Every audited action so far, oldest first."""
    events = await connections.recent_events(door.operator, door.project, at_most=1000)
    return [event.action for event in reversed(events)]


async def row_counts(door: Door) -> dict[str, int]:
    """How many rows each table holds."""
    return await door.context.database.read(_count_rows)


async def _count_rows(tx: Transaction) -> dict[str, int]:
    counts = {}
    for name, statement in _COUNTS.items():
        row = await tx.one(statement)
        assert row is not None
        counts[name] = int(row[0])
    return counts
