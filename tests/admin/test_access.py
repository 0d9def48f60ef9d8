"""Who may do what: each case is made for every operation of the table."""

import json
from typing import Any

import pytest

from doorward.admin.operations import OPERATIONS
from doorward.admin.table import Operation
from doorward.core.admin_access import AREAS, TOKEN_ROLES, AdminToken, TokenRole
from doorward.core.models import Project, Scope
from doorward.core.secrets import ADMIN_TOKEN, new_secret
from doorward.core.trust import TrustPolicy
from doorward.manage import (
    admin_tokens,
    clients,
    exchange,
    keys,
    projects,
    registrations,
    resources,
    signing_keys,
    trust,
    users,
)
from doorward.manage.operator import Operator
from doorward.oauth.ids import ProjectId
from tests.admin.api import BY_NAME, Api, make_api
from tests.admin.conftest import World
from tests.inside import LOOPBACK, Door
from tests.manage.ground import PASSWORD, dump

RANK = {"auditor": 0, "admin": 1, "owner": 2}


def by_name(operation: Operation) -> str:
    return operation.name


def without_uses(rows: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """Everything but what any request leaves: when its token was used, and how often one was missing."""
    return {name: found for name, found in rows.items() if name not in ("admin_tokens", "throttles")}


async def ask_everything(api: Api, status: int, operations: tuple[Operation, ...] = OPERATIONS) -> list[str]:
    """The operations that are not answered with the status; nothing may change by any of them."""
    before = without_uses(await dump(api.door.operator))
    wrong = []
    for operation in operations:
        answer = await api.ask(operation.name, {} if operation.body else None)
        if answer.status != status:
            wrong.append(f"{operation.name} {answer.status} {answer.body!r}")
        api.door.clock.advance(seconds=60)  # no limit is what is asked about here
    assert without_uses(await dump(api.door.operator)) == before
    return wrong


async def test_nobody_does_anything_without_a_token(world: World) -> None:
    for secret in ("x", new_secret(ADMIN_TOKEN), new_secret("mss")):
        assert await ask_everything(Api(world.door, secret), 401) == []


async def test_a_registration_secret_or_any_other_key_of_the_project_opens_nothing_t16(world: World) -> None:
    _, key = await keys.create(world.door.operator, world.door.project, ("register", "introspect", "mint"))
    _, initial = await registrations.create_initial_token(world.door.operator, world.door.project)
    access = (await world.door.tokens())[1]["access_token"]
    for secret in (key, initial, access):
        assert await ask_everything(Api(world.door, secret), 401) == []


@pytest.mark.parametrize("role", TOKEN_ROLES)
async def test_a_role_does_what_it_may_and_is_told_so_for_the_rest(world: World, role: TokenRole) -> None:
    api = await make_api(world.door, role)
    refused = tuple(operation for operation in OPERATIONS if RANK[operation.role] > RANK[role])
    assert await ask_everything(api, 403, refused) == []
    for operation in OPERATIONS:
        if operation not in refused and operation.method == "GET":
            assert (await api.ask(operation.name)).status in (200, 404), operation.name


def test_only_reading_needs_no_more_than_an_auditor() -> None:
    assert {operation.role for operation in OPERATIONS if operation.writes} == {"admin", "owner"}
    assert {operation.area for operation in OPERATIONS} == set(AREAS)


@pytest.mark.parametrize("area", AREAS)
async def test_a_scope_opens_its_area_and_no_other(world: World, area: str) -> None:
    reader, writer = [await make_api(world.door, "owner", f"{area}:{access}") for access in ("read", "write")]
    for api, writes in ((reader, False), (writer, True)):
        for operation in OPERATIONS:
            if operation.method == "GET" or operation.name in ("addUser", "addResource", "addKey"):
                body: dict[str, Any] | None = {} if operation.body else None
                answer = await api.ask(operation.name, body)
                let_in = operation.area == area and (writes or not operation.writes)
                assert (answer.status != 403) == let_in, (operation.name, answer.body)
                if not let_in:
                    assert 'error="insufficient_scope"' in answer.header("www-authenticate")


async def test_the_scope_for_reading_reads_everything_and_writes_nothing(world: World) -> None:
    api = await make_api(world.door, "owner", "read")
    assert await ask_everything(api, 403, tuple(each for each in OPERATIONS if each.writes)) == []
    for operation in OPERATIONS:
        if not operation.writes:
            assert (await api.ask(operation.name)).status in (200, 404)


async def make_all(operator: Operator, project: Project) -> dict[str, str]:
    """One of each thing that an address can name, in a project."""
    resource = await resources.add(operator, project, "https://theirs.example.com/mcp", scopes=(Scope("a", "A"),))
    client, _ = await clients.add(operator, project, (LOOPBACK,), confidential=True)
    user = await users.add(operator, project, "eve@example.com", PASSWORD)
    key, _ = await keys.create(operator, project, ("mint",))
    token, _ = await admin_tokens.create(operator, project, "theirs", "owner")
    rule = await exchange.add(operator, client, source=None, target=resource, scope="a")
    jwks = {"keys": [json.loads((await signing_keys.list_keys(operator, project))[0].public_jwk)]}
    trusted = await trust.add(operator, project, "https://idp.example.com", "id-jag", policy=TrustPolicy(), jwks=jwks)
    return {
        "resource_id": resource.resource_id,
        "client_id": client.client_id,
        "user_id": user.user_id,
        "key_id": key.key_id,
        "token_id": token.token_id,
        "rule_id": rule.rule_id,
        "trust_id": trusted.trust_id,
        "connection_id": "grt_theirs",
        "reference": "abcdefghij",
    }


async def test_nothing_of_another_project_is_there_t18_i10(world: World) -> None:
    acme = await projects.create_project(world.door.operator, "other", "Other")
    theirs = await make_all(world.door.operator, acme)
    mine = await make_all(world.door.operator, world.ground.fresh)
    fresh = await make_api(world.door, "owner", project=world.ground.fresh, **mine)
    before = without_uses(await dump(world.door.operator))
    for operation in OPERATIONS:
        body = BODIES.get(operation.name, {}) if operation.body else None
        for name in operation.parameters:
            own = {other: mine[other] for other in operation.parameters}
            foreign = await fresh.ask(operation.name, body, named={**own, name: theirs[name]})
            unknown = await fresh.ask(operation.name, body, named={**own, name: "nothing_at_all"})
            assert (foreign.status, unknown.status) == (404, 404), (operation.name, foreign.body, unknown.body)
            told, blind = foreign.json(), unknown.json()
            assert told["detail"].replace(theirs[name], "nothing_at_all") == blind["detail"]
    assert without_uses(await dump(world.door.operator)) == before
    await check_bodies(fresh, mine, theirs)


BODIES = {"setPassword": {"password": "a harbour at the end of time"}}


async def check_bodies(fresh: Api, mine: dict[str, str], theirs: dict[str, str]) -> None:
    """What a body names is looked for in the project of the token, too."""
    rule = {"client_id": mine["client_id"], "to": mine["resource_id"], "scope": "a"}
    link = {"issuer": "https://idp.example.com", "subject": "s", "user_id": theirs["user_id"]}
    asked = (
        ("addKey", {"capabilities": ["mint"], "resource_id": theirs["resource_id"]}),
        ("addRule", {**rule, "client_id": theirs["client_id"]}),
        ("addRule", {**rule, "to": theirs["resource_id"]}),
        ("addRule", {**rule, "from": theirs["resource_id"]}),
        ("linkIdentity", link),
    )
    for name, body in asked:
        assert (await fresh.ask(name, body)).status == 404, name
    projects_of = await fresh.ask("listProjects")
    assert projects_of.status == 404
    assert (await fresh.ask("addProject", {"slug": "mine"})).status == 404


async def test_a_token_is_good_for_its_own_project_alone_t18_i10(world: World) -> None:
    beside = await projects.create_project(world.door.operator, "beside", "Beside")
    own = await make_api(world.door, "owner", project=beside)
    assert (await own.ask("showProject")).json()["slug"] == "beside"
    assert await ask_everything(Api(world.door, own.secret), 401) == []
    assert await ask_everything(Api(world.door, world.owner.secret, beside.path), 401) == []


async def test_a_token_that_ended_or_expired_opens_nothing(door: Door) -> None:
    token, secret = await admin_tokens.create(door.operator, door.project, "short", "owner", seconds=60)
    short = Api(door, secret)
    door.clock.advance(seconds=59)
    assert (await short.ask("showProject")).status == 200
    door.clock.advance(seconds=1)
    assert (await short.ask("showProject")).status == 401
    other, secret = await admin_tokens.create(door.operator, door.project, "long", "owner")
    ended = Api(door, secret)
    assert (await ended.ask("removeAdminToken", named={"token_id": other.token_id})).status == 204
    assert (await ended.ask("showProject")).status == 401
    assert token.expires_at == token.created_at + 60_000


async def test_a_token_makes_nobody_more_than_itself_t44(world: World) -> None:
    """Nor does one with scopes take over somebody who administers, or make a token that does more."""
    admin = await make_api(world.door, "admin")
    narrow = await make_api(world.door, "owner", "users:write", "admin-tokens:write")
    ada = {"user_id": world.ground.owner.user_id}
    new = {"email": "new@example.com", "password": PASSWORD}
    for api, role in ((admin, "owner"), (narrow, "auditor"), (narrow, "owner")):
        assert (await api.ask("addUser", {**new, "role": role})).status == 403
        assert (await api.ask("setPassword", {"password": PASSWORD}, named=ada)).status == 403
        assert (await api.ask("changeUser", {"enabled": False}, named=ada)).status == 403
        for name in ("removeUser", "revokeUser", "endSessions"):
            assert (await api.ask(name, named=ada)).status == 403
        linked = {"issuer": "https://idp.example.com", "subject": "mine", "user_id": ada["user_id"]}
        assert (await api.ask("linkIdentity", linked)).status == 403
    bob = (await narrow.ask("addUser", new)).json()
    promoted = await narrow.ask("changeUser", {"role": "admin"}, named={"user_id": bob["user_id"]})
    assert promoted.status == 403
    wider = ({"role": "owner"}, {"role": "auditor"}, {"role": "owner", "scopes": ["read"]})
    for body in (*wider, {"role": "owner", "scopes": ["clients:read"]}):
        assert (await narrow.ask("addAdminToken", {"name": "wider", **body})).status == 403
    same = {"name": "same", "role": "owner", "scopes": ["users:read"]}
    assert (await narrow.ask("addAdminToken", same)).status == 201
    await world.owner.ask("removeUser", named={"user_id": bob["user_id"]})


def test_passing_on_never_widens() -> None:
    def token(role: TokenRole, *scopes: str) -> AdminToken:
        return AdminToken(ProjectId("prj"), "adt", "", role, scopes, 0, None, None, None)

    scopes = ("read", "clients:read", "clients:write", "users:read")
    for role in TOKEN_ROLES:
        for held in ((), ("read",), ("clients:write",), ("clients:read", "users:read")):
            for asked in ((), *((scope,) for scope in scopes)):
                for given in TOKEN_ROLES:
                    if not token(role, *held).may_pass_on(given, asked):
                        continue
                    mine, made = token(role, *held), token(given, *asked)
                    assert mine.is_at_least(given)
                    for area in AREAS:
                        for write in (False, True):
                            assert mine.reaches(area, write=write) or not made.reaches(area, write=write)


async def test_no_cookie_opens_anything_and_no_other_origin_is_let_in(world: World) -> None:
    person = world.door.person()
    await person.sign_in(await person.open("/login"))
    answer = await person.http.get("/api/admin/v1/users", headers={"origin": "https://evil.example"})
    assert answer.status_code == 401
    assert "access-control-allow-origin" not in answer.headers
    preflight = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    refused = await world.door.call("OPTIONS", "/api/admin/v1/users", headers=preflight)
    assert refused.status == 405
    assert not [name for name in refused.headers if name.startswith("access-control")]


async def test_a_missing_token_is_challenged_and_a_bad_one_named(door: Door) -> None:
    missing = await door.call("GET", "/api/admin/v1/users")
    assert missing.header("www-authenticate") == 'Bearer realm="Doorward admin API"'
    bad = await Api(door, new_secret(ADMIN_TOKEN)).ask("listUsers")
    assert bad.header("www-authenticate") == 'Bearer error="invalid_token"'
    twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    assert (await door.call("GET", "/api/admin/v1/users", headers=twice)).status == 400
    assert (await door.call("GET", "/api/admin/v1/users?access_token=mad_x")).status == 401


async def test_guessing_is_slowed_down_and_keeps_no_operator_out_t39(door: Door, owner: Api) -> None:
    statuses = [(await Api(door, "guess").ask("listUsers")).status for _ in range(31)]
    assert statuses == [401] * 30 + [429]
    limited = await Api(door, "guess").ask("listUsers")
    assert int(limited.header("retry-after")) > 0
    assert limited.json()["code"] == "too_many_requests"
    assert (await owner.ask("listUsers")).status == 200


async def test_a_stopped_project_is_still_administered(door: Door, owner: Api) -> None:
    for name in ("stopProject", "revokeProject", "resumeProject"):
        assert (await owner.ask(name)).status == 200
    assert BY_NAME["stopProject"].role == "admin"
