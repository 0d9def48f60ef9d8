"""One client at one server: what it holds, and how it gets what it needs.

A session is safe for the tasks and threads of a program, and through its store for several processes: who renews
is alone, and reads first whether another one was faster.

Spec: PRM-18, PRM-19, CRED-01 … CRED-06, CLI-01, CLI-07, CLI-09, STEP-05 … STEP-07, RT-09
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final

from doorward.oauth.challenges import Challenge
from doorward.oauth.errors import INVALID_CLIENT, INVALID_SCOPE, TEMPORARILY_UNAVAILABLE, OAuthError
from doorward.oauth.jwt import SigningKey
from doorward.oauth.resources import match_key
from doorward.oauth.scopes import Scopes, missing, parse_scope, union

from .addresses import check_server_url
from .agents import AgentGrant
from .discovery import Discovery, check_endpoints, discover, find_server_metadata
from .documents import ServerMetadata, parse_server_metadata
from .driving import Driver
from .effects import Flow
from .errors import (
    AccessDenied,
    AuthorizationFailed,
    ClientError,
    DiscoveryFailed,
    IssuerChanged,
    LoginRequired,
    StepUpFailed,
    TokenRequestFailed,
)
from .finishing import finish
from .flow import LoginWish, log_in
from .interaction import Interaction
from .keeping import Keeping
from .proofs import ProofKey
from .records import Connection, Registration, ServerRecord, Tokens
from .registration import ClientIdentity, check_issuer, unregister
from .storage import Store
from .tokens import Prover, refresh, revoke
from .transport import Sender

REFRESH_EARLY_SECONDS = 60
METADATA_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a client gets in. `scopes` None leaves them to the server."""

    scopes: Sequence[str] | None = None
    agent: AgentGrant | None = None
    signing_key: SigningKey | None = field(default=None, repr=False)
    dpop: bool = False
    clock: Callable[[], float] = time.time


