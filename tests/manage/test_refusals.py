"""What an operator is refused, with words that say what to change, and that nothing changed (PRE-02, RES-03, T37)."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from doorward.core.models import Capability, ExchangeMode, Role, Scope
from doorward.manage import clients, exchange, keys, projects, resources, users
from doorward.manage.operator import ActionRefused, get_project
from tests.inside import RESOURCE
from tests.manage.ground import PASSWORD, Ground, dump
from tests.running import ADMIN_EMAIL

Act = Callable[[Ground], Awaitable[Any]]
REFUSALS: dict[str, tuple[str, Act]] = {
    "a slug that is taken": ("a project fresh already", lambda g: projects.create_project(g.operator, "fresh", "")),
    "a project nobody made": ("no project nowhere", lambda g: get_project(g.operator, "nowhere")),
    "an unknown project setting": (
        r"no setting colour\. Known: name, ",
        lambda g: projects.change_project(g.operator, g.project, {"colour": "red"}),
    ),
    "an unknown registration mode": (
        "registration_mode is one of open, ",
        lambda g: projects.change_project(g.operator, g.project, {"registration_mode": "ajar"}),
    ),
    "a relative resource": ("absolute http or https", lambda g: resources.add(g.operator, g.project, "/mcp")),
    "a resource with a fragment": ("fragment", lambda g: resources.add(g.operator, g.project, f"{RESOURCE}#x")),
    "a resource with a user": ("userinfo", lambda g: resources.add(g.operator, g.project, "https://a@b/mcp")),
    "no URI at all": ("not a valid URI", lambda g: resources.add(g.operator, g.project, "https://[")),
    "a resource that is there": ("already", lambda g: resources.add(g.operator, g.project, f"{RESOURCE}/")),
    "a resource nobody added": ("no resource", lambda g: resources.get(g.operator, g.project, "https://x.example")),
    "a reference that is no URL": ("no resource", lambda g: resources.get(g.operator, g.project, "http://[")),
    "a scope named twice": ("named twice", lambda g: add_scopes(g, Scope("a", "A"), Scope("a", "B"))),
    "a scope with a blank": ("not one scope token", lambda g: add_scopes(g, Scope("a b", "A"))),
    "a scope without a name": ("not one scope token", lambda g: add_scopes(g, Scope("", "A"))),
    "a scope with a quote": ("characters", lambda g: add_scopes(g, Scope('a"', "A"))),
    "offline_access as a scope": ("exists by itself", lambda g: add_scopes(g, Scope("offline_access", "A"))),
    "a default scope that is none": (
        "does not have: b",
        lambda g: resources.add(
            g.operator, g.project, "https://x.example", scopes=(Scope("a", "A"),), default_scopes=("b",)
        ),
    ),
    "scopes without their default": (
        "does not have: tools:read",
        lambda g: resources.change(g.operator, g.resource, scopes=(Scope("a", "A"),)),
    ),
    "a client on plain http": ("use https", lambda g: clients.add(g.operator, g.project, ("http://x.example/cb",))),
    "a client without an address": ("non-empty array", lambda g: clients.add(g.operator, g.project, ())),
    "a client nobody added": ("no client mcl_x", lambda g: clients.get(g.operator, g.project, "mcl_x")),
    "a grant nobody has": ("There is no grant x", lambda g: clients.add(g.operator, g.project, (), grants=("x",))),
    "a rule that is there": (
        "remove it first",
        lambda g: exchange.add(g.operator, g.client, source=g.resource, target=g.resource, scope="tools:write"),
    ),
    "a rule for a client that registered itself": (
        "Only clients that an operator added",
        lambda g: exchange.add(g.operator, g.waiting, source=None, target=g.resource, scope="tools:read"),
    ),
    "a rule of an unknown mode": ("A mode is one of delegation, impersonation", lambda g: add_rule(g, mode="magic")),
    "a rule for nothing": ("Name the scopes .* tools:read tools:write", lambda g: add_rule(g, scope="")),
    "a rule for an unknown scope": ("does not have tools:drop", lambda g: add_rule(g, scope="tools:read tools:drop")),
    "a rule for no scope at all": ("characters", lambda g: add_rule(g, scope='"')),
    "a rule nobody made": ("no rule exr_x", lambda g: exchange.remove(g.operator, g.project, "exr_x")),
    "a rule of another project": ("no rule", lambda g: exchange.remove(g.operator, g.fresh, g.rule.rule_id)),
    "a person who is there": ("already", lambda g: users.add(g.operator, g.project, ADMIN_EMAIL.upper(), PASSWORD)),
    "no e-mail address": ("not an e-mail address", lambda g: users.add(g.operator, g.project, "ada", PASSWORD)),
    "two addresses in one": ("not an e-mail", lambda g: users.add(g.operator, g.project, "a@b.c@d.e", PASSWORD)),
    "a short password": ("at least 15", lambda g: users.add(g.operator, g.project, "b@c.de", "fourteen chars")),
    "one character over and over": ("repeats", lambda g: users.add(g.operator, g.project, "b@c.de", "ab" * 20)),
    "words tried first": ("tried first", lambda g: users.add(g.operator, g.project, "b@c.de", "doorwardpassword")),
    "one's own name as password": (
        "tried first",
        lambda g: users.add(g.operator, g.project, "barnaby@c.de", "barnabybarnaby1"),
    ),
    "a weak new password": ("at least 15", lambda g: users.change_password(g.operator, g.owner, "brief")),
    "an unknown role": ("A role is one of", lambda g: users.change(g.operator, g.owner, role="king")),
    "a person with an unknown role": (
        "A role is one of",
        lambda g: users.add(g.operator, g.project, "b@c.de", PASSWORD, role=cast("Role", "king")),
    ),
    "a person nobody added": ("nobody with", lambda g: users.get(g.operator, g.project, "x@y.zz")),
    "a set-up token that is over": (
        "used or has expired",
        lambda g: users.add_first_admin(g.operator, g.project, g.setup_token, "b@c.de", PASSWORD),
    ),
    "a key for nothing": ("Name capabilities", lambda g: keys.create(g.operator, g.project, ())),
    "a key for the unknown": (
        "out of register, introspect, mint",
        lambda g: keys.create(g.operator, g.project, ("register", cast("Capability", "rule"))),
    ),
    "a key nobody made": ("no live key", lambda g: keys.revoke(g.operator, g.project, "key_x")),
    "a key of another project": ("no live key", lambda g: keys.revoke(g.operator, g.fresh, g.key.key_id)),
}
BAD_SLUGS = ["", "A", "a b", "-a", "a-", "a_b", "é", "a" * 41, "a/b", "../x"]
BOUNDS = {
    "access_token_seconds": (60, 3600),
    "code_seconds": (60, 600),
    "refresh_idle_seconds": (3600, 365 * 86400),
    "refresh_absolute_seconds": (3600, 730 * 86400),
}


def add_rule(ground: Ground, *, scope: str = "tools:read", mode: str = "delegation") -> Awaitable[Any]:
    chosen = cast("ExchangeMode", mode)
    return exchange.add(ground.operator, ground.client, source=None, target=ground.resource, scope=scope, mode=chosen)


def add_scopes(ground: Ground, *scopes: Scope) -> Awaitable[Any]:
    return resources.add(ground.operator, ground.project, "https://x.example/mcp", scopes=scopes)


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_says_what_is_wrong_and_changes_nothing(ground: Ground, name: str) -> None:
    words, act = REFUSALS[name]
    before = await dump(ground.operator)
    with pytest.raises(ActionRefused, match=words):
        await act(ground)
    assert await dump(ground.operator) == before


@pytest.mark.parametrize("slug", BAD_SLUGS)
async def test_a_slug_is_what_fits_in_an_address(ground: Ground, slug: str) -> None:
    with pytest.raises(ActionRefused, match="A slug has 1 to 40"):
        await projects.create_project(ground.operator, slug, "Name")


@pytest.mark.parametrize("name", BOUNDS)
async def test_a_lifetime_has_bounds_and_both_of_them_are_inside(ground: Ground, name: str) -> None:
    low, high = BOUNDS[name]
    for value in (low, high):
        changed = await projects.change_project(ground.operator, ground.project, {name: value})
        assert getattr(changed.settings, name) == value
    for wrong in (low - 1, high + 1, -1, 0, "900", 900.5, None):
        with pytest.raises(ActionRefused, match=f"{name} is a number of seconds from {low} to {high}"):
            await projects.change_project(ground.operator, ground.project, {name: wrong})


async def test_a_change_in_part_wrong_changes_nothing(ground: Ground) -> None:
    before = await dump(ground.operator)
    with pytest.raises(ActionRefused):
        await projects.change_project(ground.operator, ground.project, {"name": "New", "code_seconds": 1})
    assert await dump(ground.operator) == before


async def test_what_was_removed_meanwhile_is_not_changed_and_nothing_else_is(ground: Ground) -> None:
    other = await resources.add(ground.operator, ground.project, "https://b.example", name="Other")
    await resources.remove(ground.operator, other)
    await users.remove(ground.operator, ground.owner)
    before = await dump(ground.operator)
    with pytest.raises(ActionRefused, match="was removed meanwhile"):
        await resources.change(ground.operator, other, is_default=True)
    with pytest.raises(ActionRefused, match="was removed meanwhile"):
        await users.change(ground.operator, ground.owner, role="member")
    assert await dump(ground.operator) == before


async def test_a_change_leaves_what_somebody_else_changed_meanwhile(ground: Ground) -> None:
    await users.change(ground.operator, ground.owner, enabled=False)
    renamed = await users.change(ground.operator, ground.owner, name="Countess")
    assert (renamed.name, renamed.enabled) == ("Countess", False)
    assert await users.get(ground.operator, ground.project, ADMIN_EMAIL) == renamed
    await projects.change_project(ground.operator, ground.project, {"registration_mode": "closed"})
    named = await projects.change_project(ground.operator, ground.project, {"name": "New"})
    assert (named.name, named.settings.registration_mode) == ("New", "closed")
    assert named in await projects.list_all(ground.operator)


async def test_names_are_trimmed_and_bounded(ground: Ground) -> None:
    long = f"  {'n' * 200}  "
    project = await projects.create_project(ground.operator, "long", long)
    resource = await resources.add(ground.operator, project, "https://x.example", name=long)
    user = await users.add(ground.operator, project, "b@c.de", PASSWORD, name=long)
    key, _ = await keys.create(ground.operator, project, ("register",), name=long)
    assert {project.name, resource.name, user.name, key.name} == {"n" * 128}
    unnamed = await projects.create_project(ground.operator, "unnamed", "  ")
    assert unnamed.name == "unnamed"


async def test_a_repeated_revocation_of_a_key_is_refused(ground: Ground) -> None:
    await keys.revoke(ground.operator, ground.project, ground.key.key_id)
    with pytest.raises(ActionRefused, match="no live key"):
        await keys.revoke(ground.operator, ground.project, ground.key.key_id)


async def test_the_first_resource_of_a_project_is_its_default_and_reading_scopes_are_given_by_default(
    ground: Ground,
) -> None:
    scopes = (Scope("read", "R"), Scope("write", "W", kind="write"), Scope("drop", "D", kind="destructive"))
    first = await resources.add(ground.operator, ground.fresh, "https://a.example", scopes=scopes)
    second = await resources.add(ground.operator, ground.fresh, "https://b.example", scopes=scopes)
    assert (first.is_default, second.is_default) == (True, False)
    assert first.default_scopes == ("read",)


async def test_the_same_address_is_another_person_in_another_project_i10(ground: Ground) -> None:
    twin = await users.add(ground.operator, ground.fresh, ADMIN_EMAIL, PASSWORD)
    assert twin.user_id != ground.owner.user_id
    await users.change(ground.operator, twin, enabled=False)
    assert (await users.get(ground.operator, ground.project, ADMIN_EMAIL)).enabled


async def test_a_public_client_gets_no_rule_and_one_that_was_removed_none_either(ground: Ground) -> None:
    public, _ = await clients.add(ground.operator, ground.project, ("https://client.example.com/callback",))
    before = await dump(ground.operator)
    with pytest.raises(ActionRefused, match="with a secret or keys"):
        await exchange.add(ground.operator, public, source=None, target=ground.resource, scope="tools:read")
    assert await dump(ground.operator) == before
    await clients.remove(ground.operator, ground.client)
    before = await dump(ground.operator)
    with pytest.raises(ActionRefused, match="was removed meanwhile"):
        await add_rule(ground)
    assert await dump(ground.operator) == before
    assert await exchange.list_all(ground.operator, ground.project) == []
