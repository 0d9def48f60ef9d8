"""The process behind a bridge: what it is given, what of it is heard, and that nothing of it is left."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import uvloop

from doorward.resource import stdio_process
from doorward.resource.stdio import StdioBridge
from doorward.resource.stdio_errors import StderrLog
from doorward.resource.stdio_process import ProcessGone, StdioProcess, build_environment, kill_groups
from tests.resource.stdio_world import COMMAND, build_call, is_alive
from tests.resource.world import Clock
from tests.waiting import until


class Heard:
    """A process and what it said."""

    def __init__(self, *command: str, grace_seconds: float = 5) -> None:
        self.lines: list[Any] = []
        self.arrived = asyncio.Event()
        self.ended: list[str] = []
        self.process = StdioProcess(command or COMMAND, on_line=self._hear, grace_seconds=grace_seconds)

    async def _hear(self, line: bytes) -> None:
        self.lines.append(json.loads(line))
        self.arrived.set()

    async def ask(self, name: str, **arguments: Any) -> Any:
        self.arrived.clear()
        await self.process.write(json.dumps(build_call(name, **arguments)).encode())
        await self.arrived.wait()
        return json.loads(self.lines[-1]["result"]["content"][0]["text"])["told"]

    async def is_over(self) -> bool:
        return bool(self.ended)


@asynccontextmanager
async def run(heard: Heard, **options: Any) -> AsyncIterator[Heard]:
    environment = build_environment(options.pop("env", {}))
    with anyio.fail_after(30):
        await heard.process.start(environment=environment, cwd=None, on_end=heard.ended.append, **options)
        try:
            yield heard
        finally:
            await heard.process.stop()
    assert len(heard.ended) == 1


async def test_a_command_sees_little_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_MASTER_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with run(Heard(), env={"NOTES": "/srv/notes"}) as heard:
        seen = await heard.ask("environment")
    assert seen["NOTES"] == "/srv/notes"
    assert set(seen) - {"NOTES", "LC_CTYPE"} <= {*stdio_process._INHERITED}  # Python sets LC_CTYPE itself
    assert "PATH" in seen


def test_our_own_settings_cannot_be_handed_on() -> None:
    with pytest.raises(ValueError, match="DOORWARD_MASTER_KEY"):
        StdioBridge(COMMAND, env={"doorward_master_key".upper(): "secret"})


@pytest.mark.parametrize("options", [{"idle_seconds": 0}, {"max_processes": 0}, {"max_processes_of_a_person": 0}])
def test_a_bridge_without_room_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        StdioBridge(COMMAND, **options)


@pytest.mark.parametrize("command", ["npx server", [], [""]])
def test_a_command_is_a_list_and_never_a_line_for_a_shell(command: Any) -> None:
    with pytest.raises(ValueError, match="as a list"):
        StdioBridge(command)


async def test_arguments_reach_the_command_as_they_are() -> None:
    program = "import json, sys; print(json.dumps(sys.argv[1:]), flush=True); sys.stdin.read()"
    arguments = ["$HOME", "a b", "; touch /tmp/x", "*", "\"'"]
    async with run(Heard(sys.executable, "-c", program, *arguments)) as heard:
        await heard.arrived.wait()
    assert heard.lines == [arguments]


async def test_a_command_that_is_not_there_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    process = Heard("/nowhere/at-all").process
    with pytest.raises(ProcessGone, match="cannot be started"):
        await process.start(environment={}, cwd=None, on_end=lambda _: None)
    await process.stop()
    assert "/nowhere/at-all" in caplog.text


async def test_nothing_of_a_group_is_left_after_a_stop() -> None:
    async with run(Heard()) as heard:
        child = await heard.ask("child")
        assert is_alive(child)
        assert is_alive(heard.process.pid)
    assert not is_alive(child)
    assert not is_alive(heard.process.pid)


async def test_nothing_of_a_group_is_left_after_a_crash() -> None:
    heard = Heard()
    async with run(heard):
        await heard.process.write(json.dumps(build_call("crash", child=True)).encode())
        await until(heard.is_over)
        assert heard.ended == ["The server behind ended."]
        assert not is_alive(heard.lines[0]["params"]["data"])
        with pytest.raises(ProcessGone):
            await heard.process.write(b"{}")


async def test_a_process_that_ignores_every_hint_is_killed() -> None:
    async with run(Heard(grace_seconds=0.2)) as heard:
        await heard.ask("ignore_hints")
        pid = heard.process.pid
    assert not is_alive(pid)


async def test_whoever_waits_for_nobody_leaves_nothing_behind() -> None:
    heard = Heard(grace_seconds=600)
    async with run(heard):
        child = await heard.ask("child")
        kill_groups()
        await until(heard.is_over)
        assert not is_alive(heard.process.pid)
        assert not is_alive(child)


async def test_a_message_without_end_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio_process, "MAX_LINE_SIZE", 200_000)
    async with run(Heard()) as heard:
        assert len(await heard.ask("big", size=190_000)) == 190_000
        await heard.process.write(json.dumps(build_call("big", size=300_000)).encode())
        await until(heard.is_over)
        assert heard.ended == ["The server behind wrote a message of more than 200000 bytes."]


async def test_a_process_that_does_not_read_holds_up_its_writer_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stdio_process, "WRITE_SECONDS", 0.2)
    async with run(Heard("sleep", "600", grace_seconds=0.2)) as heard:
        await heard.process.write(b"x" * 1_000_000)  # more than a pipe holds, and the rest waits here
        with pytest.raises(ProcessGone, match="takes no messages"):
            await heard.process.write(b"{}")


async def test_a_message_with_a_line_break_is_never_written() -> None:
    async with run(Heard()) as heard:
        with pytest.raises(ValueError, match="one line"):
            await heard.process.write(b"{}\n{}")


async def test_standard_error_is_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "doorward.resource.stdio")
    lines = [
        "ready",
        "authorization: Bearer abc.def",
        "DB_PASSWORD=hunter22 and more",
        "got eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x",
        "opening with-a-given-value",
        "\x1b[31mred",
    ]
    async with run(Heard(), env={"THING": "with-a-given-value"}, secrets=["with-a-given-value", "a"]) as heard:
        await heard.ask("say", lines=lines)
    written = [record.getMessage().partition(": ")[2] for record in caplog.records if record.levelno == logging.INFO]
    assert written[:6] == [
        "ready",
        "authorization: …",
        "DB_PASSWORD=… and more",
        "got …",
        "opening …",
        "[31mred",
    ]


def test_standard_error_never_floods_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "doorward.resource.stdio")
    clock = Clock()
    log = StderrLog(1, [], clock=clock)
    for _ in range(1_000):
        log.note(b"x" * 10_000)
    assert len(caplog.records) == 50
    assert max(len(record.getMessage()) for record in caplog.records) < 600
    clock.now += 11
    log.note(b"again")
    assert [record.getMessage() for record in caplog.records[50:]] == [
        "Process 1 wrote 950 more lines.",
        "Process 1: again",
    ]


def test_a_process_is_followed_in_the_loop_that_doorward_runs_on() -> None:
    async def live_and_crash() -> None:
        heard = Heard()
        async with run(heard):
            child = await heard.ask("child")
            await heard.process.write(json.dumps(build_call("crash")).encode())
            await until(heard.is_over)
            assert heard.ended == ["The server behind ended."]
            assert not is_alive(child)
            assert not is_alive(heard.process.pid)

    uvloop.run(live_and_crash())


def test_a_secret_that_begins_with_another_is_masked_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="doorward.resource.stdio"):
        StderrLog(1, ["sesame", "sesame-and-more"]).note(b"opened with sesame-and-more and sesame")
    assert caplog.messages == ["Process 1: opened with \u2026 and \u2026"]


async def test_a_crash_is_told_with_the_last_words_of_the_process_and_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = "import sys; [print(n, file=sys.stderr) for n in range(9)]; sys.exit('no a-given-value: missing API_KEY')"
    heard = Heard(sys.executable, "-c", program)
    async with run(heard, secrets=["a-given-value"]):
        await until(heard.is_over)
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told.endswith("ended with 1: The server behind ended. It last wrote: 5 | 6 | 7 | 8 | no …: missing API_KEY")


async def test_what_is_stopped_has_no_last_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "doorward.resource.stdio")
    async with run(Heard()) as heard:
        await heard.ask("say", lines=["ready"])
    assert "The server behind was stopped." in caplog.messages[-1]
    assert "ready" not in caplog.messages[-1]
