"""Domain nouns as frozen values. Times are epoch milliseconds; a field that may be absent is None."""

from dataclasses import dataclass, field
from typing import Any, Literal

from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import ClientId, FamilyId, GrantId, KeyId, ProjectId, ResourceId, TokenHash, UserId
from doorward.oauth.metadata import ClientMetadata
from doorward.oauth.scopes import ALL_TOOLS, Scopes, tool_scope, union

RegistrationMode = Literal["open", "approved_redirects", "approval", "protected", "closed"]
ClientKind = Literal["registered", "sealed", "document", "manual"]
ClientStatus = Literal["active", "pending", "suspended"]
ScopeKind = Literal["read", "write", "destructive"]
Role = Literal["owner", "admin", "auditor", "member"]
Capability = Literal["register", "introspect", "mint"]
ReusePolicy = Literal["until_used", "overlap", "strict"]
TokenFormat = Literal["jwt", "opaque"]
GrantKind = Literal["consent", "device", "mint", "assertion"]
DeviceDecision = Literal["waiting", "allowed", "denied"]
ExchangeMode = Literal["delegation", "impersonation"]
EXCHANGE_MODES: tuple[ExchangeMode, ...] = ("delegation", "impersonation")
TrustKind = Literal["id-jag", "workload"]

ROLES: tuple[Role, ...] = ("owner", "admin", "auditor", "member")
TOKEN_FORMATS: tuple[TokenFormat, ...] = ("jwt", "opaque")
CAPABILITIES: tuple[Capability, ...] = ("register", "introspect", "mint")
REGISTRATION_MODES: tuple[RegistrationMode, ...] = ("open", "approved_redirects", "approval", "protected", "closed")
REUSE_POLICIES: tuple[ReusePolicy, ...] = ("until_used", "overlap", "strict")
DEFAULT_SLUG = "default"
ADMINISTRATOR = "an administrator"
"""Who vouches for a client that describes itself by a document and was let in by hand."""
AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"
CLIENT_CREDENTIALS = "client_credentials"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CONFIDENTIAL_GRANTS = frozenset({CLIENT_CREDENTIALS, TOKEN_EXCHANGE})
"""What no client may do that is only identified, and not authenticated."""
GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE, TOKEN_EXCHANGE, JWT_BEARER)
"""Every grant there is, in the order they are told; a project offers some of them."""
SELF_REGISTERED_GRANTS = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE, JWT_BEARER)
"""What a client may register itself for: in each of them a person, or an issuer the operator trusts, decides."""


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """Operator choices of one project; every one has a default, so that an empty document is valid."""

    registration_mode: RegistrationMode = "open"
    access_token_seconds: int = 900
    code_seconds: int = 300
    refresh_idle_seconds: int = 30 * 86400
    refresh_absolute_seconds: int = 90 * 86400
    client_secret_seconds: int = 0
    """Life of a registered client's secret; 0 is for ever."""
    approved_redirects: tuple[str, ...] = ()
    """Where clients may send codes in the mode `approved_redirects`; see `policy.is_approved_redirect`."""
    documents: bool = True
    """Whether clients may be known by the URL of their metadata document."""
    document_hosts: tuple[str, ...] = ()
    """The only hosts such documents may come from, subdomains included; empty is any."""
    blocked_hosts: tuple[str, ...] = ()
    """Hosts such documents may not come from, subdomains included."""
    development: bool = False
    """Whether documents may come from this machine, where the server's settings allow it too."""
    device_flow: bool = False
    """Whether apps without a browser may ask people to enter a code on another device."""
    dpop_nonces: bool = False
    """Whether proofs of possession must carry a nonce of this server."""
    require_second_factor: bool = False
    """Whether owners and admins need a passkey or an authenticator app to sign in."""
    public_refresh_policy: ReusePolicy = "until_used"
    confidential_refresh_policy: ReusePolicy = "strict"
    signing_key_days: int = 90
    """How old a signing key grows before the next one is published; 0 is for ever."""


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant: its own issuer, keys, people, clients and resources."""

    project_id: ProjectId
    slug: str
    name: str
    settings: ProjectSettings
    created_at: int
    void_before: int = 0
    """Grants and tokens made up to then are over: the project's emergency stop is one number."""
    stopped_at: int | None = None
    """Since when nothing of the project is let in; taken back by resuming it."""

    @property
    def path(self) -> str:
        """Prefix of every address of the project; the default project lives at the root."""
        return "" if self.slug == DEFAULT_SLUG else f"/p/{self.slug}"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of an MCP server as people are shown it.

    `since` is the version of the server's list of tools in which it became what it is, `digest` what it is; one that
    is not listed any more is remembered, and shown to nobody.
    """

    name: str
    title: str
    kind: ScopeKind = "read"
    since: int = 0
    digest: str = ""
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope of a resource with the words a person decides on."""

    name: str
    title: str
    description: str = ""
    kind: ScopeKind = "read"
    tools: tuple[Tool, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceSettings:
    """Operator choices of one resource; every one has a default, so that an empty document is valid."""

    token_format: TokenFormat = "jwt"
    token_alg: str = "ES256"
    access_token_seconds: int = 0
    """Life of its access tokens; 0 is the project's."""
    aliases: tuple[str, ...] = ()
    """Other URIs of the same server, such as an old domain. A token for one names both as its audience."""
    dpop_required: bool = False
    """Whether its tokens are given only to clients that prove possession of a key."""
    budgets: tuple[str, ...] = ()
    """How much may be called in how long, as `doorward.oauth.budgets` spells it; its tokens carry it to its guard."""


@dataclass(frozen=True, slots=True)
class Resource:
    """An MCP server that tokens are issued for. `uri` is the registered spelling and becomes `aud`."""

    project_id: ProjectId
    resource_id: ResourceId
    uri: str
    name: str
    scopes: tuple[Scope, ...]
    default_scopes: Scopes
    is_default: bool
    created_at: int
    settings: ResourceSettings = ResourceSettings()
    void_before: int = 0
    """Grants and tokens made up to then are over."""
    stopped_at: int | None = None
    """Since when no token for it is let in; taken back by resuming it."""

    @property
    def scope_names(self) -> Scopes:
        return tuple(scope.name for scope in self.scopes)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools it lists, each once."""
        found = {tool.name: tool for scope in self.scopes for tool in scope.tools if tool.is_listed}
        return tuple(found.values())

    @property
    def known_scopes(self) -> Scopes:
        """Every scope that may be asked for: its own, and where its tools are known those of each and of all."""
        single = tuple(name for tool in self.tools if (name := tool_scope(tool.name)) is not None)
        return union(self.scope_names, single, (ALL_TOOLS,) if self.tools else ())

    @property
    def tools_version(self) -> int:
        """The version of its list of tools: whoever was shown this list has seen all that is in it."""
        return max((tool.since for scope in self.scopes for tool in scope.tools), default=0)


@dataclass(frozen=True, slots=True)
class Client:
    """An application that may ask for tokens."""

    project_id: ProjectId
    client_id: ClientId
    kind: ClientKind
    metadata: ClientMetadata
    secret_hash: TokenHash | None
    created_at: int
    activated_at: int | None
    last_used_at: int | None
    expires_at: int | None
    status: ClientStatus = "active"
    void_before: int = 0
    """Grants made up to then are over, however many there are: "revoke everything of this client" is one number."""
    secret_expires_at: int | None = None
    previous_secret_hash: TokenHash | None = None
    previous_secret_expires_at: int | None = None
    registration_token_hash: TokenHash | None = None
    verified_by: str | None = None
    """Who vouches for one that no operator made: the issuer of its software statement, or an `ADMINISTRATOR`."""
    fresh_until: int | None = None
    """When the document it was read from has to be fetched again."""
    proposed: ClientMetadata | None = None
    """What its document says now, where that waits for approval."""
    fingerprint: str | None = None
    """The same for every registration of a program from one place, as long as nobody did anything with it."""

    @property
    def is_public(self) -> bool:
        """Whether the client holds no secret and is only identified, not authenticated. Spec: REG-08"""
        return self.secret_hash is None and "none" in self.metadata.accepted_methods

    @property
    def is_verified(self) -> bool:
        """Whether an operator vouches for the name; a self-asserted name is never identity. Spec: DCR-11"""
        return self.kind == "manual" or self.verified_by is not None


@dataclass(frozen=True, slots=True)
class User:
    """A person of a project."""

    project_id: ProjectId
    user_id: UserId
    email: str
    name: str
    role: Role
    enabled: bool
    created_at: int
    last_login_at: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """One browser signed in as one person."""

    project_id: ProjectId
    session_hash: TokenHash
    user_id: UserId
    created_at: int
    last_seen_at: int
    expires_at: int
    agent: str


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What a client asked for at the authorization endpoint, once every check passed."""

    client_id: ClientId
    redirect_uri: str
    state: str | None
    code_challenge: str
    resource_id: ResourceId
    scope: Scopes
    dropped: Scopes = ()
    redirect_uri_sent: bool = True
    alias: str | None = None
    """The alias that the resource was asked for by."""
    dpop_jkt: str | None = None
    pushed: str | None = None
    """Hash of the pushed request it was read from, which the decision spends."""


@dataclass(frozen=True, slots=True)
class PushedRequest:
    """An authorization request that a client sent ahead, as it sent it: it is judged anew whenever it is looked at."""

    project_id: ProjectId
    request_hash: TokenHash
    client_id: ClientId
    values: dict[str, str]
    resources: tuple[str, ...]
    dpop_jkt: str | None
    """Thumbprint of the key that its code is to be bound to, named or proven."""
    browser_hash: TokenHash | None
    """The browser it belongs to, once one has looked at it."""
    expires_at: int


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request waiting for a person's decision, bound to the browser session that was shown it."""

    project_id: ProjectId
    interaction_hash: TokenHash
    session_hash: TokenHash
    user_id: UserId
    request: AuthorizationRequest
    expires_at: int


@dataclass(frozen=True, slots=True)
class Grant:
    """One consent: one connection of one client to one resource for one person. Every token hangs off it (I5)."""

    project_id: ProjectId
    grant_id: GrantId
    user_id: UserId
    client_id: ClientId
    resource_id: ResourceId
    scope: Scopes
    redirect_uri: str
    created_at: int
    last_used_at: int | None = None
    revoked_at: int | None = None
    kind: GrantKind = "consent"
    device_label: str = ""
    """Where the person was when they let it in, in words they recognise."""
    device_id: bytes | None = None
    """The same for everything that was let in from one browser."""
    auth_time: int | None = None
    """When the person proved who they are."""
    granted_by: str | None = None
    """Who decided in the person's stead: a project key, or a trusted issuer."""
    alias: str | None = None
    """The alias that the resource was asked for by."""
    tools_at: int = 0
    """The version of the server's list of tools that the person was shown."""
    expires_at: int | None = None
    """When it ends by itself, where the person gave it for a time only."""

    def is_over(self, now: int) -> bool:
        """Whether its time is up: nothing is given for what is left of the last second, which no token can say."""
        return self.expires_at is not None and self.expires_at - now < 1000


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code as stored: bound to client, challenge, redirect URI and grant. Spec: AUTHZ-14"""

    project_id: ProjectId
    code_hash: TokenHash
    grant_id: GrantId
    client_id: ClientId
    redirect_uri: str
    redirect_uri_sent: bool
    code_challenge: str
    expires_at: int
    used_at: int | None = None
    dpop_jkt: str | None = None
    """Thumbprint of the only key that may redeem it."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device that waits for a person's decision, or has it. Spec: RFC 8628 §3.2 (DEV-02)"""

    project_id: ProjectId
    device_hash: TokenHash
    user_code_hash: TokenHash
    client_id: ClientId
    resource_id: ResourceId
    scope: Scopes
    source: str
    agent: str
    """Where the request came from, for the person to recognise it by."""
    created_at: int
    expires_at: int
    interval_ms: int
    """How long the device has to wait between two questions; it grows when it does not."""
    alias: str | None = None
    """The alias that the resource was asked for by."""
    dpop_jkt: str | None = None
    """Thumbprint of the only key that may redeem it."""
    polled_at: int | None = None
    user_id: UserId | None = None
    """Who entered the code first: nobody else may decide. Spec: T42"""
    decision: DeviceDecision = "waiting"
    grant_id: GrantId | None = None
    used_at: int | None = None

    @property
    def flow(self) -> str:
        """What the timeline calls it by; nothing can be opened with it."""
        return self.user_code_hash.hex()[:24]


@dataclass(frozen=True, slots=True)
class RefreshFamily:
    """The lineage of refresh tokens of one grant: one row, however often it rotates.

    A token is derived from (`family_id`, `salt`, generation) under a server key, so nothing secret is stored, any
    generation can be recognised, and a successor can be sent again.
    """

    project_id: ProjectId
    family_id: FamilyId
    grant_id: GrantId
    client_id: ClientId
    salt: bytes
    policy: ReusePolicy
    generation: int
    rotated_at: int
    previous_rotated_at: int
    idle_expires_at: int
    absolute_expires_at: int
    revoked_at: int | None = None
    dpop_jkt: str | None = None
    """Thumbprint of the only key that may use it."""
    last_source: str | None = None
    last_agent: str | None = None
    """Who rotated it last, for the report when an old token comes back."""


@dataclass(frozen=True, slots=True)
class ProjectKey:
    """A secret of an operator's own backend, with the few things it may do."""

    project_id: ProjectId
    key_id: KeyId
    name: str
    capabilities: tuple[Capability, ...]
    resource_id: ResourceId | None
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None


@dataclass(frozen=True, slots=True)
class ExchangeRule:
    """What one client may make of the tokens it is given: nothing that no rule names."""

    project_id: ProjectId
    rule_id: str
    client_id: ClientId
    from_resource_id: ResourceId | None
    """The server that the token it is given must be for; None is any of the project's."""
    to_resource_id: ResourceId
    mode: ExchangeMode
    """Whether the token that it gets says that the client acts for the person."""
    scope: Scopes
    """The most that it may ask for; of that, it gets what the token it is given holds, too."""
    created_at: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a grant type decided: the only thing the minter turns into tokens. Times are epoch milliseconds."""

    subject: str
    """Who the token speaks for: a person, or the client itself."""
    client_id: ClientId
    resource: Resource
    scope: Scopes
    grant_id: GrantId | None = None
    """The connection it hangs off; none where a client or a workload speaks for itself."""
    family: RefreshFamily | None = None
    generation: int = 0
    """The generation of the family whose refresh token goes into the answer."""
    alias: str | None = None
    """The alias of the resource that was asked for, to be an audience too."""
    auth_time: int | None = None
    not_after: int | None = None
    """When the access token ends at the latest."""
    tools_at: int | None = None
    """The version of the server's list of tools that somebody was shown; None is the list as it is now, where an
    operator decided and no page was shown."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Further claims: `act`, `may_act`, and what ties an exchanged token to the one it came from."""
    answer: dict[str, Any] = field(default_factory=dict)
    """Further members of the token response."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal as a value: what it recorded is committed first, then the pipeline raises `error`."""

    error: OAuthError
    grant_id: GrantId | None = None
    """The connection it was about, for the operator's timeline."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One acknowledged change, written in the transaction that made it (I7). Never holds a secret."""

    action: str
    actor: str
    target: str
    detail: dict[str, Any] = field(default_factory=dict)
