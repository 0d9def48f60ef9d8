"""`doorward admin … revoke|stop|resume`: ending what was let in, from the terminal."""

import asyncio
import time

import pytest

from doorward.core.models import Grant
from doorward.core.secrets import new_id
from doorward.manage import clients, resources, users
from doorward.manage.operator import Operator, get_project
from doorward.oauth.ids import GrantId
from doorward.storage.grants import add_grant
from doorward.storage.opening import open_store
from tests.cli.conftest import Command
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

URI = "https://api.example.com/mcp"


@pytest.fixture
def connected(doorward: Command) -> str:
    """The id of one connection of one person to one server."""
    doorward("admin", "resource", "add", URI, "--scope", "tools:read")
    doorward("admin", "user", "add", ADMIN_EMAIL, "--password-file", "-", stdin=f"{ADMIN_PASSWORD}\n")
    doorward("admin", "client", "add", "--redirect-uri", "http://127.0.0.1/callback", "--name", "Notes")
    return asyncio.run(_connect(doorward))


async def _connect(doorward: Command) -> str:
    now = int(time.time() * 1000)
    store = await open_store(doorward.data, now=now)
    try:
        operator = Operator(store.database, store.vault, lambda: now, "operator:test")
        project = await get_project(operator)
        grant = Grant(
            project_id=project.project_id,
            grant_id=GrantId(new_id("grt")),
            user_id=(await users.get(operator, project, ADMIN_EMAIL)).user_id,
            client_id=(await clients.list_all(operator, project))[0].client_id,
            resource_id=(await resources.list_all(operator, project))[0].resource_id,
            scope=("tools:read",),
            redirect_uri="http://127.0.0.1:4711/callback",
            created_at=now,
            last_used_at=now,
            device_label="Firefox on Linux",
        )
        await store.database.write(add_grant, grant)
        return grant.grant_id
    finally:
        await store.database.close()


def actions(doorward: Command) -> list[str]:
    return [event["action"] for event in doorward.json("admin", "audit", "list")]


def test_a_connection_is_listed_and_ended_con_05(doorward: Command, connected: str) -> None:
    (listed,) = doorward.json("admin", "connection", "list", ADMIN_EMAIL)
    assert listed == {
        "connection_id": connected,
        "client_id": listed["client_id"],
        "client_name": "Notes",
        "resource": URI,
        "scope": ["tools:read"],
        "device": "Firefox on Linux",
        "created_at": listed["created_at"],
        "last_used_at": listed["created_at"],
    }
    words = ("admin", "connection", "revoke", ADMIN_EMAIL, connected)
    assert doorward(*words).stdout == f"revoked {connected}\n"
    assert doorward.json("admin", "connection", "list", ADMIN_EMAIL) == []
    assert f"has no connection {connected}" in doorward.refused(*words)
    assert actions(doorward).count("grant.revoked") == 1


@pytest.mark.parametrize(
    ("words", "said", "action"),
    [
        (("user", "revoke", ADMIN_EMAIL), f"revoked everything of {ADMIN_EMAIL}", "user.grants_revoked"),
        (("resource", "revoke", URI), f"revoked everything for {URI}", "resource.grants_revoked"),
        (("project", "revoke"), "revoked everything of default", "project.grants_revoked"),
    ],
)
def test_everything_so_far_is_ended(
    doorward: Command, connected: str, words: tuple[str, ...], said: str, action: str
) -> None:
    assert doorward("admin", *words).stdout == f"{said}\n"
    assert doorward.json("admin", "connection", "list", ADMIN_EMAIL) == []
    assert actions(doorward)[0] == action


@pytest.mark.parametrize(("group", "what"), [("resource", URI), ("project", None)])
def test_a_stop_is_shown_and_taken_back(doorward: Command, connected: str, group: str, what: str | None) -> None:
    named = (what,) if what else ()
    assert doorward("admin", group, "stop", *named).stdout == f"stopped {what or 'default'}\n"
    assert doorward.json("admin", group, "show", *named)["stopped_at"] > 0
    assert "stopped already" in doorward.refused("admin", group, "stop", *named)
    assert doorward("admin", group, "resume", *named).stdout == f"resumed {what or 'default'}\n"
    assert doorward.json("admin", group, "show", *named)["stopped_at"] is None
    assert "is not stopped" in doorward.refused("admin", group, "resume", *named)
    assert len(doorward.json("admin", "connection", "list", ADMIN_EMAIL)) == 1


def test_a_token_is_read_from_a_file_or_asked_for_and_never_shown(doorward: Command, connected: str) -> None:
    secret = "mrt_not-one-of-ours"
    path = doorward.data.with_name("token")
    path.write_text(f"{secret}\n", encoding="utf-8")
    for options, stdin in ((("--file", "-"), f"{secret}\n"), (("--file", str(path)), None), ((), f"{secret}\n")):
        refused = doorward("admin", "token", "revoke", *options, code=1, stdin=stdin)
        assert "no live token" in refused.stderr
        assert secret not in refused.output
    missing = doorward.refused("admin", "token", "revoke", "--file", str(path / "nothing"), code=2)
    assert "nothing" in missing.replace("\n", "")
