"""What a visit registers it removes or tells, whatever the server answers and however the visit ends."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from doorward.doctor.documents import build_document, build_junit
from doorward.doctor.examining import examine
from doorward.doctor.findings import Report
from doorward.doctor.page import build_page
from doorward.doctor.profiles import find_profile
from tests.doctor.pretending import Asked, Members, Pretended, answer_json, pretend

PLAYED = tuple(map(find_profile, ("cursor", "typescript-sdk-2")))
BOUND = 60


async def look(server: Pretended, **wishes: Any) -> Report:
    """The report, which can be written in every form."""
    with anyio.fail_after(BOUND):
        report = await examine(server.url, profiles=PLAYED, **wishes)
    json.dumps(build_document(report), ensure_ascii=False).encode()
    (build_junit(report) + build_page(report)).encode()
    return report


def _with(name: str, value: Any) -> Callable[[Members], Members]:
    return lambda members: {**members, name: value}


@pytest.mark.parametrize("where", ["edit_resource", "edit_metadata", "edit_registered"])
async def test_half_a_character_ends_no_visit_t11(where: str) -> None:
    names = {
        "edit_resource": ("resource", "scopes_supported"),
        "edit_metadata": ("issuer", "authorization_endpoint", "scopes_supported"),
        "edit_registered": ("client_id", "client_name"),
    }
    for name in names[where]:
        with pretend() as server:
            setattr(server, where, _with(name, ["\ud800"] if name.endswith("s_supported") else "\ud800"))
            await look(server)
            assert set(server.removed) == set(server.registered)


@pytest.mark.parametrize("client_id", ["", None, 5, ["client"]])
async def test_a_registration_under_an_id_that_is_none_is_removed_all_the_same(client_id: Any) -> None:
    with pretend() as server:
        server.edit_registered = _with("client_id", client_id)
        await look(server)
        assert server.registered
        assert set(server.removed) == set(server.registered)


@pytest.mark.parametrize("register", [True, False])
async def test_a_server_that_registers_whoever_says_nothing_is_left_as_it_was(register: bool) -> None:  # noqa: FBT001  # a case
    made: list[str] = []
    with pretend() as server:

        def register_anybody(asked: Asked) -> Any:
            if json.loads(asked.body):
                return server.answer_healthily(asked)
            made.append(f"nobody-{len(made)}")
            managed = {"registration_client_uri": f"{server.issuer}/register/{made[-1]}"}
            return answer_json({"client_id": made[-1], "registration_access_token": "t", **managed}, 201)

        server.answers["/register"] = register_anybody
        report = await look(server, register=register)
        assert made
        assert set(made) <= set(server.removed)
    assert {(name, True) for name in made} <= set(report.registered)


async def test_a_visit_that_is_given_up_removes_what_it_registered() -> None:
    with pretend() as server, anyio.fail_after(BOUND):
        async with anyio.create_task_group() as tasks:

            async def give_up() -> None:
                while not any("client_id=" in asked.query for asked in server.asked):  # noqa: ASYNC110  # another thread
                    await anyio.sleep(0.001)
                tasks.cancel_scope.cancel()

            tasks.start_soon(give_up)
            await examine(server.url, profiles=PLAYED)
            raise AssertionError("it was over before it could be given up")
        assert server.registered
        assert set(server.removed) == set(server.registered)
