"""Every client we know of registers and connects exactly as it does in the field (clients.md, profiles)."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from doorward.core.known_clients import find_known_document
from doorward.manage import clients
from tests.inside import ISSUER, RESOURCE, Door
from tests.person import answer_parameters
from tests.registration.site import Site
from tests.server.steps import REGISTER, TOKEN, assert_no_null, basic, is_active, success

PROFILES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "profiles.json").read_text())["profiles"]
FLOWS = [profile for profile in PROFILES if "redirect_uri" in profile]


def filled(members: dict[str, Any]) -> dict[str, Any]:
    """The members with the server's own values in their places."""
    return {name: RESOURCE if value == "{resource}" else value for name, value in members.items()}


async def choose_method(door: Door, order: list[str]) -> str:
    """The method that a client picks which goes by the server's list."""
    metadata = (await door.call("GET", "/.well-known/oauth-authorization-server")).json()
    offered: list[str] = metadata["token_endpoint_auth_methods_supported"]
    return offered[0] if order == ["{first}"] else next(method for method in order if method in offered)


async def become_known(door: Door, site: Site, profile: dict[str, Any]) -> dict[str, Any]:
    """The client's registration in the way that this client goes."""
    if "manual" in profile:
        manual = profile["manual"]
        client, secret = await clients.add(
            door.operator, door.project, tuple(manual["redirect_uris"]), confidential=manual.get("confidential", False)
        )
        return {"client_id": client.client_id, "client_secret": secret, **client.metadata.document()}
    if "document" in profile:
        document = profile["document"]
        client_id: str = document["client_id"]
        if find_known_document(client_id) is None:
            path = "/" + client_id.split("/", 3)[3]
            client_id = site.publish(path, **{name: document[name] for name in document if name != "client_id"})
        return {"client_id": client_id, "token_endpoint_auth_method": "none"}
    body = filled(profile["register"])
    if "method_order" in profile:
        body["token_endpoint_auth_method"] = await choose_method(door, profile["method_order"])
    answer = await door.post_json(REGISTER, body)
    assert answer.status == 201, answer.body
    check_registration(body, answer.json())
    return answer.json()


def check_registration(body: dict[str, Any], made: dict[str, Any]) -> None:
    """What clients read in the answer is there, in the order they sent it (clients.md nos. 15 to 20)."""
    assert_no_null(made)
    assert made["redirect_uris"] == body["redirect_uris"]
    asked = body.get("grant_types") or ["authorization_code", "refresh_token"]
    assert made["grant_types"] == [grant for grant in asked if not grant.startswith("urn:")]
    assert made["response_types"] == ["code"]
    assert made["token_endpoint_auth_method"] == body.get(
        "token_endpoint_auth_method", "none" if is_native(body) else "client_secret_basic"
    )
    assert ("client_secret" in made) is (made["token_endpoint_auth_method"] != "none")
    assert made.get("client_name") == body.get("client_name")
    assert made["application_type"] in ("native", "web")
    assert made["scope"]


def is_native(body: dict[str, Any]) -> bool:
    return any(not uri.startswith("https://") for uri in body["redirect_uris"])


def client_fields(profile: dict[str, Any], made: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """(form fields, headers) by which this client says who it is."""
    client_id, secret = made["client_id"], made.get("client_secret") or ""
    style, method = profile["style"], made["token_endpoint_auth_method"]
    if style == "basic_empty":
        return {}, basic(client_id, "")
    if style == "body_empty":
        return {"client_id": client_id, "client_secret": ""}, {}
    if method == "client_secret_basic" and style == "encoded":
        return {"client_id": client_id}, basic(client_id, secret)
    if method == "client_secret_basic" and style == "raw":
        return {}, basic(client_id, secret, encoded=False)
    return {"client_id": client_id, **({"client_secret": secret} if secret else {})}, {}


@pytest.mark.parametrize("profile", FLOWS, ids=[profile["id"] for profile in FLOWS])
async def test_a_client_connects_as_it_does_in_the_field(door: Door, site: Site, profile: dict[str, Any]) -> None:
    made = await become_known(door, site, profile)
    verifier = secrets.token_urlsafe(48)
    sent = {"redirect_uri": profile["redirect_uri"], "resource": "", "state": "s" * 43, **filled(profile["authorize"])}
    url = door.authorization_url(made["client_id"], verifier, **sent)
    assert (await door.call("GET", url)).status in (302, 303)  # some look before the browser does
    target = await door.person().consent(url)
    assert target.startswith(profile["redirect_uri"])
    answered = answer_parameters(target)
    assert answered["iss"] == ISSUER
    assert answered.get("state", "") == sent["state"]
    fields, headers = client_fields(profile, made)
    form = {
        "grant_type": "authorization_code",
        "code": answered["code"],
        "redirect_uri": profile["redirect_uri"],
        "code_verifier": verifier,
        **filled(profile["token"]),
        **fields,
    }
    tokens = success(await door.post_form(TOKEN, form, headers))
    assert tokens["token_type"].title() == "Bearer"
    assert await is_active(door, tokens["access_token"])
    if profile["refresh"] is None:
        return
    for _ in range(2):
        form = {
            "grant_type": "refresh_token",
            "refresh_token": tokens["refresh_token"],
            **filled(profile["refresh"]),
            **fields,
        }
        tokens = success(await door.post_form(TOKEN, form, headers))
        assert await is_active(door, tokens["access_token"])


def test_every_profile_is_there_and_says_why_where_it_has_no_flow() -> None:
    known = {profile["id"] for profile in PROFILES}
    assert len({name.partition("/")[0] for name in known}) == 57
    for profile in PROFILES:
        if profile not in FLOWS:
            assert profile.get("no_flow") or profile["same_as"] in known
