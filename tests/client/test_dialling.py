"""Where a client's OAuth requests are sent: which addresses are dialled, and whose certificates are trusted.

Spec: CLI-04, CLI-05, ASM-22; T8
"""

import asyncio
import gc

import httpcore2
import pytest

from doorward.client.errors import AddressRefused, Unreachable
from doorward.client.transport import Sender
from tests.client.listening import Listener, Reply
from tests.client.sending import AS, MCP, SECRET, Pages, by_name, get, leading_to, post
from tests.registration.site import Authority


class Dials:
    """Every connection that anything tried to open, none of which was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[str] = []
        monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", self.connect)

    async def connect(self, host: str, *_: object) -> httpcore2.AsyncNetworkStream:
        self.addresses.append(host)
        raise httpcore2.ConnectError


@pytest.fixture
def dials(monkeypatch: pytest.MonkeyPatch) -> Dials:
    return Dials(monkeypatch)


PUBLIC_ADDRESS = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "0.0.0.0",
    ],
)
async def test_a_server_of_the_internet_leads_to_no_name_inside_cli_04_cli_05(dials: Dials, address: str) -> None:
    for names in (
        {"mcp.example": [PUBLIC_ADDRESS], "as.example": [address]},
        {"mcp.example": [PUBLIC_ADDRESS, address], "as.example": [address]},
        {"mcp.example": [], "as.example": [address]},
    ):
        with pytest.raises(AddressRefused, match=r"^The name as\.example leads inside a network"):
            await Sender(MCP, resolve=by_name(names)).send(get(AS))
    assert dials.addresses == []


async def test_nobody_leads_to_the_credentials_of_machines_cli_05(dials: Dials) -> None:
    names = {"mcp": ["10.0.0.1"], "as.example": ["10.0.0.2", "169.254.169.254", "fd00:ec2::254"]}
    with pytest.raises(Unreachable):
        await Sender("https://mcp/mcp", resolve=by_name(names)).send(get(AS))
    assert dials.addresses == ["10.0.0.2"]
    for chosen in (MCP, "https://mcp/mcp", "http://127.0.0.1:8000/mcp", AS):
        with pytest.raises(AddressRefused):
            await Sender(chosen, resolve=leading_to("169.254.169.254")).send(get(AS))
    assert dials.addresses == ["10.0.0.2"]


async def test_a_server_that_is_shown_to_be_inside_leads_inside_and_one_that_claims_it_does_not_cli_05(
    pages: Pages, site: Listener, authority: Authority
) -> None:
    """Whoever owns a name can have it lead to anybody's network; a certificate of that name is not there."""
    pages.by_path["/x"] = Reply()
    url = site.url("/x", "other.example")
    shown, claimed = site.url("/mcp", "app.example"), site.url("/mcp", "stranger.example")
    one = Sender(shown, trust=authority.trust, resolve=leading_to("127.0.0.1"))
    assert (await one.send(get(url))).status == 200
    for claiming in (
        Sender(claimed, trust=authority.trust, resolve=leading_to("127.0.0.1")),
        Sender(shown, resolve=leading_to("127.0.0.1")),
        Sender("https://app.example:1/mcp", trust=authority.trust, resolve=leading_to("127.0.0.1")),
        Sender(shown, trust=authority.trust, resolve=by_name({"app.example": [], "other.example": ["127.0.0.1"]})),
    ):
        with pytest.raises(AddressRefused, match="has no business in"):
            await claiming.send(get(url))
    assert site.paths() == ["/x"]


async def test_what_a_person_named_may_be_inside(dials: Dials) -> None:
    names = {"mcp.example": [PUBLIC_ADDRESS], "as.example": ["10.0.0.2"]}
    with pytest.raises(Unreachable):
        await Sender(MCP, given=("https://as.example",), resolve=by_name(names)).send(get(AS))
    with pytest.raises(Unreachable):
        await Sender("https://as.example/mcp", resolve=by_name(names)).send(get(AS))
    assert dials.addresses == ["10.0.0.2", "10.0.0.2"]


