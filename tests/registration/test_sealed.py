"""Sealed client ids: nothing is stored for a registration, and so nothing can be forgotten.

Spec: T15; DCR-12, DCR-13, DCM-02, DCM-05, DCM-06; complaints 1 to 3
"""

import gc
import re
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from doorward.core.sealing import MAX_LENGTH, Sealer
from doorward.manage import admission, clients, sealing
from doorward.oauth.ids import ProjectId
from doorward.server.jobs import sweep
from tests.inside import LOOPBACK, Door, open_door
from tests.person import Person
from tests.registration.steps import (
    authorize,
    consent_page,
    is_accepted,
    let_in,
    row_counts,
    stored,
    tokens_of,
    told,
)
from tests.server.steps import REGISTER, add_neighbour, bearer, is_active, refusal

DAY = 86_400
REGISTER_AGAIN = "This app has to register again"


async def sealed(door: Door, **members: Any) -> str:
    client_id: str = (await door.register(**members))["client_id"]
    assert client_id.startswith("mcx_")
    return client_id


async def managed(door: Door, **members: Any) -> tuple[str, dict[str, str]]:
    """(path, headers) that manage a fresh sealed registration."""
    answer = await door.register(**members)
    return f"{REGISTER}/{answer['client_id']}", bearer(answer["registration_access_token"])


def tampered(client_id: str, index: int) -> str:
    """The id with one bit of one byte turned over, spelled as it must be."""
    raw = bytearray(urlsafe_b64decode(client_id[4:] + "=" * (-len(client_id[4:]) % 4)))
    raw[index] ^= 1
    return "mcx_" + urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()


async def drop_first_key(door: Door) -> None:
    await sealing.rotate(door.operator, door.project)
    await sealing.drop(door.operator, door.project, 0)


async def test_nothing_is_stored_before_somebody_consents(door: Door, person: Person) -> None:
    before = await row_counts(door)
    client_id = await sealed(door)
    assert await row_counts(door) == before
    assert await is_accepted(door, client_id, LOOPBACK)
    assert await row_counts(door) == before
    page = await consent_page(door, person, client_id, LOOPBACK)
    assert await stored(door, client_id) is None
    await person.submit(page, decision="allow")
    client = await stored(door, client_id)
    assert client is not None
    assert (client.kind, client.status, client.secret_hash) == ("sealed", "active", None)


async def test_an_id_is_unreserved_characters_and_bounded(door: Door) -> None:
    for count in range(1, 11):
        uris = [f"https://host-{number}.example/callback/{number}" for number in range(count)]
        client_id = await sealed(door, redirect_uris=uris, client_name="é" * 100)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", client_id)
        assert len(client_id) <= MAX_LENGTH


async def test_the_same_metadata_twice_is_two_clients(door: Door) -> None:
    assert await sealed(door) != await sealed(door)


async def test_metadata_that_does_not_fit_is_stored_instead(door: Door) -> None:
    uris = [f"https://client.example.com/{sha512(bytes([number])).hexdigest()}" for number in range(10)]
    answer = await door.register(redirect_uris=uris, client_name="".join(map(chr, range(0x4E00, 0x4E80))))
    assert answer["client_id"].startswith("mcl_")
    assert "client_secret" not in answer
    assert await is_accepted(door, answer["client_id"], uris[9])


async def test_metadata_that_packs_small_but_is_large_is_stored_instead_and_works(door: Door) -> None:
    uris = [f"https://client.example.com/{'a' * 2000}/{number}" for number in range(10)]
    answer = await door.register(redirect_uris=uris)
    assert await is_accepted(door, answer["client_id"], uris[9])
    assert "access_token" in await tokens_of(door, answer["client_id"], uris[0])


async def test_a_bit_turned_over_anywhere_makes_the_id_nobodys(door: Door) -> None:
    client_id = await sealed(door)
    length = len(urlsafe_b64decode(client_id[4:] + "=" * (-len(client_id[4:]) % 4)))
    for index in range(length):
        assert REGISTER_AGAIN in told(await authorize(door, tampered(client_id, index), LOOPBACK))


async def test_another_spelling_is_another_id_and_nobodys(door: Door) -> None:
    right = await sealed(door)
    wrong = [right[:-1], f"{right}A", f"{right}=", f"{right}\n", f"{right[:40]}.{right[40:]}", f"mcx_ {right[4:]}"]
    for client_id in (*wrong, "mcx_", "mcx_" + "A" * 1000, "mcx_" + "A" * 3000, "mcx_é"):
        assert not await is_accepted(door, client_id, LOOPBACK)
        answer = await door.redeem(client_id, "mac_x", "v" * 43)
        assert refusal(answer) == (401, "invalid_client")


