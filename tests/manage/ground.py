"""One of each thing that operators act on, and a look at everything that is stored."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pyotp
from sqlalchemy import select

from doorward.core.admin_access import AdminToken
from doorward.core.models import Client, ClientStatus, ExchangeRule, Grant, Project, ProjectKey, Resource, Session, User
from doorward.core.secrets import SESSION, hash_secret, new_id, new_secret
from doorward.core.trust import TrustedIssuer, TrustPolicy
from doorward.core.upstream import UpstreamProvider
from doorward.core.webauthn import NewPasskey
from doorward.manage import (
    admin_tokens,
    clients,
    exchange,
    factors,
    keys,
    projects,
    providers,
    registrations,
    resources,
    revocations,
    sealing,
    trust,
    users,
)
from doorward.manage.operator import Operator
from doorward.oauth.ids import ClientId, GrantId
from doorward.oauth.jwt import generate_signing_key
from doorward.storage.clients import add_client
from doorward.storage.database import Row, Transaction
from doorward.storage.grants import add_grant
from doorward.storage.master_keys import KeyFile
from doorward.storage.registrations import bury_client
from doorward.storage.schema import metadata
from doorward.storage.statements import Statement
from doorward.storage.users import start_session
from tests.inside import LOOPBACK, Door
from tests.running import ADMIN_EMAIL

ISSUER = "https://vendor.example.com"
IDP = "https://idp.example.com"
SUBJECT = "U1"
PASSWORD = "another harbour, at noon"


@dataclass(frozen=True)
class Ground:
    """What there is to act on."""

    operator: Operator
    project: Project
    resource: Resource
    owner: User
    client: Client
    waiting: Client
    suspended: Client
    key: ProjectKey
    rule: ExchangeRule
    grant: Grant
    session: Session
    jwks: str
    trust: TrustedIssuer
    ended: Grant
    """A connection that its person ended and no assertion brings back."""
    fresh: Project
    """A project without people, and the token that makes its first administrator."""
    setup_token: str
    key_file: KeyFile

    def another_key(self) -> KeyFile:
        """The key file, with a fresh key before the one that everything is encrypted under."""
        self.key_file.replace((bytes(range(32)), *self.key_file.read()))
        return self.key_file

    stopped: Resource
    """A server that an operator has stopped, and a project."""
    halted: Project
    admin_token: AdminToken
    token: str
    """An access token of the owner's, as a JWT."""
    keyed: User
    """Has a password, a passkey and an authenticator app."""
    passkey: str
    provider: UpstreamProvider
    half: User
    """Was told the secret for an authenticator app, and has not shown a code yet."""
    secret: str


async def lay_ground(door: Door) -> Ground:
    operator, project = door.operator, door.project
    owner = await users.get(operator, project, ADMIN_EMAIL)
    client, _ = await clients.add(operator, project, (LOOPBACK,), name="Known", confidential=True)
    waiting, suspended = make_registered(client, "pending"), make_registered(client, "suspended")
    key, _ = await keys.create(operator, project, ("register",), name="backend")
    jwks = json.dumps({"keys": [generate_signing_key().public_jwk()]})
    await registrations.trust_issuer(operator, project, ISSUER, jwks)
    trusted = await trust.add(operator, project, IDP, "id-jag", policy=TrustPolicy(), jwks=json.loads(jwks))
    await trust.link(operator, owner, IDP, SUBJECT)
    await sealing.rotate(operator, project)
    rule = await exchange.add(operator, client, source=door.resource, target=door.resource, scope="tools:read")
    now = operator.clock()
    grant = make_grant(owner, client, door.resource, now)
    ended = make_ended(grant, trusted)
    session = Session(project.project_id, hash_secret("kept"), owner.user_id, now, now, now + 1000, "Firefox")

    async def add(tx: Transaction) -> None:
        for made in (waiting, suspended):
            await add_client(tx, made)
        await bury_client(tx, project.project_id, ClientId("mcl_gone"), "removed", now)
        for given in (grant, ended):
            await add_grant(tx, given)
        for made_session in (session, replace(session, session_hash=hash_secret(new_secret(SESSION)))):
            await start_session(tx, made_session)

    await operator.database.write(add)
    fresh = await projects.create_project(operator, "fresh", "Fresh")
    stopped, halted = await add_stopped(operator, project)
    keyed, passkey = await add_keyed(operator, project)
    half = await users.add(operator, project, "half@example.com", PASSWORD)
    return Ground(
        operator=operator,
        project=project,
        resource=door.resource,
        owner=owner,
        client=client,
        waiting=waiting,
        suspended=suspended,
        key=key,
        rule=rule,
        grant=grant,
        session=session,
        jwks=jwks,
        trust=trusted,
        ended=ended,
        fresh=fresh,
        setup_token=await users.create_setup_link(operator, fresh) or "",
        key_file=KeyFile(door.context.settings.data),
        stopped=stopped,
        halted=halted,
        admin_token=(await admin_tokens.create(operator, project, "backend", "admin"))[0],
        provider=await add_provider(operator, project, "work"),
        token=(await door.tokens())[1]["access_token"],
        keyed=keyed,
        passkey=passkey,
        half=half,
        secret=await factors.propose_authenticator(operator, half),
    )


