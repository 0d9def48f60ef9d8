"""Our client gets into servers whose authorization servers nobody here wrote, on real sockets, each in its own way.

What is special about them: FastMCP's issuer ends with a slash and refuses grants with 401; the MCP SDK's has no
public clients, wants the client_id beside every secret, and knows nothing of `iss`; one of before RFC 9728 has no
metadata of the resource; the SDK for TypeScript gives nothing to refresh; oidc-provider registers no scopes of
resources, and gives refresh tokens only to who asks the person; Better Auth's issuer has a path; FastMCP's proxy
registers others than it was asked to. Spec: CLI-12, ASM-19, REG-02
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from doorward.client.auth import DoorwardAuth
from doorward.client.devices import NoInteraction
from doorward.client.errors import LoginRequired
from doorward.client.records import dump_connection
from doorward.client.stores import FileStore
from tests.interop.foreign import others
from tests.interop.foreign.in_python import SCOPE
from tests.interop.foreign.others import Other
from tests.interop.foreign.people import told, told_a_code
from tests.interop.foreign.visiting import assert_open, connect, sign_in
from tests.interop.kept import change_tokens, copy, kept
from tests.interop.node.documents import Authority, make_authority, serve_document
from tests.interop.node.programs import find_node
from tests.person import answer_parameters

ALL = ("fastmcp", "sdk", "sdk_of_2025_03", "oidc_provider", "better_auth", "fastmcp_proxy")
FORGETFUL = pytest.mark.parametrize("other", ALL[:3], indirect=True)
"""Those that keep everything in memory, where it can be taken from them."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the servers of Node say."""
    return tmp_path_factory.mktemp("others") / "node.log"


@pytest.fixture(scope="module")
def oidc_provider(log: Path, authority: Authority) -> Iterator[Other]:
    find_node()
    with others.oidc_provider(log, authority.trust) as other:
        yield other


@pytest.fixture(scope="module")
def better_auth(log: Path) -> Iterator[Other]:
    find_node()
    with others.better_auth(log) as other:
        yield other


@pytest.fixture(scope="module")
def fastmcp() -> Iterator[Other]:
    with others.fastmcp() as other:
        yield other


@pytest.fixture(scope="module")
def sdk() -> Iterator[Other]:
    with others.sdk() as other:
        yield other


@pytest.fixture(scope="module")
def sdk_of_2025_03() -> Iterator[Other]:
    with others.sdk(publishes_resource=False) as other:
        yield other


@pytest.fixture(scope="module")
def fastmcp_proxy(oidc_provider: Other) -> Iterator[Other]:
    with others.fastmcp_proxy(oidc_provider.issuer) as other:
        yield other


@pytest.fixture(scope="module")
def typescript_sdk(log: Path) -> Iterator[Other]:
    find_node()
    with others.typescript_sdk(log) as other:
        yield other


@pytest.fixture(params=ALL)
def other(request: pytest.FixtureRequest) -> Other:
    """Each of them."""
    found: Other = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "kept")


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing opens a browser on the machine that runs the tests."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)


async def test_a_client_registers_asks_a_person_once_and_calls_tools_pkce_01(other: Other, store: FileStore) -> None:
    somebody = await sign_in(other, store)
    (visit,) = somebody.visits
    asked = answer_parameters(visit)
    assert asked["code_challenge_method"] == "S256"
    assert asked["resource"] == other.url
    assert urlsplit(asked["redirect_uri"]).hostname == "127.0.0.1"

    registration, tokens = kept(store)[1].registration, kept(store)[1].tokens
    assert registration is not None
    assert (registration.kind, registration.issuer) == ("dynamic", other.issuer)
    assert registration.token_endpoint_auth_method == other.method
    assert asked["client_id"] == registration.client_id
    assert tokens is not None
    assert "notes" in tokens.scope
    assert tokens.refresh_token is not None


async def test_a_second_start_needs_no_person_whether_the_token_is_good_has_run_out_or_is_refused_rt_09(
    other: Other, store: FileStore, tmp_path: Path
) -> None:
    await sign_in(other, store)
    again = FileStore(tmp_path / "kept")
    async with connect(other, again, NoInteraction()) as client:
        await assert_open(client)
    first = change_tokens(again, expires_at=1.0)
    async with connect(other, again, NoInteraction()) as client:
        await assert_open(client)
    second = change_tokens(again, access_token="spoiled")
    async with connect(other, again, NoInteraction()) as client:
        await assert_open(client)
    third = kept(again)[1]
    access = {connection.tokens.access_token for connection in (first, second, third) if connection.tokens}
    refresh = {connection.tokens.refresh_token for connection in (first, second, third) if connection.tokens}
    assert (len(access), len(refresh)) == (3, 3)
    assert first.registration == third.registration


async def test_whoever_signs_out_is_out_at_the_server_too(other: Other, store: FileStore) -> None:
    await sign_in(other, store)
    copied = copy(store)
    async with connect(other, store, NoInteraction()) as client:
        assert isinstance(client.auth, DoorwardAuth)
        assert await client.auth.session.logout()
        with pytest.raises(LoginRequired):
            await client.list_tools()
    change_tokens(copied, access_token="spoiled")
    async with connect(other, copied, NoInteraction()) as client:
        with pytest.raises(LoginRequired):
            await client.list_tools()


@FORGETFUL
async def test_a_token_that_the_server_has_forgotten_is_refreshed_in_the_middle_of_a_session(
    other: Other, store: FileStore
) -> None:
    somebody = other.somebody()
    async with told(somebody.visit) as interaction, connect(other, store, interaction) as client:
        await assert_open(client)
        other.forget("access")
        await assert_open(client)
    assert len(somebody.visits) == 1