async def test_the_last_letter_has_one_spelling(door: Door) -> None:
    client_id = await sealed(door)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = [letter for letter in alphabet if await is_accepted(door, client_id[:-1] + letter, LOOPBACK)]
    assert good == [client_id[-1]]


async def test_an_id_of_another_project_is_nobody_here_i10(door: Door) -> None:
    await add_neighbour(door)
    theirs = (await door.post_json(f"/p/acme{REGISTER}", {"redirect_uris": [LOOPBACK]})).json()["client_id"]
    assert theirs.startswith("mcx_")
    assert REGISTER_AGAIN in told(await authorize(door, theirs, LOOPBACK))
    assert refusal(await door.redeem(theirs, "mac_x", "v" * 43)) == (401, "invalid_client")
    answer = await door.call("GET", f"/p/acme{door.authorization_url(theirs, 'v' * 43, resource='')}")
    assert answer.status in (302, 303)


async def test_an_id_of_a_dropped_key_is_told_clearly_to_register_again(door: Door) -> None:
    client_id = await sealed(door)
    await drop_first_key(door)
    async with open_door(door.context.settings.data, door.clock) as restarted:
        text = told(await authorize(restarted, client_id, LOOPBACK))
        assert REGISTER_AGAIN in text
        assert "claude mcp logout" in text
        assert refusal(await restarted.redeem(client_id, "mac_x", "v" * 43)) == (401, "invalid_client")
        assert await is_accepted(restarted, await sealed(restarted), LOOPBACK)


async def test_what_somebody_let_in_outlives_the_key_that_sealed_it(door: Door) -> None:
    client_id = await sealed(door)
    answer = await tokens_of(door, client_id, LOOPBACK)
    await drop_first_key(door)
    async with open_door(door.context.settings.data, door.clock) as restarted:
        assert (await restarted.refresh(client_id, answer["refresh_token"])).status == 200


async def test_a_key_that_is_followed_by_another_stays_good_until_it_is_dropped(door: Door) -> None:
    old = await sealed(door)
    await sealing.rotate(door.operator, door.project)
    async with open_door(door.context.settings.data, door.clock) as restarted:
        new = await sealed(restarted)
        assert await is_accepted(restarted, old, LOOPBACK)
        assert await is_accepted(restarted, new, LOOPBACK)


async def test_an_id_survives_a_restart_of_the_server(door: Door) -> None:
    client_id = await sealed(door)
    async with open_door(door.context.settings.data, door.clock) as restarted:
        assert "access_token" in await tokens_of(restarted, client_id, LOOPBACK)


async def test_a_database_restored_to_yesterday_still_knows_every_client_of_today(data: Path, tmp_path: Path) -> None:
    yesterday = Path(shutil.copytree(data, tmp_path / "yesterday"))
    async with open_door(data) as door:
        known = [await sealed(door, client_name=f"App {number}") for number in range(20)]
        await let_in(door, known[0], LOOPBACK)
    async with open_door(yesterday) as restored:
        restored.clock.advance(seconds=DAY)
        for client_id in known:
            assert await stored(restored, client_id) is None
            assert await is_accepted(restored, client_id, LOOPBACK)
        assert "access_token" in await tokens_of(restored, known[0], LOOPBACK)


async def test_no_sweep_ever_makes_one_unknown_complaint_2(door: Door) -> None:
    unused, used, idle = [await sealed(door) for _ in range(3)]
    answer = await tokens_of(door, used, LOOPBACK)
    await tokens_of(door, idle, LOOPBACK)
    for _ in range(10):
        door.clock.advance(seconds=29 * DAY)
        await sweep(door.context)
        refreshed = await door.refresh(used, answer["refresh_token"])
        answer = refreshed.json() if refreshed.status == 200 else await tokens_of(door, used, LOOPBACK)
        for client_id in (unused, used, idle):
            assert await is_accepted(door, client_id, LOOPBACK)
    assert await stored(door, idle) is None
    assert await stored(door, used) is not None
    assert "access_token" in await tokens_of(door, idle, LOOPBACK)


