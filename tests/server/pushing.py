"""What tests of pushed requests do again and again: push one, and open the link to it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from doorward.oauth.pkce import build_challenge
from tests.inside import LOOPBACK, RESOURCE, Answer, Door
from tests.person import Page, Person
from tests.server.steps import VERIFIER

PAR = "/api/oauth/par"
URN = "urn:ietf:params:oauth:request_uri:"
NAVIGATES = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "cross-site"}
"""What every browser of today says when a person follows a link."""


def fields(client_id: str, **parameters: str) -> dict[str, str]:
    """The usual request; an empty value leaves a parameter out."""
    form = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": LOOPBACK,
        "code_challenge": build_challenge(VERIFIER),
        "code_challenge_method": "S256",
        "state": "state-1",
        "resource": RESOURCE,
        **parameters,
    }
    return {name: value for name, value in form.items() if value}


async def push(
    door: Door, client_id: str, headers: Mapping[str, str] | None = None, /, base: str = "", **parameters: str
) -> Answer:
    return await door.post_form(f"{base}{PAR}", fields(client_id, **parameters), headers)


def taken(answer: Answer) -> str:
    """The request_uri of a push that was taken in."""
    assert answer.status == 201, answer.body
    members = answer.json()
    assert members == {"request_uri": members["request_uri"], "expires_in": 90}
    return str(members["request_uri"])


def link(client_id: str, request_uri: str, **others: str) -> str:
    return f"/oauth/authorize?{urlencode({'client_id': client_id, 'request_uri': request_uri, **others})}"


async def pushed(door: Door, client_id: str, **parameters: str) -> str:
    """The link to a request that a client pushed."""
    return link(client_id, taken(await push(door, client_id, **parameters)))


async def public(door: Door, **members: Any) -> str:
    return str((await door.register(**members))["client_id"])


async def signed_in(door: Door) -> Person:
    person = door.person()
    await person.sign_in(await person.open("/login"))
    return person


async def ask(person: Person, url: str) -> Page:
    page = await person.open(url)
    assert ("decision", "allow") in page.buttons, page.text
    return page


def assert_over(page: Page) -> None:
    """A page that ends it here, and leads nowhere."""
    assert page.status == 400
    assert "This request is over" in page.text
    assert "continue" not in page.links
    assert "http-equiv" not in page.html
