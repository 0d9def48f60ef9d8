"""Every client we know of registers and connects exactly as it does in the field.

Spec: clients.md §2, nos. 15 to 22, 25 to 36, 41 to 47; DCR-05, DCR-10 … DCR-15, CIMD-16 … CIMD-19, RDU-04 … RDU-06
"""

import json
import re

import pytest

from doorward.core.known_clients import known_clients
from tests.inside import ISSUER, Door
from tests.needs import require
from tests.registration.field.facts import (
    NOTES,
    PROFILES,
    TRACES,
    build_profiles,
    build_traces,
    dump_profiles,
    dump_traces,
    leaf,
    read_documents,
    read_profiles,
)
from tests.registration.field.peculiar import PECULIAR
from tests.registration.field.walk import Walk, Walked, Walker, fits, read_walks
from tests.registration.site import Site
from tests.registration.steps import authorize, row_counts, told
from tests.server.steps import REVOKE, assert_no_null, claims_of, is_active

WALKS = [walk for walk in read_walks() if "by" in walk.members]
NAMES = [f"{walk.name} (inferred)" if walk.is_inferred else walk.name for walk in WALKS]


def named(name: str) -> Walk:
    return next(walk for walk in WALKS if walk.name == name)


def test_the_copy_is_what_the_field_notes_say() -> None:
    require("the field notes", available=NOTES.exists(), reason=f"{NOTES.name} lies beside the checkout in CI")
    notes = json.loads(NOTES.read_text(encoding="utf-8"))
    assert PROFILES.read_text(encoding="utf-8") == dump_profiles(build_profiles(notes))
    assert TRACES.read_text(encoding="utf-8") == dump_traces(build_traces(notes))


def test_every_profile_is_walked_or_says_why_not() -> None:
    assert len(read_profiles()) == 57
    walked = {walk.of for walk in WALKS}
    others = {walk.of: walk.members for walk in read_walks() if walk.of not in walked}
    assert walked | others.keys() == read_profiles().keys()
    for profile_id, members in others.items():
        assert members.get("same_as") in walked or members["none"], profile_id
        assert "registration" not in read_profiles()[profile_id], profile_id


def test_every_walk_is_a_client_s_own_and_none_is_there_twice() -> None:
    assert len({walk.name for walk in WALKS}) == len(WALKS)
    for walk in WALKS:
        if "body" in walk.members:
            assert leaf(walk.of, "registration", "dcr_body") is None, f"{walk.name}: the notes have a body"
        assert any(fits(without_port(walk.members["redirect_uri"]), each) for each in noted_redirects(walk)), walk.name


def noted_redirects(walk: Walk) -> list[str]:
    """Where the notes and its documents say that this client comes back to; an application's own may be anywhere."""
    noted = [str(uri) for uri in read_profiles()[walk.of].get("redirect_uris", {"v": []})["v"]]
    documents = [walk.get("document", {}), read_documents().get(walk.get("client_id", ""), {})]
    published = [str(uri) for document in documents for uri in document.get("redirect_uris", ())]
    guessed = walk.get("body", {}).get("redirect_uris", []) if not noted else []
    return [
        "<any>" if uri.startswith("application supplied") else without_port(uri.partition(" ")[0]).replace("...", "<>")
        for uri in (*noted, *published, *guessed)
    ]


def without_port(uri: str) -> str:
    return re.sub(r"^(http://(?:localhost|127\.0\.0\.1|\[::1\])):[^/]*", r"\1", uri).removesuffix("/")


def test_every_profile_has_something_of_its_own_that_is_looked_at() -> None:
    assert {walk.of for walk in WALKS} <= {name.partition("/")[0] for name in PECULIAR}
    assert set(PECULIAR) <= {walk.name for walk in WALKS}


def test_the_bundled_registry_is_true_to_the_documents_we_know() -> None:
    pinned = {client_id: document for known in known_clients() for client_id, document in known.documents.items()}
    unlisted = {"https://opencode.ai/oauth/opencode/client.json"}  # of a development branch, and not what it sends
    assert read_documents().keys() - pinned.keys() == unlisted
    for client_id, document in read_documents().items():
        for name in ("redirect_uris", "token_endpoint_auth_method", "jwks_uri"):
            if client_id not in unlisted and name in document:
                assert pinned[client_id][name] == document[name], client_id