async def test_of_several_addresses_only_the_judged_ones_are_dialled_families_in_turn_cli_05(dials: Dials) -> None:
    found = ["2606:4700::1", "2606:4700::2", "2606:4700::3", "10.0.0.1", PUBLIC_ADDRESS, "8.8.8.8", "junk"]
    names = {"mcp.example": [PUBLIC_ADDRESS], "as.example": found}
    with pytest.raises(Unreachable):
        await Sender(MCP, resolve=by_name(names)).send(get(AS))
    assert dials.addresses == ["2606:4700::1", PUBLIC_ADDRESS, "2606:4700::2", "8.8.8.8", "2606:4700::3"]


async def test_localhost_is_this_machine_whatever_a_resolver_says_cli_05(dials: Dials) -> None:
    with pytest.raises(Unreachable):
        await Sender("http://localhost:8000/mcp", resolve=leading_to("6.6.6.6")).send(get("http://localhost:8000/x"))
    assert dials.addresses == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("fault", [OSError(-2, "unknown"), TimeoutError(), UnicodeError("label too long")])
async def test_a_name_that_cannot_be_resolved_is_told(dials: Dials, fault: Exception) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise fault

    with pytest.raises(Unreachable, match=r"\(the name as.example cannot be resolved\)"):
        await Sender(MCP, resolve=resolve).send(get(AS))
    with pytest.raises(Unreachable):
        await Sender(MCP, resolve=leading_to()).send(get(AS))
    assert dials.addresses == []


async def test_the_next_address_is_tried_where_one_does_not_answer(
    pages: Pages, site: Listener, authority: Authority
) -> None:
    pages.by_path["/x"] = Reply()
    one = Sender(site.url("/mcp", "app.example"), trust=authority.trust, resolve=leading_to("127.0.0.2", "127.0.0.1"))
    assert (await one.send(get(site.url("/x", "app.example")))).status == 200


async def test_a_certificate_must_be_of_the_name_and_of_somebody_trusted_asm_22(
    pages: Pages, site: Listener, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.by_path["/x"] = Reply()
    here = leading_to("127.0.0.1")
    good, foreign = site.url("/x", "app.example"), site.url("/x", "stranger.example")
    assert (await Sender(good, trust=authority.trust, resolve=here).send(get(good))).status == 200
    assert site.asked[0].headers["host"] == f"app.example:{site.port}"
    with pytest.raises(Unreachable, match=r"its certificate is not trusted: Hostname mismatch"):
        await Sender(foreign, trust=authority.trust, resolve=here).send(post(foreign))
    with pytest.raises(Unreachable, match=r"its certificate is not trusted"):
        await Sender(good, resolve=here).send(post(good))
    assert len(site.asked) == 1
    monkeypatch.setenv("SSL_CERT_FILE", authority.trust)
    assert (await Sender(good, resolve=here).send(get(good))).status == 200


async def test_a_server_without_tls_is_not_spoken_to_in_the_clear_asm_22(server: Listener, free_port: int) -> None:
    here = leading_to("127.0.0.1")
    for port in (server.port, free_port):
        url = f"https://app.example:{port}/x"
        with pytest.raises(Unreachable):
            await Sender(url, resolve=here).send(post(url))
    assert server.asked == []
    assert SECRET.encode() not in server.received


async def test_a_handshake_that_is_given_up_leaves_no_connection() -> None:
    over = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(1) == b"\x16"
        await over.wait()
        writer.close()

    quiet = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"https://app.example:{quiet.sockets[0].getsockname()[1]}/x"
    with pytest.raises(Unreachable, match="did not answer within"):
        await Sender(url, resolve=leading_to("127.0.0.1"), seconds=1.5).send(get(url))
    over.set()
    quiet.close()
    await quiet.wait_closed()
    gc.collect()  # what is left open is told by a warning, which is an error here
