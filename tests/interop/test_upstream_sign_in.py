"""People sign in by an identity provider that nobody here wrote: oidc-provider, over TLS."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from doorward.core.upstream import SignUp
from doorward.manage import providers, users
from tests.inside import Clock, open_door
from tests.interop.foreign.people import fill_in
from tests.interop.node.programs import FOLDER as NODE
from tests.interop.upstreams.running import running
from tests.person import read_page
from tests.registration.site import Authority, make_authority

SECRET = "a-secret-of-a-test-and-of-nothing-else"
LONGEST_WAY = 12


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    log = tmp_path_factory.mktemp("provider") / "log"
    with running(NODE / "upstream_provider.mjs", log, TLS=authority.certificate) as node:
        yield f"https://127.0.0.1:{node.port}"


async def sign_in_there(url: str, authority: Authority, back: str) -> str:
    """Sign in and allow at the provider's own pages; the address that it sends the browser back to."""
    async with httpx2.AsyncClient(verify=ssl.create_default_context(cafile=authority.trust), timeout=60) as http:
        response = await http.get(url)
        for _ in range(LONGEST_WAY):
            while response.has_redirect_location:
                target = urljoin(str(response.url), response.headers["location"])
                if target.startswith(back):
                    return target
                response = await http.get(target)
            response = await fill_in(http, response)
        raise AssertionError(response.text)


async def test_a_person_of_oidc_provider_joins_and_comes_back(
    tmp_path: Path, authority: Authority, issuer: str
) -> None:
    upstream = {"allow_cidrs": ("127.0.0.0/8",), "ca_file": authority.trust}
    clock = Clock(int(time.time() * 1000))  # the provider's is the machine's
    async with open_door(tmp_path / "data", clock, upstream=upstream) as door:
        added = await providers.add(
            *(door.operator, door.project, "acme"),
            kind="oidc",
            issuer=issuer,
            client_id="inside",
            secret=SECRET,
            sign_up=SignUp("domains", ("people.example",)),
        )
        assert await providers.check(door.context.providers.fetcher, added) == []
        door.context.tenancy.forget()
        for _ in range(2):
            person = door.person()
            page = await person.open("/login")
            left = await person.submit(page, page.forms[-1])
            back = await sign_in_there(
                left.links["continue"], authority, "https://auth.example.com/login/callback/acme"
            )
            answer = await person.http.get(f"{urlsplit(back).path}?{urlsplit(back).query}")
            assert answer.headers["location"] == "/account", read_page(answer).text
            assert "ada@people.example" in (await person.open("/account")).text
        assert len(await users.list_all(door.operator, door.project)) == 2
