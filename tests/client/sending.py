"""What the tests of sending share: requests, and resolvers that lead where a test wants."""

from doorward.client.effects import Send
from doorward.client.transport import Sender
from doorward.fetch import Resolve
from tests.client.listening import Asked, Listener, Reply

SECRET = "hush-hush-hush"
WHAT = "the token endpoint"
MCP, AS = "https://mcp.example/mcp", "https://as.example/token"


class Pages:
    """What a listener answers by path."""

    def __init__(self) -> None:
        self.by_path: dict[str, Reply] = {}

    def __call__(self, asked: Asked) -> Reply:
        return self.by_path.get(asked.path, Reply(b"nothing here", 404))


def leading_to(*addresses: str) -> Resolve:
    """A resolver for which every name has these addresses."""

    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return list(addresses)

    return resolve


def by_name(names: dict[str, list[str]]) -> Resolve:
    async def resolve(host: str, port: int) -> list[str]:
        del port
        return names[host]

    return resolve


def sender(listener: Listener, *, seconds: float = 20) -> Sender:
    return Sender(listener.url("/mcp"), seconds=seconds)


def get(url: str, **headers: str) -> Send:
    return Send("GET", url, WHAT, headers)


def post(url: str) -> Send:
    return Send(
        "POST", url, WHAT, {"content-type": "application/x-www-form-urlencoded"}, f"refresh_token={SECRET}".encode()
    )