@pytest.mark.parametrize("walk", WALKS, ids=NAMES)
async def test_a_client_connects_as_it_does_in_the_field(door: Door, site: Site, walk: Walk) -> None:
    walked = await Walker(door, site, walk).go()
    if walk.by == "dcr":
        check_registration(walk, walked)
    assert all(look.status in (302, 303) for look in walked.looks)
    assert walked.target.startswith(walk.members["redirect_uri"])
    assert walked.answered.get("state") == walked.request.get("state")
    assert walked.answered["iss"] == ISSUER
    for tokens in walked.tokens:
        assert tokens["token_type"] == "Bearer"
        assert isinstance(tokens["expires_in"], int)
        assert tokens["scope"]
        assert ("refresh_token" in tokens) is walk.get("refreshes", True)
        assert claims_of(tokens["access_token"])["aud"] == "https://api.example.com/mcp"
        assert await is_active(door, tokens["access_token"])
    sentence, holds = PECULIAR.get(walk.name, ("", lambda _: True))
    assert holds(walked), sentence


def check_registration(walk: Walk, walked: Walked) -> None:
    """What clients read in the answer is there, in the order they sent it (clients.md nos. 15 to 20)."""
    sent, made = walked.sent, walked.made
    assert_no_null(made)
    assert made["redirect_uris"] == sent["redirect_uris"]
    asked = sent.get("grant_types") or ["authorization_code", "refresh_token"]
    assert made["grant_types"] == [grant for grant in asked if not grant.startswith("urn:")]
    assert made["response_types"] == ["code"]
    native = any(not uri.startswith("https://") for uri in sent["redirect_uris"])
    assert made["token_endpoint_auth_method"] == sent.get(
        "token_endpoint_auth_method", "none" if native else "client_secret_basic"
    )
    assert ("client_secret" in made) is (made["token_endpoint_auth_method"] != "none")
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made["client_id"] + made.get("client_secret", ""))
    assert made.get("client_name") == sent.get("client_name")
    assert made["application_type"] == sent.get("application_type", "native" if native else "web")
    assert made["scope"]


async def test_opencode_is_told_both_paths_where_its_document_lists_another(door: Door, site: Site) -> None:
    walker = Walker(door, site, named("opencode/document"))
    await walker.become_known()
    sent = "http://127.0.0.1:19876/mcp/oauth/callback"
    text = told(await authorize(door, walker.seen.made["client_id"], sent))
    assert sent in text
    assert "http://127.0.0.1/callback" in text


async def test_warp_s_builds_that_append_a_query_are_told_so(door: Door, site: Site) -> None:
    walker = Walker(door, site, named("warp"))
    await walker.become_known()
    told(await authorize(door, walker.seen.made["client_id"], "warp://mcp/oauth2callback?server_id=1"))


async def test_claude_code_takes_its_tokens_back_by_its_client_id_alone(door: Door, site: Site) -> None:
    walked = await Walker(door, site, named("claude-code/dcr")).go()
    tokens = walked.tokens[-1]
    for noted in read_profiles()["claude-code"]["revoke"]["v"]:
        values = {"{refresh_token}": tokens["refresh_token"], "{access_token}": tokens["access_token"]}
        form = {**noted, "token": values[noted["token"]], "client_id": walked.made["client_id"]}
        assert (await door.post_form(REVOKE, form)).status == 200
    assert not await is_active(door, tokens["access_token"])


@pytest.mark.parametrize("name", ["opencode", "mcporter", "codex-cli/dcr", "claude-ai/dcr"])
async def test_a_client_that_registers_at_every_login_leaves_a_row_for_each_consent_only(
    door: Door, site: Site, name: str
) -> None:
    walker = Walker(door, site, named(name))
    await walker.become_known()
    before = (await row_counts(door))["clients"]
    again = [await walker.register() for _ in range(5)]
    assert (await row_counts(door))["clients"] == before
    walker.seen.made = again[-1]
    await walker.authorize()
    await walker.redeem()
    assert (await row_counts(door))["clients"] == before + 1
