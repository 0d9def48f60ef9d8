"""Rows to store: every builder makes the same ids for every project, so that two projects can be mistaken."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, select

from doorward.core.admin_access import AdminToken
from doorward.core.models import (
    AuthorizationRequest,
    Client,
    Code,
    DeviceCode,
    ExchangeRule,
    Grant,
    Interaction,
    Project,
    ProjectKey,
    ProjectSettings,
    PushedRequest,
    RefreshFamily,
    Resource,
    Scope,
    Session,
    Tool,
    User,
)
from doorward.core.secrets import hash_secret
from doorward.core.trust import TrustedIssuer, TrustPolicy
from doorward.core.upstream import SignUp, UpstreamProvider, UpstreamSignIn
from doorward.oauth.ids import ClientId, FamilyId, GrantId, KeyId, ProjectId, ResourceId, TokenHash, UserId
from doorward.oauth.metadata import parse_client_metadata
from doorward.storage.clients import add_client
from doorward.storage.database import Database, Row, Transaction
from doorward.storage.grants import add_grant
from doorward.storage.projects import add_project
from doorward.storage.registrations import InitialAccessToken
from doorward.storage.resources import add_resource
from doorward.storage.schema import metadata
from doorward.storage.signing_keys import StoredSigningKey
from doorward.storage.statements import Statement
from doorward.storage.users import add_user

NOW = 1_800_000_000_000
MINUTE = 60_000
DAY = 86_400_000
CLIENT = ClientId("mcl_one")
USER = UserId("usr_one")
RESOURCE = ResourceId("rsc_one")
GRANT = GrantId("grt_one")
FAMILY = FamilyId("family-one")
KEY = KeyId("key_one")
CODE_HASH = hash_secret("code one")
SESSION_HASH = hash_secret("session one")
FLOW_HASH = hash_secret("flow one")
PUSHED_HASH = hash_secret("pushed one")
BROWSER_HASH = hash_secret("browser one")
SETUP_HASH = hash_secret("setup one")
KEY_HASH = hash_secret("key one")
ADMIN_TOKEN = "adt_one"
ADMIN_HASH = hash_secret("admin token one")
ASKED_HASH = hash_secret("idempotency key")
UNANSWERED_HASH = hash_secret("another idempotency key")
INITIAL_HASH = hash_secret("initial one")
EXCHANGE_RULE = "exr_one"
PROVIDER = "acme"
STATE_HASH = hash_secret("state one")
DEVICE_HASH = hash_secret("device one")
USER_CODE_HASH = hash_secret("user code one")
SOFTWARE_ISSUER = "https://software.example.com"
TRUST = "tru_one"
IDP = "https://idp.example.com"
URI = "https://api.example.com/mcp"


@dataclass(frozen=True)
class Tenant:
    """A project with one of each thing that others hang off."""

    project: Project
    user: User
    client: Client
    resource: Resource
    grant: Grant

    @property
    def project_id(self) -> ProjectId:
        return self.project.project_id


def make_project(slug: str = "alpha") -> Project:
    return Project(ProjectId(f"prj_{slug}"), slug, slug.title(), ProjectSettings(), NOW)


def make_user(project: Project, user_id: str = USER, **changes: Any) -> User:
    email = f"{user_id}@{project.slug}.example.com"
    user = User(project.project_id, UserId(user_id), email, project.name, "member", True, NOW, None)
    return replace(user, **changes)


def make_held_client(project: Project) -> Client:
    """A client with a secret and a registration access token to rotate."""
    return make_client(
        project, "mcl_held", secret_hash=TokenHash(b"secret"), registration_token_hash=TokenHash(b"registration")
    )


def make_initial_access_token() -> InitialAccessToken:
    return InitialAccessToken("partner", NOW, NOW + DAY, 1)


def make_trust(project: Project, trust_id: str = TRUST, **changes: Any) -> TrustedIssuer:
    policy = TrustPolicy(clients=("mcl_a",), claims=(("tenant", "acme"), ("group", "é")), reusable=True)
    trust = TrustedIssuer(project.project_id, trust_id, IDP, "id-jag", policy, NOW, jwks={"keys": []})
    return replace(trust, **changes)


def make_provider(project: Project, slug: str = PROVIDER, **changes: Any) -> UpstreamProvider:
    provider = UpstreamProvider(
        project_id=project.project_id,
        slug=slug,
        kind="oidc",
        name="Acme",
        issuer="https://idp.example.com",
        client_id="doorward",
        scopes=("openid", "email"),
        sign_up=SignUp("domains", ("example.com", "exämple.com")),
        enabled=True,
        created_at=NOW,
    )
    return replace(provider, **changes)


def make_upstream_sign_in(project: Project, state_hash: TokenHash = STATE_HASH, **changes: Any) -> UpstreamSignIn:
    pending = UpstreamSignIn(
        project_id=project.project_id,
        state_hash=state_hash,
        browser_hash=BROWSER_HASH,
        slug=PROVIDER,
        next_path="/account",
        link_user_id=USER,
        session_hash=SESSION_HASH,
        expires_at=NOW + 10 * MINUTE,
    )
    return replace(pending, **changes)


def make_client(project: Project, client_id: str = CLIENT, **changes: Any) -> Client:
    members = {"redirect_uris": ["http://127.0.0.1/callback"], "client_name": f"App of {project.name}"}
    client = Client(
        project_id=project.project_id,
        client_id=ClientId(client_id),
        kind="registered",
        metadata=parse_client_metadata(members, supported_grants=("authorization_code", "refresh_token")),
        secret_hash=None,
        created_at=NOW,
        activated_at=None,
        last_used_at=None,
        expires_at=None,
    )
    return replace(client, **changes)


def make_resource(project: Project, resource_id: str = RESOURCE, **changes: Any) -> Resource:
    resource = Resource(
        project_id=project.project_id,
        resource_id=ResourceId(resource_id),
        uri=URI,
        name=f"Server of {project.name}",
        scopes=(
            Scope("tools:read", "Look things up", tools=(Tool("weather", "Weather"),)),
            Scope("tools:write", "Book", kind="write"),
        ),
        default_scopes=("tools:read",),
        is_default=True,
        created_at=NOW,
    )
    return replace(resource, **changes)


def make_grant(project: Project, grant_id: str = GRANT, **changes: Any) -> Grant:
    grant = Grant(
        project_id=project.project_id,
        grant_id=GrantId(grant_id),
        user_id=USER,
        client_id=CLIENT,
        resource_id=RESOURCE,
        scope=("tools:read",),
        redirect_uri="http://127.0.0.1:4711/callback",
        created_at=NOW,
    )
    return replace(grant, **changes)


def make_code(project: Project, code_hash: TokenHash = CODE_HASH, **changes: Any) -> Code:
    code = Code(
        project_id=project.project_id,
        code_hash=code_hash,
        grant_id=GRANT,
        client_id=CLIENT,
        redirect_uri="http://127.0.0.1:4711/callback",
        redirect_uri_sent=True,
        code_challenge="c" * 43,
        expires_at=NOW + 5 * MINUTE,
    )
    return replace(code, **changes)


def make_device_code(project: Project, device_hash: TokenHash = DEVICE_HASH, **changes: Any) -> DeviceCode:
    code = DeviceCode(
        project_id=project.project_id,
        device_hash=device_hash,
        user_code_hash=USER_CODE_HASH,
        client_id=CLIENT,
        resource_id=RESOURCE,
        scope=("tools:read", "tools:write"),
        source="203.0.113.9",
        agent="node",
        created_at=NOW,
        expires_at=NOW + 10 * MINUTE,
        interval_ms=5000,
    )
    return replace(code, **changes)


def make_family(project: Project, family_id: str = FAMILY, **changes: Any) -> RefreshFamily:
    family = RefreshFamily(
        project_id=project.project_id,
        family_id=FamilyId(family_id),
        grant_id=GRANT,
        client_id=CLIENT,
        salt=b"s" * 32,
        policy="until_used",
        generation=0,
        rotated_at=NOW,
        previous_rotated_at=NOW,
        idle_expires_at=NOW + 30 * DAY,
        absolute_expires_at=NOW + 90 * DAY,
    )
    return replace(family, **changes)


def make_session(project: Project, session_hash: TokenHash = SESSION_HASH, **changes: Any) -> Session:
    session = Session(project.project_id, session_hash, USER, NOW, NOW, NOW + DAY, "Firefox")
    return replace(session, **changes)


def make_interaction(project: Project, interaction_hash: TokenHash = FLOW_HASH, **changes: Any) -> Interaction:
    request = AuthorizationRequest(
        client_id=CLIENT,
        redirect_uri="http://127.0.0.1:4711/callback",
        state="state é",
        code_challenge="c" * 43,
        resource_id=RESOURCE,
        scope=("tools:read",),
        dropped=("nonsense",),
    )
    made = Interaction(project.project_id, interaction_hash, SESSION_HASH, USER, request, NOW + 10 * MINUTE)
    return replace(made, **changes)


def make_exchange_rule(project: Project, rule_id: str = EXCHANGE_RULE) -> ExchangeRule:
    return ExchangeRule(project.project_id, rule_id, CLIENT, RESOURCE, RESOURCE, "delegation", ("read",), NOW)


def make_pushed_request(project: Project, request_hash: TokenHash = PUSHED_HASH, **changes: Any) -> PushedRequest:
    pushed = PushedRequest(
        project_id=project.project_id,
        request_hash=request_hash,
        client_id=CLIENT,
        values={"response_type": "code", "state": "state é"},
        resources=(URI, f"{URI}/"),
        dpop_jkt="j" * 43,
        browser_hash=None,
        expires_at=NOW + MINUTE,
    )
    return replace(pushed, **changes)


def make_key(project: Project, key_id: str = KEY, **changes: Any) -> ProjectKey:
    key = ProjectKey(project.project_id, KeyId(key_id), "backend", ("register",), None, NOW, None, None, None)
    return replace(key, **changes)


def make_admin_token(project: Project, token_id: str = ADMIN_TOKEN, **changes: Any) -> AdminToken:
    token = AdminToken(project.project_id, token_id, "ci", "admin", ("read",), NOW, None, None, None)
    return replace(token, **changes)


def make_signing_key(kid: str = "kid-one", **changes: Any) -> StoredSigningKey:
    return replace(StoredSigningKey(kid, "ES256", "{}", b"sealed", NOW, NOW, None), **changes)


async def add_tenant(database: Database, slug: str = "alpha") -> Tenant:
    """Store a project with a person, a client, a resource and a consent."""
    project = make_project(slug)
    tenant = Tenant(project, make_user(project), make_client(project), make_resource(project), make_grant(project))
    await database.write(_add, tenant)
    return tenant


async def _add(tx: Transaction, tenant: Tenant) -> None:
    assert await add_project(tx, tenant.project)
    assert await add_user(tx, tenant.user, tenant.user.email, "argon2 hash")
    await add_client(tx, tenant.client)
    assert await add_resource(tx, tenant.resource)
    await add_grant(tx, tenant.grant)


def unlisted(expression: Any) -> Statement:
    """A statement of a test: it is none of the server's, so the rules for those do not see it."""
    statement = Statement(expression)
    Statement.registry.remove(statement)
    return statement


_ROWS = {
    name: unlisted(
        select(table).where(table.c.project_id == bindparam("project_id")).order_by(*table.primary_key.columns)
    )
    for name, table in metadata.tables.items()
    if "project_id" in table.c
}


async def dump(database: Database, project_id: ProjectId) -> dict[str, list[Row]]:
    """Every row of a project, by table; tables without any are left out."""

    async def read_all(tx: Transaction) -> dict[str, list[Row]]:
        return {name: await tx.all(statement, project_id=project_id) for name, statement in _ROWS.items()}

    return {name: rows for name, rows in (await database.read(read_all)).items() if rows}
