"""The document that our own client publishes, fetched by a real server over TLS: the client is let in by it."""

from pathlib import Path

import pytest

from doorward.client.client_auth import build_client_authentication
from doorward.client.document import build_client_document, render_client_document
from doorward.client.key_files import resolve_signing_key
from doorward.client.records import Registration
from doorward.oauth.jwt import SigningKey
from tests.inside import ISSUER, Door
from tests.registration.site import Page, Site
from tests.registration.steps import let_in
from tests.server.steps import TOKEN, refusal, success


def publish(site: Site, key: SigningKey | None = None) -> str:
    """The created document on the site; its address, which is the client id."""
    url = site.url("/created.json")
    document = build_client_document(url, "Tide tables", signing_key=key)
    site.pages["/created.json"] = Page(render_client_document(document))
    return url


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_a_created_document_lets_its_program_in_on_any_port_and_refresh_cimd_02_cimd_30_cimd_31(
    door: Door, site: Site, host: str
) -> None:
    client_id, redirect_uri = publish(site), f"http://{host}:49213/callback"
    code, verifier = await let_in(door, client_id, redirect_uri)
    tokens = success(await door.redeem(client_id, code, verifier, redirect_uri=redirect_uri))
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client_id}
    assert success(await door.post_form(TOKEN, form))["access_token"] != tokens["access_token"]
    assert site.requests == ["/created.json"]


async def test_a_created_document_with_a_key_lets_in_who_has_the_private_half_cimd_29_cimd_31(
    door: Door, site: Site, tmp_path: Path
) -> None:
    path = tmp_path / "client.key"
    client_id, redirect_uri = publish(site, resolve_signing_key(path)[0]), "http://127.0.0.1:49213/callback"
    code, verifier = await let_in(door, client_id, redirect_uri)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
    assert refusal(await door.post_form(TOKEN, {**form, "client_id": client_id})) == (401, "invalid_client")
    _, proof = build_client_authentication(
        Registration(ISSUER, "document", client_id, token_endpoint_auth_method="private_key_jwt"),
        issuer=ISSUER,
        supported=("none", "private_key_jwt"),
        signing_key=resolve_signing_key(path)[0],
        now=door.clock() / 1000,
    )
    success(await door.post_form(TOKEN, {**form, **proof}))
