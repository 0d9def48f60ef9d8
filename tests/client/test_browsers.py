"""A person's own browser: what is opened in it, by which program, and what never is."""

import json
import os
import shutil
from pathlib import Path

import anyio
import pytest

from doorward.client.browser import BrowserInteraction, _programs, open_browser
from doorward.client.devices import DeviceInteraction, NoInteraction
from doorward.client.effects import ShowUserCode
from doorward.client.errors import AddressRefused, AnswerRefused, LoginRequired
from doorward.client.listener import listen
from tests.client.openers import Openers
from tests.client.wire import visit
from tests.waiting import until

GOOD = "https://as.example.com:8443/authorize?client_id=a&scope=tools%3Aread+x&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcb"
HOSTILE = [
    "file:///etc/passwd",
    "javascript:alert(1)",
    "JavaScript://a.example/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "ms-settings:",
    "chrome://settings",
    "https://a/$(touch x)",
    "https://a.example/$(touch)",
    "https://a.example/`id`",
    "https://a.example/?x=';id;'",
    "https://a.example/|id",
    "https://a.example/\\x",
    "https://a/%USERNAME%",
    "https://a.example/%",
    "--new-window",
    "-https://a.example/",
    " https://a.example/",
    "https://a.example/ --flag",
    "https://a.example/\n",
    "https://a.example/\nhttps://b.example/",
    "https://a.example/\x1b[2J",
    "https://user:secret@a.example/",
    "https://a.example@b.example/",
    "https://a.exämple/",
    "https://a.example/ä",
    "https://a.example/\u202e",
    "http://a.example/",
    "http://127.0.0.1.example/",
    "//a.example/",
    "a.example",
    "https://",
    "https:a.example",
    "",
]


@pytest.fixture
def openers(tmp_path: Path) -> Openers:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Openers(folder)


@pytest.mark.parametrize("url", [GOOD, "http://127.0.0.1:8400/authorize?a=b&c=d", "http://localhost/x"])
def test_an_address_is_one_argument_and_stays_as_it_is_authz_16(openers: Openers, url: str) -> None:
    openers.add("xdg-open")
    assert open_browser(url, environment=openers.environment)
    assert openers.started() == [("xdg-open", [url])]


@pytest.mark.parametrize("url", HOSTILE)
def test_what_is_no_plain_web_address_is_refused_and_nothing_is_started_authz_16_t11(
    openers: Openers, url: str
) -> None:
    openers.add("xdg-open")
    browser = openers.add("browser")
    with pytest.raises(AddressRefused):
        open_browser(url, environment={**openers.environment, "BROWSER": str(browser)})
    assert openers.started() == []
    assert sorted(path.name for path in openers.folder.iterdir()) == ["browser", "xdg-open"]


