"""Settings of a resource: what is refused, and that no address leads to two resources (RES-03, AT-03, AT-06)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from doorward.core.models import ResourceSettings
from doorward.manage import connections, resources
from doorward.manage.operator import ActionRefused
from doorward.storage.resources import list_resources
from tests.inside import RESOURCE
from tests.manage.ground import Ground, dump

OTHER = "https://other.example.com/mcp"
ALIAS = "https://old.example.com/mcp"


def set_(ground: Ground, **settings: Any) -> Awaitable[Any]:
    return resources.change(ground.operator, ground.resource, settings=replace(ground.resource.settings, **settings))


def add(ground: Ground, uri: str, **settings: Any) -> Awaitable[Any]:
    return resources.add(ground.operator, ground.project, uri, settings=ResourceSettings(**settings))


REFUSALS: dict[str, tuple[str, Callable[[Ground], Awaitable[Any]]]] = {
    "an unknown format": (r"token_format is one of jwt, opaque\.", lambda g: set_(g, token_format=cast("Any", "jwe"))),
    "an unknown algorithm": (r"token_alg is one of ES256, EdDSA, RS256\.", lambda g: set_(g, token_alg="HS256")),
    "no signature at all": ("token_alg is one of", lambda g: set_(g, token_alg="none")),
    "an algorithm for other things": ("token_alg is one of", lambda g: set_(g, token_alg="PS256")),
    "a life of a minute less a second": ("from 60 to 3600, or 0", lambda g: set_(g, access_token_seconds=59)),
    "a life of an hour and a second": ("from 60 to 3600, or 0", lambda g: set_(g, access_token_seconds=3601)),
    "a life that is over": ("from 60 to 3600, or 0", lambda g: set_(g, access_token_seconds=-60)),
    "a relative alias": ("/mcp: .*absolute http or https", lambda g: set_(g, aliases=("/mcp",))),
    "an alias with a fragment": ("fragment", lambda g: set_(g, aliases=(f"{ALIAS}#a",))),
    "an alias with a user": ("userinfo", lambda g: set_(g, aliases=("https://a@b.example/mcp",))),
    "an alias twice": ("is a name of this resource already", lambda g: set_(g, aliases=(ALIAS, f"{ALIAS}/"))),
    "too many aliases": ("at most 5 aliases", lambda g: set_(g, aliases=tuple(f"{ALIAS}/{n}" for n in range(6)))),
    "its own address": ("is a name of this resource already", lambda g: set_(g, aliases=(f"{RESOURCE}/",))),
    "its own address in capitals": (
        "is a name of this resource already",
        lambda g: set_(g, aliases=("HTTPS://API.example.com:443/mcp",)),
    ),
    "a budget for nobody in particular": (r"'10/minute' is no budget\.", lambda g: set_(g, budgets=("10/minute",))),
    "too many budgets": (
        "8 budgets at most",
        lambda g: set_(g, budgets=tuple(f"{n}/day per user" for n in range(1, 10))),
    ),
    "a new resource with a wrong setting": ("token_alg is one of", lambda g: add(g, OTHER, token_alg="none")),
    "a new resource that is there": ("leads to the resource .* already", lambda g: add(g, f"{RESOURCE}/")),
    "an alias that is another resource": (
        f"{RESOURCE} leads to the resource {RESOURCE} of this project already",
        lambda g: add(g, OTHER, aliases=(f"{RESOURCE}/",)),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_says_what_is_wrong_and_changes_nothing(ground: Ground, name: str) -> None:
    words, act = REFUSALS[name]
    before = await dump(ground.operator)
    with pytest.raises(ActionRefused, match=words):
        await act(ground)
    assert await dump(ground.operator) == before


async def test_two_resources_cannot_share_a_name_whichever_way_it_is_spelled_at_03(ground: Ground) -> None:
    other = await resources.add(ground.operator, ground.project, OTHER, settings=ResourceSettings(aliases=(ALIAS,)))
    before = await dump(ground.operator)
    for alias in (ALIAS, f"{ALIAS}/", OTHER, "https://OLD.example.com:443/mcp"):
        with pytest.raises(ActionRefused, match=f"leads to the resource {OTHER} of this project already"):
            await set_(ground, aliases=("https://fine.example.com", alias))
    for uri in (ALIAS, f"{ALIAS}/"):
        with pytest.raises(ActionRefused, match=f"leads to the resource {OTHER} of this project already"):
            await resources.add(ground.operator, ground.project, uri)
    assert await dump(ground.operator) == before
    await resources.change(ground.operator, other, settings=ResourceSettings())
    await set_(ground, aliases=(ALIAS,))


async def test_the_same_names_are_free_in_another_project_i10(ground: Ground) -> None:
    await set_(ground, aliases=(ALIAS,))
    for uri in (RESOURCE, ALIAS):
        await resources.add(ground.operator, ground.fresh, uri)


async def test_of_operators_who_give_one_name_to_many_resources_one_is_done(ground: Ground) -> None:
    uris = [f"https://{number}.example.com/mcp" for number in range(10)]
    made = [await resources.add(ground.operator, ground.project, uri) for uri in uris]
    settings = ResourceSettings(aliases=(ALIAS,))
    done = await asyncio.gather(
        *(resources.change(ground.operator, resource, settings=settings) for resource in made),
        *(resources.add(ground.operator, ground.project, uri) for uri in (ALIAS, f"{ALIAS}/")),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, ActionRefused) for outcome in done) == 11
    stored = await ground.operator.database.read(list_resources, ground.project.project_id)
    assert len([r for r in stored if ALIAS in r.settings.aliases or r.uri.startswith(ALIAS)]) == 1


@pytest.mark.parametrize("seconds", [0, 60, 3600])
async def test_both_bounds_of_a_life_are_inside(ground: Ground, seconds: int) -> None:
    changed = await set_(ground, access_token_seconds=seconds)
    assert changed.settings.access_token_seconds == seconds


async def test_a_resource_is_found_by_any_of_its_names(ground: Ground) -> None:
    changed = await set_(ground, aliases=(ALIAS,))
    for reference in (RESOURCE, f"{RESOURCE}/", ALIAS, f"{ALIAS}/", changed.resource_id):
        assert await resources.get(ground.operator, ground.project, reference) == changed


async def test_the_trail_names_what_was_changed(ground: Ground) -> None:
    await resources.change(
        ground.operator,
        ground.resource,
        name="New",
        settings=replace(ground.resource.settings, token_alg="EdDSA", aliases=(ALIAS,)),
    )
    added, changed = [
        event
        for event in await connections.recent_events(ground.operator, ground.project)
        if event.action in ("signing_key.added", "resource.changed")
    ]
    assert {added.action, changed.action} == {"signing_key.added", "resource.changed"}
    details = [event.detail for event in (added, changed)]
    assert {"changed": ["aliases", "name", "token_alg"]} in details
    assert {"alg": "EdDSA", "signs_from": ground.operator.clock() + 600_000} in details


@pytest.mark.parametrize(
    ("uri", "overlaps"),
    [
        (f"{RESOURCE}/admin", [f"{RESOURCE}/admin lies within {RESOURCE}"]),
        (RESOURCE.removesuffix("/mcp"), [f"{RESOURCE} lies within https://api.example.com"]),
        (f"{RESOURCE}2", []),
        (OTHER, []),
    ],
)
async def test_an_address_within_another_is_told(ground: Ground, uri: str, overlaps: list[str]) -> None:
    added = await resources.add(ground.operator, ground.project, uri)
    told = resources.find_overlaps(added, await resources.list_all(ground.operator, ground.project))
    assert [words.partition(":clients")[0].partition(": clients")[0] for words in told] == overlaps
