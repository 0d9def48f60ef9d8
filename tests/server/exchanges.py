"""A project in which tokens are exchanged: three servers, a gateway in front of them, and its requests."""

from dataclasses import dataclass
from typing import Any

from doorward.core.models import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, Client, ExchangeMode, ExchangeRule, Resource
from doorward.manage import clients, exchange, resources
from doorward.oauth.token_exchange import ACCESS_TOKEN_TYPE
from tests.inside import RESOURCE, SCOPES, Answer, Door
from tests.server.steps import TOKEN, basic, success

SECOND = "https://second.example.com/mcp"
THIRD = "https://third.example.com/mcp"
BOTH = "tools:read tools:write"


@dataclass
class Field:
    """The servers by their URI, and what is done with them."""

    door: Door
    servers: dict[str, Resource]

    async def rule(
        self,
        client: "Machine",
        to: str = SECOND,
        *,
        source: str | None = RESOURCE,
        scope: str = BOTH,
        mode: ExchangeMode = "delegation",
    ) -> ExchangeRule:
        """Let a client exchange, and let every node see it."""
        rule = await exchange.add(
            self.door.operator,
            client.client,
            source=self.servers[source] if source else None,
            target=self.servers[to],
            scope=scope,
            mode=mode,
        )
        self.door.clock.advance(seconds=1)
        return rule

    async def machine(self, name: str = "Gateway", *grants: str, **options: Any) -> "Machine":
        """A client that an operator added, for exchanges and for itself."""
        client, secret = await clients.add(
            self.door.operator,
            self.door.project,
            (),
            name=name,
            grants=grants or (TOKEN_EXCHANGE, CLIENT_CREDENTIALS),
            **options,
        )
        return Machine(self.door, client, basic(client.client_id, secret or ""))

    async def persons_token(self, uri: str = RESOURCE, scope: str = BOTH) -> str:
        """An access token of a person whom an app of theirs signed in."""
        return str((await self.door.tokens(resource=uri, scope=scope))[1]["access_token"])


@dataclass
class Machine:
    """A program that authenticates as a client."""

    door: Door
    client: Client
    header: dict[str, str]

    @property
    def client_id(self) -> str:
        return self.client.client_id

    async def ask(self, subject_token: str, headers: dict[str, str] | None = None, /, **fields: str) -> Answer:
        """The usual exchange for the second server; an empty value leaves a parameter out."""
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN_TYPE,
            "resource": SECOND,
            **fields,
        }
        given = {name: value for name, value in form.items() if value}
        return await self.door.post_form(TOKEN, given, {**self.header, **(headers or {})})

    async def exchange(self, subject_token: str, /, **fields: str) -> str:
        """The access token that an exchange gives."""
        return str(success(await self.ask(subject_token, **fields))["access_token"])

    async def own_token(self, uri: str = RESOURCE) -> str:
        """A token for itself."""
        form = {"grant_type": CLIENT_CREDENTIALS, "resource": uri}
        return str(success(await self.door.post_form(TOKEN, form, self.header))["access_token"])


async def lay_out(door: Door) -> Field:
    servers = {RESOURCE: door.resource}
    for uri in (SECOND, THIRD):
        servers[uri] = await resources.add(door.operator, door.project, uri, name=uri, scopes=SCOPES)
    door.clock.advance(seconds=1)
    return Field(door, servers)