@pytest.mark.parametrize("url", HOSTILE)
async def test_nobody_is_sent_to_what_is_no_plain_web_address_authz_16_t11(
    openers: Openers, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    openers.add("xdg-open")
    use(openers, monkeypatch)
    said: list[str] = []
    async with BrowserInteraction(announce=said.append).open() as redirect:
        with pytest.raises(AddressRefused):
            await redirect.visit(url, state="s")
    assert (openers.started(), said) == ([], [])


def test_the_next_program_is_asked_when_one_fails_or_is_not_there_authz_18(openers: Openers) -> None:
    openers.add("xdg-open", code=3)
    assert not open_browser(GOOD, environment=openers.environment)
    openers.add("wslview")
    assert open_browser(GOOD, environment=openers.environment)
    assert [name for name, _ in openers.started()] == ["xdg-open", "xdg-open", "wslview"]


def test_a_file_that_cannot_be_run_opens_nothing(openers: Openers) -> None:
    openers.add("xdg-open").write_text("no program")
    assert not open_browser(GOOD, environment=openers.environment)


def test_without_a_screen_no_opener_is_started_so_that_none_takes_the_terminal(openers: Openers) -> None:
    openers.add("xdg-open")
    assert not open_browser(GOOD, environment={"PATH": str(openers.folder)})
    assert openers.started() == []


def test_the_browser_of_the_environment_is_asked_first_and_is_not_handed_on(openers: Openers) -> None:
    openers.add("xdg-open")
    mine = openers.add("mine", code=1)
    chosen = f"missing{os.pathsep}{mine}"
    assert open_browser(GOOD, environment={**openers.environment, "BROWSER": chosen})
    assert openers.started() == [("mine", [GOOD]), ("xdg-open", [GOOD])]
    environments = [json.loads(line)[1] for line in openers.record.read_text().splitlines()]
    assert environments == [None, None]


@pytest.mark.parametrize(
    "browser", ["xdg-open %s", "sh -c 'mine %s'", "mine %s &", "mine --flag", "-mine", "", ":", "/"]
)
def test_a_browser_that_is_a_command_line_is_left_out_t11(openers: Openers, browser: str) -> None:
    openers.add("mine")
    openers.add("-mine")
    openers.add("sh")
    openers.add("xdg-open")
    assert open_browser(GOOD, environment={**openers.environment, "BROWSER": browser})
    assert openers.started() == [("xdg-open", [GOOD])]


def test_a_mac_has_an_opener_of_its_own() -> None:
    expected = [path for path in ["/usr/bin/open"] if shutil.which(path)]
    assert list(_programs({"PATH": "/nonexistent"}, "darwin")) == expected


async def test_a_person_is_led_through_their_browser_and_back_authz_18_rdu_08(
    openers: Openers, monkeypatch: pytest.MonkeyPatch
) -> None:
    openers.add_browser("xdg-open")
    use(openers, monkeypatch)
    said: list[str] = []
    async with BrowserInteraction(announce=said.append).open() as redirect:
        url = f"https://as.example.com/authorize?state=s-1&redirect_uri={redirect.redirect_uri}"
        assert await redirect.visit(url, state="s-1") == "code=c+1&state=s-1"
    assert [url in text for text in said] == [True]


async def test_the_address_is_said_when_no_browser_opens_authz_18(
    openers: Openers, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(openers, monkeypatch)
    said: list[str] = []
    answered: list[str] = []
    async with BrowserInteraction(announce=said.append).open() as redirect, anyio.create_task_group() as tasks:

        async def go() -> None:
            answered.append(await redirect.visit(GOOD, state="s-1"))

        async def is_told() -> bool:
            return len(said) == 2

        tasks.start_soon(go)
        await until(is_told)
        assert (await visit(redirect.redirect_uri, "code=c&state=s-1")).status == 200
    assert answered == ["code=c&state=s-1"]
    assert GOOD in said[0]
    assert said[1] == "No browser could be opened here: please open the address above by hand."


async def test_a_login_that_nobody_comes_back_from_ends_and_shows_nothing_of_what_came_t36(
    openers: Openers, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(openers, monkeypatch)
    async with BrowserInteraction(announce=lambda _: None, timeout_seconds=0.01).open() as redirect:
        assert (await visit(redirect.redirect_uri, "error=words-of-somebody&state=other")).status == 400
        with pytest.raises(LoginRequired) as late:
            await redirect.visit(GOOD, state="s-1")
    assert str(late.value) == (
        "Nobody came back from the browser within 0 seconds. Start the sign-in again."
        " Answers that did not carry the state of this sign-in were not used: 1."
    )


async def test_the_port_that_was_asked_for_comes_before_the_registered_one_rdu_08(free_port: int) -> None:
    registered = ("http://127.0.0.1:1/x", f"http://127.0.0.1:{free_port}/callback")
    async with BrowserInteraction().open(registered=registered) as redirect:
        assert redirect.redirect_uri == registered[1]
        async with BrowserInteraction().open() as other:
            asked = int(other.redirect_uri.split(":")[2].split("/")[0])
        async with BrowserInteraction(port=asked).open(registered=registered) as second:
            assert second.redirect_uri == f"http://127.0.0.1:{asked}/callback"


async def test_a_port_that_is_taken_is_told_rdu_08() -> None:
    said: list[str] = []
    async with listen() as other:
        interaction = BrowserInteraction(port=other.port, announce=said.append)
        async with interaction.open() as redirect:
            assert redirect.redirect_uri != other.redirect_uri
    assert [text.partition(";")[0] for text in said] == [f"Port {other.port} is in use by another program"]


async def test_a_code_is_shown_with_where_to_enter_it() -> None:
    said: list[str] = []
    shown = ShowUserCode("https://as.example.com/device", "https://as.example.com/device?user_code=WDJB", "WDJB", 600)
    await DeviceInteraction(announce=said.append).show_user_code(shown)
    (text,) = said
    assert "  https://as.example.com/device\n  Code: WDJB\n" in text
    assert "Or open https://as.example.com/device?user_code=WDJB and compare the code." in text
    assert "10 minutes" in text


async def test_a_code_page_that_may_not_be_opened_is_not_shown_authz_16() -> None:
    said: list[str] = []
    interaction = DeviceInteraction(announce=said.append)
    with pytest.raises(AddressRefused):
        await interaction.show_user_code(ShowUserCode("javascript:alert(1)", None, "WDJB", 600))
    with pytest.raises(AnswerRefused):
        await interaction.show_user_code(ShowUserCode("https://as.example.com/device", None, "W\x1b[2J", 600))
    assert said == []
    await interaction.show_user_code(ShowUserCode("https://as.example.com/device", "file:///x", "WDJB", 60))
    assert "file:" not in said[0]


async def test_where_nobody_can_be_asked_it_fails_at_once_and_says_so() -> None:
    with pytest.raises(LoginRequired, match="nobody can be asked"):
        NoInteraction().open()
    with pytest.raises(LoginRequired, match="nobody can be asked"):
        await NoInteraction().show_user_code(ShowUserCode("https://as.example.com/device", None, "WDJB", 60))


def use(openers: Openers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make them the programs of this process."""
    monkeypatch.delenv("BROWSER", raising=False)
    for name, value in openers.environment.items():
        monkeypatch.setenv(name, value)
