"""Every operation does what it says, and every answer is as published."""

from dataclasses import replace
from typing import Any

from doorward.manage import connections, users
from doorward.oauth.ids import ClientId
from doorward.storage.clients import add_client
from tests.admin.api import BY_NAME
from tests.admin.conftest import World
from tests.inside import LOOPBACK
from tests.manage.ground import IDP, ISSUER


class Walk:
    """Asks for one operation after the other, and remembers which."""

    def __init__(self, world: World) -> None:
        self._api = world.owner
        self.done: set[str] = set()

    async def __call__(self, name: str, body: Any = None, **named: str) -> dict[str, Any]:
        query = {key[6:]: named.pop(key) for key in list(named) if key.startswith("query_")}
        answer = await self._api.ask(name, body, named=named, query=query)
        assert answer.status == BY_NAME[name].status, (name, answer.body)
        self.done.add(name)
        return answer.json() if answer.body else {}


async def test_every_operation_is_done_and_recorded_as_the_tokens_doing_i7(world: World) -> None:
    walk = Walk(world)
    client = world.ground.client.client_id
    await walk_projects(walk)
    await walk_resources(walk, world.ground.resource.resource_id)
    await walk_clients(walk, world)
    await walk_people(walk, world)
    await walk_secrets(walk, world)
    await walk_trust(walk, world, client)
    await walk_events(walk, world)
    await walk_endings(walk, world)
    assert walk.done == BY_NAME.keys()
    events = await connections.recent_events(world.door.operator, world.door.project, at_most=1000)
    writes = [operation for operation in BY_NAME.values() if operation.writes]
    assert len([event for event in events if event.actor.startswith("admin-token:adt_")]) >= len(writes) - 1


async def walk_projects(walk: Walk) -> None:
    made = await walk("addProject", {"slug": "acme", "name": "Acme"})
    assert made["path"] == "/p/acme"
    assert [each["slug"] for each in (await walk("listProjects"))["items"]].count("acme") == 1
    changed = await walk("changeProject", {"access_token_seconds": 120, "approved_redirects": ["loopback"]})
    assert (changed["access_token_seconds"], changed["approved_redirects"]) == (120, ["loopback"])
    assert await walk("showProject") == changed
    assert (await walk("stopProject"))["stopped_at"] is not None
    assert (await walk("resumeProject"))["stopped_at"] is None


async def walk_resources(walk: Walk, resource_id: str) -> None:
    scopes = [{"name": "notes:read", "title": "Read notes"}, {"name": "notes:write", "kind": "write"}]
    made = await walk("addResource", {"uri": "https://new.example.com/mcp", "scopes": scopes, "dpop_required": True})
    assert (made["default_scopes"], made["dpop_required"]) == (["notes:read"], True)
    one = {"resource_id": made["resource_id"]}
    changed = await walk("changeResource", {"name": "New", "budgets": ["10/minute per user"]}, **one)
    assert (changed["name"], changed["budgets"], changed["dpop_required"]) == ("New", ["10/minute per user"], True)
    assert await walk("showResource", **one) == changed
    assert (await walk("stopResource", **one))["stopped_at"] is not None
    assert (await walk("resumeResource", **one))["stopped_at"] is None
    await walk("removeResource", **one)
    assert made["resource_id"] not in [each["resource_id"] for each in (await walk("listResources"))["items"]]
    tools = (await walk("listTools", resource_id=resource_id))["items"]
    assert [tool["name"] for tool in tools] == ["weather_forecast", "book_flight"]
    retitled = await walk(
        "changeResource", {"scopes": [{"name": "tools:read", "title": "Look"}]}, resource_id=resource_id
    )
    assert [tool["name"] for tool in retitled["scopes"][0]["tools"]] == ["weather_forecast"]
    scopes = [{"name": "tools:read", "title": "Look"}, {"name": "tools:write", "title": "Book", "kind": "write"}]
    await walk("changeResource", {"scopes": scopes}, resource_id=resource_id)