class Session:
    """Everything of one client at `server_url`. Nothing is contacted before a method is called."""

    def __init__(
        self,
        server_url: str,
        identity: ClientIdentity,
        *,
        store: Store,
        interaction: Interaction,
        sender: Sender,
        options: SessionOptions | None = None,
    ) -> None:
        check_server_url(server_url)
        self.server_url: Final = server_url
        self.identity: Final = identity
        self.sender: Final = sender
        self._options = options or SessionOptions()
        self._keeping = Keeping(store, match_key(server_url), identity.key)
        self._interaction = interaction
        self._driver = Driver(
            sender, interaction, load=self._keeping.load_registration, save=self._keeping.save_registration
        )
        self._proof_key: ProofKey | None = None
        self._is_proven = False
        self.logins = 0
        """How often a login came to its end, for whoever must not loop."""
        self.refreshes = 0
        """How often tokens were refreshed here, rather than by another program."""
        self._refusals: tuple[AccessDenied | LoginRequired, ...] = ()
        """What the last login ended with, where it was the person who did not want it, or nobody was there."""

    @property
    def held(self) -> Tokens | None:
        """The tokens in memory, good or not."""
        return self._keeping.connection.tokens

    @property
    def is_signed_in(self) -> bool:
        """Whether the tokens in memory are good, as far as can be known here."""
        return self.held is not None and not self._ends_within(self.held, 0)

    @property
    def connection(self) -> Connection:
        """What is known of this client, in memory."""
        return self._keeping.connection

    @property
    def server(self) -> ServerRecord | None:
        """Where the tokens came from."""
        return self._keeping.server

    @property
    def proof_key(self) -> ProofKey | None:
        """The key that the tokens are bound to, if they are. The same object as long as the key is: it knows nonces."""
        kept = self.connection.dpop_key
        if kept is None:
            return None
        if self._proof_key is None or self._proof_key.dump() != kept:
            self._proof_key = ProofKey.load(kept)
        return self._proof_key

    def now(self) -> float:
        """Epoch seconds, by the clock of this session."""
        return self._options.clock()

    async def load(self) -> None:
        """Read what is kept, once."""
        if not self._keeping.is_read:
            await self._keeping.read(first=True)

    async def token(self) -> Tokens | None:
        """What is held, renewed when its end is near; None when nothing is held that could still be good.

        Only what is over raises when it cannot be renewed: a token that is good for some seconds more is used. One that
        is over and has nothing to renew it is not sent: there are servers that call an unknown token their own fault.

        Spec: RT-09
        """
        await self.load()
        tokens = self.held
        if tokens is None or not self._ends_within(tokens, _early(tokens)):
            return tokens
        try:
            return await self._renew_early(tokens)
        except ClientError:
            if self._ends_within(tokens, 0):
                raise
            return tokens

    async def renew(self, refused: Tokens | None, challenge: Challenge | None = None) -> Tokens:
        """Other tokens than the `refused` ones: another process's, refreshed ones, or those of a new login.

        A challenge says anew who protects the server: nothing of one issuer is used at another.

        Spec: CLI-07, PRM-18, CRED-03
        """
        refusals = self._refusals
        async with self._keeping.alone():
            held = self.held
            if held is not None and _is_other(held, refused) and not self._ends_within(held, 0):
                return held
            discovery: Discovery | None = None
            if challenge is not None and challenge.resource_metadata:
                discovery = await self._discover(challenge)
                await self._move_to(discovery)
            if refreshed := await self._try_refresh():
                return refreshed
            self._check_willing(refusals)
            return await self._log_in(discovery or await self._discover(challenge), _scopes_of(challenge))

    async def step_up(self, refused: Tokens, challenge: Challenge) -> Tokens:
        """Tokens with the scopes of `challenge` beside all that were asked for before; where it names none, with those
        that the server's metadata lists.

        Raises `StepUpFailed` when they were asked for already and not given.

        Spec: STEP-05 … STEP-07
        """
        refusals = self._refusals
        async with self._keeping.alone():
            held = self.held or refused
            needed, discovery = _scopes_of(challenge), None
            if not needed:
                discovery = await self._discover(challenge)
                needed = (discovery.metadata and discovery.metadata.scopes_supported) or ()
            if _is_other(held, refused) and not missing(needed, held.scope):
                return held
            if not missing(needed, held.requested):
                lacking = " ".join(missing(needed, held.scope) or needed) or "it does not say which"
                raise StepUpFailed(f"{self.server_url} needs scopes that were asked for and not granted: {lacking}.")
            self._check_willing(refusals)
            return await self._log_in(discovery or await self._discover(challenge), needed, steps_up=True)

    async def login(self, *, challenge: Challenge | None = None, fresh: bool = False) -> Tokens:
        """A new login, whatever is held; with `fresh` as a client that was never here."""
        async with self._keeping.alone():
            discovery = await self._discover(challenge)
            return await self._log_in(discovery, _scopes_of(challenge), fresh=fresh)

    async def logout(self) -> bool:
        """Give the tokens back, unregister what was registered here, and forget both; whether the server agreed.

        The same at every issuer that the server had before. Which issuer given credentials are for stays written down
        (T7).

        Spec: RFC 7009; RFC 7592 §2.3
        """
        async with self._keeping.alone():
            last = self.server
            if last is None:
                return True
            agreed = await self._leave(last)
            for issuer in await self._keeping.find_former_issuers():
                former = await self._recall(issuer, last.resource)
                await self._keeping.move_to(former)
                agreed = await self._leave(former) and agreed
                await self._keeping.move_to(last)
            return agreed

    async def _leave(self, record: ServerRecord) -> bool:
        try:
            return await self._give_back(record, self.connection)
        except ClientError:
            return False
        finally:
            await finish(lambda: self._keeping.keep(Connection()))

    async def _recall(self, issuer: str, resource: str) -> ServerRecord:
        """A former issuer, as it is now; without endpoints where it cannot be read."""
        document: dict[str, Any] = {"issuer": issuer}
        with suppress(ClientError):
            document = dict((await self._driver.run(find_server_metadata(issuer, self.server_url))).document)
        return ServerRecord(issuer, resource, document, self._options.clock())

    async def _give_back(self, record: ServerRecord, connection: Connection) -> bool:
        registration, agreed = self._complete(connection.registration), True
        if registration is None:
            return agreed
        if connection.tokens is not None:
            flow = revoke(self._parse(record), registration, connection.tokens, self._prover())
            agreed = await self._driver.run(flow)
        if registration.management_uri is not None:
            agreed = await self._driver.run(unregister(registration)) and agreed
        return agreed

    async def _renew_early(self, tokens: Tokens) -> Tokens | None:
        if tokens.refresh_token is None and self._options.agent is None:
            return None if self._ends_within(tokens, 0) else tokens
        # A lock may be held for as long as a person takes; a token that is good does not wait for that.
        async with self._keeping.alone(waits=self._ends_within(tokens, 0)):
            held = self.held
            if held is None or _is_other(held, tokens):
                return held
            if renewed := await self._try_refresh():
                return renewed
            if self._options.agent is not None:
                return await self._log_in(await self._discover(None), ())
            return None if self._ends_within(held, 0) else self.held

    async def _try_refresh(self) -> Tokens | None:
        """Refreshed tokens, or None when only a login can help; what the grant is not to blame for is raised.

        A server that is down or busy never costs the grant. A client that it forgot is registered anew by the login.

        Spec: RT-09; complaints 3 and 40
        """
        tokens, registration, record = self.held, self._complete(self.connection.registration), self.server
        if tokens is None or tokens.refresh_token is None or registration is None or record is None:
            return None
        server = await self._current_metadata(record)
        flow = refresh(server, registration, tokens, record.resource, self._prover())
        try:
            return await finish(lambda: self._refresh(flow))
        except TokenRequestFailed as error:
            if error.status not in {400, 401} or error.code == TEMPORARILY_UNAVAILABLE:
                raise
            if not error.code:
                return None  # no answer of OAuth, perhaps somebody's on the way: the token may be good another time
            kept = self.connection.with_tokens(replace(tokens, refresh_token=None))
            if error.code == INVALID_CLIENT:
                if registration.kind != "dynamic":
                    raise
                kept = kept.with_registration(None)
            await self._keeping.keep(kept)
            return None

    async def _refresh(self, flow: Flow[Tokens]) -> Tokens:
        """What a refresh brings, kept."""
        renewed = await self._driver.run(flow)
        await self._keeping.keep(self.connection.with_tokens(renewed))
        self._is_proven = True
        self.refreshes += 1
        return renewed

    async def _log_in(
        self, discovery: Discovery, challenged: Scopes, *, fresh: bool = False, steps_up: bool = False
    ) -> Tokens:
        """New tokens from the issuer of `discovery`, kept. A registration that it forgot is made anew, once, as is one
        that may not ask for what is needed by now.
        """
        await self._move_to(discovery)
        if fresh:
            await self._keeping.keep(Connection())
        await self._bind(discovery.server)
        former = self.connection.registration
        try:
            registration, tokens = await self._ask(discovery, challenged, steps_up=steps_up)
        except (TokenRequestFailed, AuthorizationFailed) as error:
            known = self.connection.registration
            if known is None or known.kind != "dynamic" or self._options.agent:
                raise
            if error.code != INVALID_CLIENT and (error.code != INVALID_SCOPE or known != former):
                raise
            await self._keeping.keep(self.connection.with_registration(None))
            registration, tokens = await self._ask(discovery, challenged, steps_up=steps_up)
        gained = replace(self.connection, registration=registration, tokens=tokens)
        await finish(lambda: self._keeping.keep(gained))
        self._is_proven = True
        self.logins += 1
        return tokens

    async def _ask(self, discovery: Discovery, challenged: Scopes, *, steps_up: bool) -> tuple[Registration, Tokens]:
        """What a person, or an agent's grant, gives."""
        try:
            return await self._driver.run(self._build_login(discovery, challenged, steps_up=steps_up))
        except (AccessDenied, LoginRequired) as error:
            self._refusals = (error,)
            raise

    def _check_willing(self, former: tuple[AccessDenied | LoginRequired, ...]) -> None:
        """Raise what another login just ended with that was waited for: nobody is asked once for every request."""
        if self._refusals is not former:
            raise copy(self._refusals[0])

    def _build_login(
        self, discovery: Discovery, challenged: Scopes, *, steps_up: bool
    ) -> Flow[tuple[Registration, Tokens]]:
        """A login for the program's own scopes; where one was refused for want of more, for those as well."""
        held, wanted = self.held, self._options.scopes
        wish = LoginWish(
            identity=self.identity,
            wanted=None if wanted is None else union(wanted, challenged if steps_up else ()),
            challenged=challenged,
            held=held.requested if held else (),
            agent=self._options.agent,
            uses_device_grant=self._interaction.uses_device_grant,
            trusts_registration=self._is_proven,
        )
        return log_in(discovery, wish, self._prover())

    async def _move_to(self, discovery: Discovery) -> None:
        """Write down whose client this is from now on, before anything secret goes there.

        Given credentials, and what vouches for an agent, are for the first issuer that they were used at, unless the
        program says for which: a server that changes its mind gets nothing.

        Spec: CRED-02 … CRED-04, T7
        """
        former, server = self.server, discovery.server
        check_issuer(self.identity, server)
        given = self.identity.client_id is not None or self._options.agent is not None
        if given and self.identity.issuer is None and former is not None and former.issuer != server.issuer:
            raise IssuerChanged(
                f"The credentials of this client were used at {former.issuer}, but {self.server_url} now names "
                f"{server.issuer}. They were not sent there. If the change is right, give the new one as issuer."
            )
        document = dict(server.document)
        await self._keeping.move_to(ServerRecord(server.issuer, discovery.resource, document, self._options.clock()))

    async def _bind(self, server: ServerMetadata) -> None:
        """Have a key to bind tokens to, where the program wants that. Spec: DPOP-11"""
        if self._options.dpop and self.connection.dpop_key is None:
            if not server.dpop_signing_alg_values_supported:
                raise DiscoveryFailed(
                    f"{server.issuer} does not say that it supports DPoP, which this client insists on."
                )
            key = ProofKey.generate(server.dpop_signing_alg_values_supported)
            await self._keeping.keep(replace(self.connection, dpop_key=key.dump()))

    async def _discover(self, challenge: Challenge | None) -> Discovery:
        known = self.server.issuer if self.server else None
        return await self._driver.run(discover(self.server_url, challenge, known_issuer=known))

    async def _current_metadata(self, record: ServerRecord) -> ServerMetadata:
        """The issuer's metadata: as it was read today, else read anew, else as it was."""
        if abs(self._options.clock() - record.read_at) < METADATA_SECONDS:  # a clock may have been wrong, or be
            return self._parse(record)
        try:
            server = await self._driver.run(find_server_metadata(record.issuer, self.server_url))
        except ClientError:
            return self._parse(record)
        document = dict(server.document)
        await self._keeping.move_to(replace(record, server_metadata=document, read_at=self._options.clock()))
        return server

    def _parse(self, record: ServerRecord) -> ServerMetadata:
        server = parse_server_metadata(record.server_metadata)
        if server is None or server.issuer != record.issuer:
            raise DiscoveryFailed(f"What was kept of {record.issuer} cannot be used. Sign in anew.")
        return check_endpoints(server, self.server_url)

    def _prover(self) -> Prover:
        return Prover(self._options.clock, self._options.signing_key, self.proof_key, self._options.dpop)

    def _complete(self, registration: Registration | None) -> Registration | None:
        """A registration with the secret that the program brought along, which is not kept."""
        if registration is not None and registration.kind == "preregistered":
            return replace(registration, client_secret=self.identity.client_secret)
        return registration

    def _ends_within(self, tokens: Tokens, seconds: float) -> bool:
        return tokens.expires_at is not None and tokens.expires_at - self._options.clock() <= seconds


def _early(tokens: Tokens) -> float:
    """How long before its end a token is renewed; a short life is not spent on renewing."""
    life = REFRESH_EARLY_SECONDS if tokens.expires_at is None else tokens.expires_at - tokens.issued_at
    return min(REFRESH_EARLY_SECONDS, life / 4)


def _is_other(held: Tokens, refused: Tokens | None) -> bool:
    return refused is None or held.access_token != refused.access_token


def _scopes_of(challenge: Challenge | None) -> Scopes:
    try:
        return parse_scope(challenge.scope) if challenge else ()
    except OAuthError:
        return ()
