"""`DoorwardAuth`: gives any program that speaks HTTP with httpx2 the way into a protected server.

Spec: TRN-03, CLI-01, CLI-02, CLI-07, STEP-05, STEP-07, DPOP-11
"""

from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass

import httpx2

from doorward.oauth.challenges import Challenge, find_challenge
from doorward.oauth.errors import INSUFFICIENT_SCOPE
from doorward.oauth.jwt import SigningKey

from . import portal
from .addresses import same_origin
from .agents import AgentGrant
from .browser import BrowserInteraction
from .errors import AddressRefused, StepUpFailed
from .interaction import Interaction
from .proofs import NONCE_HEADER, challenges_for_nonce
from .records import Tokens
from .registration import ClientIdentity
from .session import Session, SessionOptions
from .storage import Store
from .stores import DefaultStore
from .transport import Sender

MAX_STEP_UPS = 2
MAX_RENEWALS = 3
"""Another program's tokens, refreshed ones, and those of a login."""


class DoorwardAuth(httpx2.Auth):
    """Lets the requests of an `httpx2.Client` or `AsyncClient` into the MCP server at `server_url`.

    On the first 401 it finds out who protects the server, registers, has the person sign in, and sends the request
    again; later it refreshes. Tokens go to the origin of `server_url` alone. One object serves several clients, tasks
    and threads.

    `client_id` and `client_secret` are credentials of a client that is registered already, at `issuer`; without
    `issuer` they belong to the first one they are used at. `client_metadata_url` is the https address of the client's
    own document. `scopes` are all that is asked for at first; without them the server says. `account` keeps several
    people's sign-ins apart. `store` is where tokens are kept (keyring, file), `interaction` how the person is asked
    (browser), `agent` a grant that needs none. `signing_key` authenticates the client by `private_key_jwt`, `dpop`
    binds its tokens to a key. `transport` carries the OAuth requests, for tests and proxies.

    Raises `ValueError` and `AddressRefused` for options that cannot be, and in requests every `ClientError`.
    """

    def __init__(  # noqa: PLR0913  # one for each thing that differs between programs, all named
        self,
        server_url: str,
        *,
        client_name: str = "Doorward client",
        client_id: str | None = None,
        client_secret: str | None = None,
        issuer: str | None = None,
        client_metadata_url: str | None = None,
        redirect_port: int | None = None,
        scopes: Sequence[str] | None = None,
        account: str = "",
        store: Store | None = None,
        interaction: Interaction | None = None,
        agent: AgentGrant | None = None,
        signing_key: SigningKey | None = None,
        dpop: bool = False,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        identity = ClientIdentity(
            client_name=client_name,
            client_id=client_id,
            client_secret=client_secret,
            issuer=issuer,
            client_metadata_url=client_metadata_url,
            account=account,
            has_key=signing_key is not None,
        )
        self.extension = agent.extension if agent else None
        """The MCP extension that a client with this way in declares, if it is one. Spec: JAG-19, CC-05"""
        given = (*([issuer] if issuer else []), *(agent.addresses if agent else ()))
        self.session = Session(
            server_url,
            identity,
            store=store or DefaultStore(),
            interaction=interaction or BrowserInteraction(port=redirect_port),
            sender=Sender(server_url, given=given, transport=transport),
            options=SessionOptions(scopes=scopes, agent=agent, signing_key=signing_key, dpop=dpop),
        )

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See `httpx2.Auth`."""
        conversation = _Conversation(self.session, request)
        await request.aread()  # a body that comes in pieces could not be sent again
        tokens = await self.session.token()
        while True:
            answer = _Refusal.of((yield conversation.build(tokens)), tokens)
            if not conversation.may_go_on(tokens, answer):
                return
            tokens = await conversation.resolve(tokens, answer)

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        """See `httpx2.Auth`: the same, with everything that waits on the thread of `portal`."""
        conversation = _Conversation(self.session, request)
        request.read()
        tokens = portal.run(self.session.token)
        while True:
            answer = _Refusal.of((yield conversation.build(tokens)), tokens)
            if not conversation.may_go_on(tokens, answer):
                return
            tokens = portal.run(conversation.resolve, tokens, answer)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What an answer says about the tokens it was asked with."""

    status: int
    challenges: list[str]
    nonces: list[str]
    scheme: str
    """What the request was authorized by, in lower case."""
    url: str
    """Who answered: a program's own client may have followed a redirect."""

    @classmethod
    def of(cls, response: httpx2.Response, tokens: Tokens | None) -> "_Refusal":
        headers = response.headers
        return cls(
            response.status_code,
            headers.get_list("www-authenticate"),
            headers.get_list(NONCE_HEADER),
            tokens.token_type.lower() if tokens else "bearer",
            str(response.url),
        )

    @property
    def challenge(self) -> Challenge | None:
        """The one that answers: of the scheme that was used, else of the other."""
        used = find_challenge(self.challenges, self.scheme)
        return used or find_challenge(self.challenges, "bearer", "dpop")


class _Conversation:
    """One request, and what came of the tokens it was sent with. Bounded: a server that always refuses is believed."""

    def __init__(self, session: Session, request: httpx2.Request) -> None:
        if not same_origin(str(request.url), session.server_url):
            raise AddressRefused(f"The tokens of {session.server_url} are for its origin alone. Nothing was sent.")
        self._session = session
        self._request = request
        self._renewals = 0
        self._took_over = False
        """Whether the tokens are those of another program, which nobody here has refreshed yet."""
        self._step_ups = 0
        self._lacks_nonce = False
        self._tried_nonce = False
        self._logins = session.logins

    def build(self, tokens: Tokens | None) -> httpx2.Request:
        """The request with `tokens`, and with a proof of its own where they are bound. Spec: TRN-03, CLI-02, DPOP-11"""
        request, key = self._request, self._session.proof_key
        request.headers.pop("authorization", None)
        request.headers.pop("dpop", None)
        if tokens is None:
            return request
        request.headers["authorization"] = f"{tokens.token_type} {tokens.access_token}"
        if tokens.token_type == "DPoP" and key is not None:
            now = self._session.now()
            request.headers["dpop"] = key.build(
                request.method, str(request.url), now=now, access_token=tokens.access_token
            )
        return request

    def may_go_on(self, tokens: Tokens | None, answer: _Refusal) -> bool:
        """Whether other tokens could help, and were not tried yet. Spec: CLI-07, STEP-07"""
        if not same_origin(answer.url, self._session.server_url):
            return False  # somebody else's challenge, after a redirect, says nothing about this server (T7)
        self._lacks_nonce = self._learn_nonce(tokens, answer)
        if self._lacks_nonce:
            return True
        if answer.status == 401 or (answer.status == 403 and tokens is None and answer.challenge is not None):
            # Refreshed tokens may be refused as well; those of a new login are the last there are.
            return self._renewals == 0 or (self._renewals < MAX_RENEWALS and self._session.logins == self._logins)
        return answer.status == 403 and tokens is not None and self._lacks_scope(answer)

    async def resolve(self, tokens: Tokens | None, answer: _Refusal) -> Tokens:
        """What to send the request with again. Raises every `ClientError`."""
        if self._lacks_nonce and tokens is not None:
            return tokens
        challenge = answer.challenge
        if answer.status == 403 and tokens is not None and challenge is not None:
            self._step_ups += 1
            if self._step_ups > MAX_STEP_UPS:
                raise StepUpFailed(
                    f"{self._session.server_url} goes on asking for more scopes; it was not asked again."
                )
            return await self._session.step_up(tokens, challenge)
        self._renewals += 1
        if self._renewals == 1 or (self._renewals == 2 and self._took_over):
            refreshes = self._session.refreshes
            found = await self._session.renew(tokens, challenge)
            self._took_over = refreshes == self._session.refreshes
            return found
        return await self._session.login(challenge=challenge)

    def _lacks_scope(self, answer: _Refusal) -> bool:
        challenge = answer.challenge
        if challenge is None or challenge.error != INSUFFICIENT_SCOPE:
            return False
        # Servers of the MCP SDK for Python leave it to their metadata which scopes they need.
        return bool(challenge.scope or challenge.resource_metadata)

    def _learn_nonce(self, tokens: Tokens | None, answer: _Refusal) -> bool:
        """Whether the request was refused for a nonce alone, which is known now. Spec: RFC 9449 §9"""
        key = self._session.proof_key
        if key is None or tokens is None or tokens.token_type != "DPoP":
            return False
        is_new = key.learn(str(self._request.url), answer.nonces, at_resource=True)
        if not is_new or self._tried_nonce or not challenges_for_nonce(answer.status, answer.challenges):
            return False
        self._tried_nonce = True
        return True