async def walk_clients(walk: Walk, world: World) -> None:
    made = await walk("addClient", {"redirect_uris": [LOOPBACK], "name": "Mine", "confidential": True})
    assert made["client_secret"].startswith("mcs_")
    one = {"client_id": made["client_id"]}
    assert "client_secret" not in await walk("showClient", **one)
    assert (await walk("changeClient", {"scope": "tools:read"}, **one))["scope"] == "tools:read"
    assert (await walk("rotateClientSecret", {"overlap_hours": 1}, **one))["client_secret"] != made["client_secret"]
    await walk("suspendClient", **one)
    assert (await walk("showClient", **one))["status"] == "suspended"
    await walk("reactivateClient", **one)
    await walk("revokeClient", **one)
    await walk("removeClient", **one)
    waiting = replace(world.ground.waiting, client_id=ClientId("mcl_waits"))
    await world.door.operator.database.write(add_client, waiting)
    assert {"mcl_waits"} < {each["client_id"] for each in (await walk("listQueue"))["items"]}
    await walk("denyClient", client_id="mcl_waits")
    await walk("reinstateClient", client_id="mcl_waits")
    await walk("approveClient", client_id=world.ground.waiting.client_id)
    assert (await walk("listFamilies"))["items"]
    assert made["client_id"] not in [each["client_id"] for each in (await walk("listClients"))["items"]]


async def walk_people(walk: Walk, world: World) -> None:
    made = await walk("addUser", {"email": "bob@example.com", "password": "a harbour at the end of time"})
    one = {"user_id": made["user_id"]}
    assert (await walk("changeUser", {"role": "auditor", "name": "Bob"}, **one))["role"] == "auditor"
    assert (await walk("showUser", **one))["name"] == "Bob"
    await walk("setPassword", {"password": "another end of another time"}, **one)
    ada = {"user_id": world.ground.owner.user_id}
    assert (await walk("endSessions", **ada))["sessions"] >= 2
    shown = (await walk("listConnections", **ada))["items"]
    assert world.ground.grant.grant_id in [each["connection_id"] for each in shown]
    await walk("revokeToken", {"token": world.ground.token})
    await walk("revokeConnection", connection_id=world.ground.grant.grant_id, **ada)
    (ended,) = (await walk("listEndedConnections", **ada))["items"]
    await walk("reopenConnection", connection_id=ended["connection"], **ada)
    await walk("revokeUser", **one)
    await walk("removeUser", **one)
    left = [each["user_id"] for each in (await walk("listUsers"))["items"]]
    assert (ada["user_id"] in left, one["user_id"] in left) == (True, False)


async def walk_secrets(walk: Walk, world: World) -> None:
    made = await walk("addKey", {"capabilities": ["introspect"], "resource_id": world.ground.resource.resource_id})
    assert made["secret"].startswith("mrs_")
    await walk("removeKey", key_id=made["key_id"])
    assert all("secret" not in each for each in (await walk("listKeys"))["items"])
    token = await walk("addAdminToken", {"name": "ci", "role": "auditor", "scopes": ["read"], "expires_in": 60})
    assert token["secret"].startswith("mad_")
    await walk("removeAdminToken", token_id=token["token_id"])
    assert all("secret" not in each for each in (await walk("listAdminTokens"))["items"])
    assert (await walk("addInitialToken", {"uses": 3}))["token"].startswith("mit_")
    (listed,) = (await walk("listInitialTokens"))["items"]
    assert "token" not in listed
    (key,) = (await walk("listSigningKeys"))["items"]
    (new,) = (await walk("rotateSigningKeys"))["items"]
    assert new["signs_from"] > key["signs_from"]


