"""People on their way to a provider and back."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from doorward.core.upstream import SignUp, UpstreamProvider
from doorward.manage import providers
from tests.inside import Door
from tests.person import Page, Person, read_page
from tests.upstream.identity_provider import CLIENT_ID, SECRET, IdentityProvider

EVERYBODY = SignUp("open")


async def add_provider(door: Door, at: IdentityProvider, slug: str = "acme", **members: Any) -> UpstreamProvider:
    given = {"kind": "oidc", "issuer": at.issuer, "client_id": CLIENT_ID, "secret": SECRET, "name": "Acme", **members}
    added = await providers.add(door.operator, door.project, slug, **given)
    door.context.tenancy.forget()
    return added


@dataclass
class Traveller:
    """Somebody with a browser, and the provider that they have an account at."""

    person: Person
    provider: IdentityProvider
    slug: str = "acme"

    async def leave(self, page: Page | None = None, **fields: str) -> str:
        """Press the button on the sign-in page; where the browser is sent."""
        page = page or await self.person.open("/login")
        form = next(form for form in page.forms if form["action"].endswith(f"/login/via/{self.slug}"))
        left = await self.person.submit(page, form, **fields)
        assert left.status == 200, left.text
        return left.links["continue"]

    async def come_back(self, answer: dict[str, str], slug: str = "") -> Page:
        """Follow the provider's answer, as a browser that comes from another site."""
        url = f"/login/callback/{slug or self.slug}?{urlencode(answer)}"
        response = await self.person.http.get(url, headers={"sec-fetch-site": "cross-site"})
        if response.has_redirect_location:
            return await self.person.open(response.headers["location"])
        return read_page(response)

    async def sign_in(self, page: Page | None = None, **changes: str | None) -> Page:
        """There and back."""
        return await self.come_back(self.provider.answer(await self.leave(page), **changes))

    async def is_signed_in(self) -> bool:
        return (await self.person.http.get("/account")).status_code == 200


def asked(url: str) -> dict[str, str]:
    """The parameters that a provider is asked with."""
    pairs = parse_qsl(urlsplit(url).query)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