async def test_a_row_past_its_time_is_no_reason_to_know_the_client_less(door: Door) -> None:
    client_id = await sealed(door)
    await tokens_of(door, client_id, LOOPBACK)
    door.clock.advance(seconds=181 * DAY)
    assert "access_token" in await tokens_of(door, client_id, LOOPBACK)


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_a_flood_leaves_no_row_and_no_memory_t15(door: Door, count: int) -> None:
    async def flood(times: int) -> None:
        for _ in range(times):
            body = b'{"redirect_uris":["http://127.0.0.1:4711/callback"],"client_name":"Flood"}'
            answer = await door.call("POST", REGISTER, body, {"content-type": "application/json"})
            assert answer.status == 201
            await checkpoint()  # the loop forgets timers that were called off when it comes round

    before = await row_counts(door)
    await flood(2_000)
    resident = resident_bytes()
    await flood(count - 2_000)
    assert await row_counts(door) == before
    assert resident_bytes() - resident < 6 * 2**20


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_a_flood_of_one_source_leaves_the_others_alone(door: Door) -> None:
    body = b'{"redirect_uris":["https://flood.example/cb"],"client_name":"Flood"}'
    headers = {"content-type": "application/json"}
    statuses = [(await door.call("POST", REGISTER, body, headers)).status for _ in range(150)]
    assert statuses == [201] * 120 + [429] * 30
    other = await door.call("POST", REGISTER, body.replace(b"flood.", b"other."), headers, source="198.51.100.7")
    assert other.status == 201


async def test_a_sealed_registration_is_read_with_its_own_token_dcm_02(door: Door) -> None:
    answer = await door.register(client_name="Mine")
    path, right = f"{REGISTER}/{answer['client_id']}", bearer(answer["registration_access_token"])
    read = await door.call("GET", path, headers=right)
    assert (read.status, read.header("cache-control")) == (200, "no-store")
    assert read.json() == answer
    other = await door.register()
    for wrong in (bearer(other["registration_access_token"]), bearer("mra_x"), {}):
        assert refusal(await door.call("GET", path, headers=wrong)) == (401, "invalid_token")


async def test_a_sealed_registration_cannot_change_and_says_so(door: Door) -> None:
    path, headers = await managed(door)
    members = {"client_id": path.rpartition("/")[2], "redirect_uris": [LOOPBACK], "client_name": "New"}
    answer = await door.call(
        "PUT", path, str(members).replace("'", '"').encode(), {**headers, "content-type": "application/json"}
    )
    assert refusal(answer) == (403, "invalid_client_metadata")


async def test_a_deleted_one_is_gone_with_its_tokens_and_its_page_says_so_dcm_05(door: Door) -> None:
    answer = await door.register()
    client_id, headers = answer["client_id"], bearer(answer["registration_access_token"])
    tokens = await tokens_of(door, client_id, LOOPBACK)
    gone = await door.call("DELETE", f"{REGISTER}/{client_id}", headers=headers)
    assert (gone.status, gone.body) == (204, b"")
    text = told(await authorize(door, client_id, LOOPBACK))
    assert "was deleted by the app" in text
    assert "claude mcp logout" in text
    assert refusal(await door.refresh(client_id, tokens["refresh_token"])) == (401, "invalid_client")
    assert not await is_active(door, tokens["access_token"])
    assert refusal(await door.call("GET", f"{REGISTER}/{client_id}", headers=headers)) == (401, "invalid_token")


async def test_one_that_nobody_used_can_be_deleted_too(door: Door) -> None:
    path, headers = await managed(door)
    assert (await door.call("DELETE", path, headers=headers)).status == 204
    assert not await is_accepted(door, path.rpartition("/")[2], LOOPBACK)


async def test_one_that_an_operator_removed_is_told_so(door: Door) -> None:
    client_id = await sealed(door)
    await let_in(door, client_id, LOOPBACK)
    await clients.remove(door.operator, await clients.get(door.operator, door.project, client_id))
    assert "was removed by an administrator" in told(await authorize(door, client_id, LOOPBACK))


async def test_one_that_is_suspended_is_told_so_and_keeps_its_row(door: Door, person: Person) -> None:
    client_id = await sealed(door)
    await let_in(door, client_id, LOOPBACK)
    await admission.suspend(door.operator, await clients.get(door.operator, door.project, client_id))
    page = await consent_page(door, person, client_id, LOOPBACK)
    assert (page.status, "This app was suspended" in page.text) == (403, True)


def test_keys_are_numbered_and_the_newest_seals() -> None:
    project = ProjectId("prj_1")
    first, both = Sealer({0: b"a" * 32}), Sealer({0: b"a" * 32, 255: b"b" * 32})
    old, new = (sealer.seal(project, {"x": 1}, now=5_000) for sealer in (first, both))
    assert old is not None
    assert new is not None
    assert first.unseal(project, new) is None
    for client_id in (old, new):
        found = both.unseal(project, client_id)
        assert found is not None
        assert (found.metadata, found.issued_at) == ({"x": 1}, 5_000)