@FORGETFUL
@pytest.mark.parametrize("refresh_token", ["kept", None])
async def test_a_server_that_has_forgotten_its_clients_is_registered_at_anew(
    other: Other, store: FileStore, refresh_token: str | None
) -> None:
    await sign_in(other, store)
    other.forget("clients", "access", "refresh")
    before = change_tokens(store, refresh_token=refresh_token).registration
    somebody = await sign_in(other, store)
    after = kept(store)[1].registration
    assert before is not None
    assert after is not None
    assert answer_parameters(somebody.visits[0])["client_id"] == after.client_id != before.client_id


@pytest.mark.parametrize("start", [others.fastmcp, others.sdk])
async def test_a_server_that_needs_more_than_a_client_registered_for_is_registered_at_anew_step_05(
    store: FileStore, start: Callable[..., AbstractContextManager[Other]]
) -> None:
    with start() as before:
        await sign_in(before, store)
    with start("write", again=before) as after:
        somebody = await sign_in(after, store)
        assert set(answer_parameters(somebody.visits[-1])["scope"].split()) == {SCOPE, "write"}
        assert len(somebody.visits) == 2


@pytest.mark.parametrize("secret", ["a-secret-of-a-test-and-of-nothing-else", None], ids=["secret", "public"])
async def test_the_mcp_sdk_knows_a_client_by_what_it_was_given_and_signs_it_out_reg_03(
    sdk: Other, store: FileStore, free_port: int, secret: str | None
) -> None:
    given: dict[str, Any] = {"client_id": "given", "client_secret": secret}
    redirect_uri = AnyUrl(f"http://127.0.0.1:{free_port}/callback")
    method = "client_secret_post" if secret else "none"
    sdk.kept["clients"]["given"] = OAuthClientInformationFull(
        **given, redirect_uris=[redirect_uri], token_endpoint_auth_method=method, scope=SCOPE
    )
    somebody = await sign_in(sdk, store, port=free_port, **given)
    assert answer_parameters(somebody.visits[0])["redirect_uri"] == str(redirect_uri)
    change_tokens(store, expires_at=1.0)
    async with connect(sdk, store, NoInteraction(), **given) as client:
        await assert_open(client)
        assert isinstance(client.auth, DoorwardAuth)
        assert await client.auth.session.logout()
    assert [token for token in sdk.kept["refresh"].values() if token.client_id == "given"] == []


async def test_oidc_provider_knows_a_client_with_a_secret_by_what_it_was_given_reg_03(
    oidc_provider: Other, store: FileStore, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"client_id": "given", "client_secret": "a-secret-of-a-test-and-of-nothing-else"}
    somebody = await sign_in(oidc_provider, store, **given)
    assert answer_parameters(somebody.visits[0])["client_id"] == "given"
    change_tokens(store, expires_at=1.0)
    async with connect(oidc_provider, store, NoInteraction(), **given) as client:
        await assert_open(client)
    assert all(
        given["client_secret"].encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )


async def test_oidc_provider_knows_a_client_by_its_document(
    oidc_provider: Other, store: FileStore, authority: Authority
) -> None:
    async with serve_document(authority, ["http://127.0.0.1/callback"]) as document:
        somebody = await sign_in(oidc_provider, store, client_metadata_url=document.url)
        change_tokens(store, expires_at=1.0)
        async with connect(oidc_provider, store, NoInteraction(), client_metadata_url=document.url) as client:
            await assert_open(client)
    assert answer_parameters(somebody.visits[0])["client_id"] == document.url
    assert document.requests == ["GET /client.json HTTP/1.1"]


async def test_a_client_pushes_its_requests_where_that_is_insisted_on_and_registers_anew_where_it_was_forgotten(
    store: FileStore, log: Path, authority: Authority
) -> None:
    find_node()
    with others.oidc_provider(log, authority.trust, ONLY_PUSHED="yes") as other:
        await sign_in(other, store)
        change_tokens(store, refresh_token=None, access_token="spoiled")
        somebody = await sign_in(other, store)
        assert "request_uri=" in somebody.visits[0]
        name, connection = kept(store)
        assert connection.registration is not None
        forgotten = replace(connection.registration, client_id="forgotten")
        store.save(name, dump_connection(connection.with_registration(forgotten)))
        change_tokens(store, refresh_token=None, access_token="spoiled")
        await sign_in(other, store)
        known = kept(store)[1].registration
        assert known is not None
        assert known.client_id != "forgotten"


async def test_oidc_provider_lets_in_a_client_without_a_browser_by_a_code(
    oidc_provider: Other, store: FileStore
) -> None:
    somebody = oidc_provider.somebody()
    async with told_a_code(somebody.enter_code) as interaction, connect(oidc_provider, store, interaction) as client:
        await assert_open(client)
    change_tokens(store, expires_at=1.0)
    async with connect(oidc_provider, store, NoInteraction()) as client:
        await assert_open(client)


async def test_where_nothing_can_be_refreshed_the_person_is_asked_again_when_the_token_has_run_out(
    typescript_sdk: Other, store: FileStore
) -> None:
    await sign_in(typescript_sdk, store)
    change_tokens(store, expires_at=1.0, access_token="spoiled")
    async with connect(typescript_sdk, store, NoInteraction()) as client:
        with pytest.raises(LoginRequired):
            await client.list_tools()
    somebody = await sign_in(typescript_sdk, store)
    assert len(somebody.visits) == 1
    async with connect(typescript_sdk, store, NoInteraction()) as client:
        await assert_open(client)
        assert isinstance(client.auth, DoorwardAuth)
        assert await client.auth.session.logout() is False
        with pytest.raises(LoginRequired):
            await client.list_tools()