async def walk_trust(walk: Walk, world: World, client: str) -> None:
    await walk("distrustSoftwareIssuer", {"issuer": ISSUER})
    await walk("trustSoftwareIssuer", {"issuer": ISSUER, "jwks": world.ground.trust.jwks})
    assert [each["issuer"] for each in (await walk("listSoftwareIssuers"))["items"]] == [ISSUER]
    claims = [{"name": "repository", "value": "acme/app"}]
    body = {"issuer": IDP, "kind": "workload", "jwks": world.ground.trust.jwks, "claims": claims}
    made = await walk("trustIssuer", body)
    assert made["claims"] == ["repository=acme/app"]
    one = {"trust_id": made["trust_id"]}
    await walk("revokeTrustedIssuer", **one)
    assert (await walk("showTrustedIssuer", **one))["revoked_at"] is not None
    await walk("distrustIssuer", **one)
    assert len((await walk("listTrustedIssuers"))["items"]) == 1
    linked = {"issuer": IDP, "subject": "U7", "user_id": world.ground.owner.user_id}
    await walk("linkIdentity", linked)
    assert "U7" in [each["subject"] for each in (await walk("listIdentities"))["items"]]
    await walk("unlinkIdentity", {"issuer": IDP, "subject": "U7"})
    rule = await walk("addRule", {"client_id": client, "to": world.ground.resource.resource_id, "scope": "tools:read"})
    assert (rule["from"], rule["mode"]) == ("any", "delegation")
    await walk("removeRule", rule_id=rule["rule_id"])
    assert [each["rule_id"] for each in (await walk("listRules"))["items"]] == [world.ground.rule.rule_id]


async def walk_events(walk: Walk, world: World) -> None:
    await world.door.call("GET", "/oauth/authorize?client_id=mcl_nobody")
    await world.door.context.timeline.flush()
    story, *_ = (await walk("listTimeline"))["items"]
    told = await walk("showStory", reference=story["steps"][-1]["reference"])
    assert told == story
    (event,) = (await walk("listAudit", query_action="project.created", query_limit="1"))["items"]
    assert event["action"] == "project.created"
    assert (await walk("listIncidents"))["items"] == []


async def walk_endings(walk: Walk, world: World) -> None:
    await walk("revokeResource", resource_id=world.ground.resource.resource_id)
    await walk("revokeProject")


async def test_a_change_is_seen_by_the_very_next_request(world: World) -> None:
    async def grants() -> list[str]:
        answer = await world.door.call("GET", "/.well-known/oauth-authorization-server")
        return list(answer.json()["grant_types_supported"])

    device = "urn:ietf:params:oauth:grant-type:device_code"
    assert device not in await grants()
    await world.owner.ask("changeProject", {"device_flow": True})
    assert device in await grants()
    await world.owner.ask("changeProject", {"device_flow": False})


async def test_a_patch_leaves_what_somebody_else_changed_meanwhile(world: World) -> None:
    one = {"resource_id": world.ground.stopped.resource_id}
    await world.owner.ask("changeResource", {"budgets": ["5/minute per user"]}, named=one)
    await world.owner.ask("changeResource", {"access_token_seconds": 90}, named=one)
    shown = (await world.owner.ask("changeResource", {"name": "Third"}, named=one)).json()
    assert (shown["budgets"], shown["access_token_seconds"], shown["name"]) == (["5/minute per user"], 90, "Third")


async def test_a_client_known_by_an_address_is_named_by_it(world: World) -> None:
    url = "https://app.example.com/.well-known/client.json"
    client = replace(world.ground.client, client_id=ClientId(url), kind="document", secret_hash=None)
    await world.door.operator.database.write(add_client, client)
    shown = await world.owner.ask("showClient", named={"client_id": url})
    assert (shown.status, shown.json()["client_id"]) == (200, url)
    assert (await world.owner.ask("suspendClient", named={"client_id": url})).status == 204
    assert (await world.owner.ask("removeClient", named={"client_id": url})).status == 204


async def test_a_person_is_named_by_id_alone(world: World) -> None:
    assert (await world.owner.ask("showUser", named={"user_id": world.ground.owner.email})).status == 404
    found = await users.get(world.door.operator, world.door.project, world.ground.owner.email)
    assert found.user_id == world.ground.owner.user_id