def make_registered(client: Client, status: ClientStatus) -> Client:
    """Another client, which registered itself."""
    return replace(client, client_id=ClientId(new_id("mcl")), kind="registered", status=status)


async def add_stopped(operator: Operator, project: Project) -> tuple[Resource, Project]:
    """A server and a project that an operator has stopped."""
    stopped = await resources.add(operator, project, "https://stopped.example.com/mcp")
    await revocations.stop_server(operator, stopped)
    halted = await projects.create_project(operator, "halted", "Halted")
    await revocations.stop_everything(operator, halted)
    return stopped, halted


def make_ended(grant: Grant, trusted: TrustedIssuer) -> Grant:
    """A connection that an assertion opened, and that ended at once."""
    return replace(
        grant,
        grant_id=GrantId(new_id("grt")),
        kind="assertion",
        granted_by=trusted.trust_id,
        revoked_at=grant.created_at,
    )


async def add_provider(operator: Operator, project: Project, slug: str) -> UpstreamProvider:
    """An identity provider that people sign in by."""
    return await providers.add(
        operator,
        project,
        slug,
        kind="oidc",
        issuer=f"https://{slug}.example.com",
        client_id="us",
        secret="a secret of theirs",
    )


async def add_keyed(operator: Operator, project: Project) -> tuple[User, str]:
    """A person with every way to sign in, and their passkey."""
    keyed = await users.add(operator, project, "keyed@example.com", PASSWORD)
    passkey = await factors.add_own_passkey(operator, keyed, make_passkey(b"first"), "Telephone")
    secret = await factors.propose_authenticator(operator, keyed)
    await factors.confirm_authenticator(operator, keyed, code_of(operator, secret))
    return keyed, passkey.passkey_id


def make_passkey(name: bytes) -> NewPasskey:
    """What a browser answers with when it has made one."""
    return NewPasskey(
        credential_id=name,
        credential=b"public key",
        sign_count=0,
        is_backup_eligible=True,
        is_backed_up=False,
        challenge=name,
    )


def code_of(operator: Operator, secret: str) -> str:
    """What an authenticator app shows now."""
    return pyotp.TOTP(secret).at(operator.clock() // 1000)


def make_grant(owner: User, client: Client, resource: Resource, now: int) -> Grant:
    """A connection that was used."""
    return Grant(
        owner.project_id,
        GrantId(new_id("grt")),
        owner.user_id,
        client.client_id,
        resource.resource_id,
        ("tools:read",),
        LOOPBACK,
        now,
        last_used_at=now,
    )


def _unlisted(expression: Any) -> Statement:
    statement = Statement(expression)
    Statement.registry.remove(statement)
    return statement


_ROWS = {name: _unlisted(select(table).order_by(*table.primary_key.columns)) for name, table in metadata.tables.items()}


async def dump(operator: Operator) -> dict[str, list[Row]]:
    """Every row of every table."""

    async def read_all(tx: Transaction) -> dict[str, list[Row]]:
        return {name: await tx.all(statement) for name, statement in _ROWS.items()}

    return await operator.database.read(read_all)
