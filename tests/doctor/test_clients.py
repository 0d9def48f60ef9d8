"""The doctor's verdict on each recorded client is what the client itself did, for every answer that was recorded.

`matrix.json` beside this file holds the records: what released clients reached when a server answered in that way.
"""

import json
from pathlib import Path

import pytest

from doorward.doctor.clients import judge_client
from doorward.doctor.examining import visit_server
from doorward.doctor.logging_in import Login
from doorward.doctor.profiles import find_profile
from doorward.doctor.sending import JudgedSender
from doorward.doctor.visits import Visit
from tests.doctor.pretending import Pretended, Willing, pretend
from tests.doctor.variants import VARIANTS

MATRIX: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "matrix.json").read_text(encoding="utf-8"))
STAGES = {
    "Challenge": "disc",
    "Resource metadata": "disc",
    "Server metadata": "disc",
    "Registration": "reg",
    "Authorization": "cb",
    "Token": "token",
}
RECORDED = sorted({client for results in MATRIX.values() for client in results})


async def play(server: Pretended) -> dict[str, str]:
    """What the doctor says each recorded client reaches, in the words of the records."""
    visit = Visit(server.url, profiles=tuple(find_profile(client) for client in RECORDED))
    await visit_server(visit, JudgedSender(server.url), login=Login(Willing()))
    said = {}
    for profile in visit.profiles:
        verdict = judge_client(profile, visit)
        said[profile.id] = "ok" if verdict.outcome == "passed" else f"FAIL@{STAGES[verdict.stage]}"
    return said


def test_every_recorded_answer_is_played() -> None:
    assert MATRIX.keys() == VARIANTS.keys()
    assert len(RECORDED) == 12


async def test_every_recorded_client_gets_into_a_healthy_server() -> None:
    with pretend() as server:
        server.takes_documents = False
        assert await play(server) == dict.fromkeys(RECORDED, "ok")


@pytest.mark.parametrize("variant", MATRIX)
async def test_each_recorded_client_ends_where_it_ended_in_the_records(variant: str) -> None:
    with pretend() as server:
        server.takes_documents = False
        VARIANTS[variant](server)
        said = await play(server)
    assert {client: said[client] for client in MATRIX[variant]} == MATRIX[variant]
