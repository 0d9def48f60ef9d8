"""Names of known clients that are used by others (T4): told where a code would leave the machine, and only there.

Spec: T4; DCR-11; complaint 19
"""

import pytest

from tests.inside import Door
from tests.person import Person
from tests.registration.site import Site
from tests.registration.steps import APP_REDIRECT, consent_page

EVIL = "https://evil.example/callback"
WARNING = "Someone may be using its name"


async def is_warned(door: Door, person: Person, client_id: str, redirect_uri: str) -> bool:
    page = await consent_page(door, person, client_id, redirect_uri)
    assert ("decision", "allow") in page.buttons, page.text
    return WARNING in page.text


@pytest.mark.parametrize(
    "name",
    [
        "Claude",
        "claude",
        "CLAUDE",
        "  Claude  ",
        "Claude Desktop",
        "Claude (official)",
        "The Claude",
        "Cl\u0430ude",
        "\u0421laude",
        "CIaude",
        "C1aude",
        "\uff23\uff4c\uff41\uff55\uff44\uff45",
        "Cl\u00e1ude",
        "ChatGPT",
        "Ch\u0430tGPT",
        "Cursor",
        "Curs\u043er",
        "VS Code",
        "Visual Studio Code",
        "Z\u0435d",
    ],
)
async def test_a_known_name_on_a_foreign_site_is_told_dcr_11(door: Door, person: Person, name: str) -> None:
    client_id = (await door.register(client_name=name, redirect_uris=[EVIL]))["client_id"]
    assert await is_warned(door, person, client_id, EVIL)


@pytest.mark.parametrize("name", ["My own app", "Claudette", "Claudes", "Zedd", "Notclaude", "Cursors"])
async def test_a_name_of_its_own_is_not_told(door: Door, person: Person, name: str) -> None:
    client_id = (await door.register(client_name=name, redirect_uris=[EVIL]))["client_id"]
    assert not await is_warned(door, person, client_id, EVIL)


@pytest.mark.parametrize("uri", ["http://localhost:3118/callback", "http://127.0.0.1:1/x", "http://[::1]/cb"])
async def test_a_program_on_the_persons_own_machine_is_left_to_the_warning_of_its_kind(
    door: Door, person: Person, uri: str
) -> None:
    client_id = (await door.register(client_name="Claude Code", redirect_uris=[uri]))["client_id"]
    assert not await is_warned(door, person, client_id, uri)


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("Claude", "https://claude.ai/api/mcp/auth_callback"),
        ("Claude", "https://claude.com/api/mcp/auth_callback"),
        ("ChatGPT", "https://chatgpt.com/connector_platform_oauth_redirect"),
        ("ChatGPT", "https://chatgpt.com/connector/oauth/abc123"),
        ("Microsoft Copilot Studio", "https://global.consent.azure-apim.net/redirect/my-connector"),
        ("Cursor", "cursor://anysphere.cursor-mcp/oauth/callback"),
        ("Visual Studio Code", "https://vscode.dev/redirect"),
    ],
)
async def test_the_real_one_is_not_told_of_itself(door: Door, person: Person, name: str, uri: str) -> None:
    client_id = (await door.register(client_name=name, redirect_uris=[uri]))["client_id"]
    assert not await is_warned(door, person, client_id, uri)


@pytest.mark.parametrize(
    "uri", ["https://claude.ai.evil.example/cb", "https://evil.example/claude.ai/cb", "evil://claude.ai/cb"]
)
async def test_a_place_that_only_looks_like_the_real_one_is_told(door: Door, person: Person, uri: str) -> None:
    client_id = (await door.register(client_name="Claude", redirect_uris=[uri]))["client_id"]
    assert await is_warned(door, person, client_id, uri)


async def test_a_document_of_somebody_else_under_a_known_name_is_told(door: Door, site: Site, person: Person) -> None:
    client_id = site.publish(client_name="Claude", redirect_uris=[EVIL, "http://localhost/callback"])
    assert await is_warned(door, person, client_id, EVIL)
    assert not await is_warned(door, person, client_id, APP_REDIRECT)
