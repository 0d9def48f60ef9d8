"""Every table, once, for both databases.

Columns are BigInteger (epoch milliseconds, counters), LargeBinary (hashes, ciphertexts) and Text, because result
processors are bypassed. Every table of a tenant has `project_id` first in its primary key, so that rows of two
projects can never be mixed up and a cluster can shard by project. JSON is stored as Text.
"""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Table, Text

from . import columns, schema_admin, schema_factors, schema_upstream
from .columns import belongs_to as _belongs_to
from .columns import bytes_ as _bytes
from .columns import epoch as _epoch
from .columns import hash_key as _hash_key
from .columns import key as _key
from .columns import number as _number
from .columns import of_project as _of_project
from .columns import text as _text

metadata = columns.metadata
UPSTREAM_TABLES = schema_upstream.UPSTREAM_TABLES
FACTOR_TABLES = schema_factors.FACTOR_TABLES
ADMIN_TABLES = schema_admin.ADMIN_TABLES

# Not of any tenant: the server's own secrets, encrypted under the master key.
server_secrets = Table(
    "server_secrets",
    metadata,
    _key("purpose"),
    _bytes("ciphertext"),
    _number("created_at"),
)

projects = Table(
    "projects",
    metadata,
    _key("project_id"),
    _text("slug"),
    _text("name"),
    _text("settings"),
    _number("created_at"),
    _epoch("void_before"),
    _number("stopped_at", nullable=True),
    _epoch("revocation_seq"),
    Index(None, "slug", unique=True),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    _key("project_id"),
    _key("kid"),
    _text("alg"),
    _text("public_jwk"),
    _bytes("private_ciphertext"),
    _number("created_at"),
    _number("signs_from"),
    _number("removed_at", nullable=True),
    _of_project(),
)

resources = Table(
    "resources",
    metadata,
    _key("project_id"),
    _key("resource_id"),
    _text("uri"),
    _text("match_key"),
    _text("name"),
    _text("scopes"),
    _text("default_scopes"),
    _number("is_default"),
    _number("created_at"),
    Column("settings", Text, nullable=False, server_default="{}"),
    _epoch("void_before"),
    _number("stopped_at", nullable=True),
    _of_project(),
    Index(None, "project_id", "match_key", unique=True),
)

clients = Table(
    "clients",
    metadata,
    _key("project_id"),
    _key("client_id"),
    _text("kind"),
    _text("metadata"),
    _bytes("secret_hash", nullable=True),
    _number("created_at"),
    _number("activated_at", nullable=True),
    _number("last_used_at", nullable=True),
    _number("expires_at", nullable=True),
    Column("status", Text, nullable=False, server_default="active"),
    _epoch("void_before"),
    _number("secret_expires_at", nullable=True),
    _bytes("previous_secret_hash", nullable=True),
    _number("previous_secret_expires_at", nullable=True),
    _bytes("registration_token_hash", nullable=True),
    _text("verified_by", nullable=True),
    _number("fresh_until", nullable=True),
    _text("proposed", nullable=True),
    _text("fingerprint", nullable=True),
    _of_project(),
    Index(None, "project_id", "expires_at"),
    Index(None, "project_id", "fingerprint"),
)

client_tombstones = Table(
    "client_tombstones",
    metadata,
    _key("project_id"),
    _key("client_id"),
    _text("reason"),
    _number("removed_at"),
    _of_project(),
    Index(None, "project_id", "removed_at"),
)

initial_access_tokens = Table(
    "initial_access_tokens",
    metadata,
    _key("project_id"),
    _hash_key("token_hash"),
    _text("name"),
    _number("created_at"),
    _number("expires_at", nullable=True),
    _number("uses_left"),
    _of_project(),
)

software_issuers = Table(
    "software_issuers",
    metadata,
    _key("project_id"),
    _key("issuer"),
    _text("jwks"),
    _number("created_at"),
    _of_project(),
)

spent_ids = Table(
    "spent_ids",
    metadata,
    _key("project_id"),
    _key("space"),
    _hash_key("id_hash"),
    _number("expires_at"),
    _of_project(),
    Index(None, "project_id", "expires_at"),
)

project_keys = Table(
    "project_keys",
    metadata,
    _key("project_id"),
    _key("key_id"),
    _text("name"),
    _text("capabilities"),
    _bytes("secret_hash"),
    _text("resource_id", nullable=True),
    _number("created_at"),
    _number("expires_at", nullable=True),
    _number("last_used_at", nullable=True),
    _number("revoked_at", nullable=True),
    _of_project(),
    Index(None, "project_id", "secret_hash", unique=True),
)

users = Table(
    "users",
    metadata,
    _key("project_id"),
    _key("user_id"),
    _text("email"),
    _text("email_key"),
    _text("name"),
    _text("role"),
    _text("password_hash"),
    _number("enabled"),
    _number("created_at"),
    _number("last_login_at", nullable=True),
    _epoch("void_before"),
    _of_project(),
    Index(None, "project_id", "email_key", unique=True),
)

identities = Table(
    "identities",
    metadata,
    _key("project_id"),
    _key("issuer"),
    _key("subject"),
    _text("user_id"),
    _number("created_at"),
    _belongs_to("users", "user_id"),
    Index(None, "project_id", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    _key("project_id"),
    _hash_key("session_hash"),
    _text("user_id"),
    _number("created_at"),
    _number("last_seen_at"),
    _number("expires_at"),
    _text("agent"),
    _belongs_to("users", "user_id"),
    Index(None, "project_id", "user_id"),
    Index(None, "project_id", "expires_at"),
)

setup_links = Table(
    "setup_links",
    metadata,
    _key("project_id"),
    _hash_key("token_hash"),
    _number("created_at"),
    _number("expires_at"),
    _number("used_at", nullable=True),
    _of_project(),
)

interactions = Table(
    "interactions",
    metadata,
    _key("project_id"),
    _hash_key("interaction_hash"),
    _bytes("session_hash"),
    _text("user_id"),
    _text("request"),
    _number("created_at"),
    _number("expires_at"),
    _number("used_at", nullable=True),
    _belongs_to("users", "user_id"),
    Index(None, "project_id", "expires_at"),
)

grants = Table(
    "grants",
    metadata,
    _key("project_id"),
    _key("grant_id"),
    _text("user_id"),
    _text("client_id"),
    _text("resource_id"),
    _text("scope"),
    _text("redirect_uri"),
    _number("created_at"),
    _number("last_used_at", nullable=True),
    _number("revoked_at", nullable=True),
    Column("kind", Text, nullable=False, server_default="consent"),
    Column("device_label", Text, nullable=False, server_default=""),
    _bytes("device_id", nullable=True),
    _number("auth_time", nullable=True),
    _text("granted_by", nullable=True),
    _text("alias", nullable=True),
    _epoch("tools_at"),
    _number("expires_at", nullable=True),
    _belongs_to("users", "user_id"),
    _belongs_to("clients", "client_id"),
    _belongs_to("resources", "resource_id"),
    Index(None, "project_id", "user_id"),
    Index(None, "project_id", "client_id"),
    Index(None, "project_id", "resource_id"),
)

codes = Table(
    "codes",
    metadata,
    _key("project_id"),
    _hash_key("code_hash"),
    _text("grant_id"),
    _text("client_id"),
    _text("redirect_uri"),
    _number("redirect_uri_sent"),
    _text("code_challenge"),
    _number("expires_at"),
    _number("used_at", nullable=True),
    _number("failed_tries"),
    _text("dpop_jkt", nullable=True),
    _belongs_to("grants", "grant_id"),
    Index(None, "project_id", "expires_at"),
    Index(None, "project_id", "grant_id"),
)

refresh_families = Table(
    "refresh_families",
    metadata,
    _key("project_id"),
    _key("family_id"),
    _text("grant_id"),
    _text("client_id"),
    _bytes("salt"),
    _text("policy"),
    _number("generation"),
    _number("rotated_at"),
    _number("previous_rotated_at"),
    _number("idle_expires_at"),
    _number("absolute_expires_at"),
    _number("revoked_at", nullable=True),
    _text("dpop_jkt", nullable=True),
    _text("last_source", nullable=True),
    _text("last_agent", nullable=True),
    _belongs_to("grants", "grant_id"),
    Index(None, "project_id", "grant_id"),
    Index(None, "project_id", "idle_expires_at"),
)

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    _key("project_id"),
    _key("jti"),
    _number("expires_at"),
    _of_project(),
    Index(None, "project_id", "expires_at"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    _key("project_id"),
    _hash_key("token_hash"),
    _text("claims"),
    _number("expires_at"),
    _of_project(),
    Index(None, "project_id", "expires_at"),
)

revocations = Table(
    "revocations",
    metadata,
    _key("project_id"),
    Column("seq", BigInteger, primary_key=True),
    _text("mark"),
    _text("kind"),
    _text("subject"),
    _text("state"),
    _number("void_before"),
    _number("expires_at"),
    _of_project(),
    Index(None, "project_id", "expires_at"),
)

pushed_requests = Table(
    "pushed_requests",
    metadata,
    _key("project_id"),
    _hash_key("request_hash"),
    _text("client_id"),
    _text("parameters"),
    _text("dpop_jkt", nullable=True),
    _bytes("browser_hash", nullable=True),
    _number("created_at"),
    _number("expires_at"),
    _number("used_at", nullable=True),
    _of_project(),
    Index(None, "project_id", "expires_at"),
)

device_codes = Table(
    "device_codes",
    metadata,
    _key("project_id"),
    _hash_key("device_hash"),
    _bytes("user_code_hash"),
    _text("client_id"),
    _text("resource_id"),
    _text("scope"),
    _text("alias", nullable=True),
    _text("source"),
    _text("agent"),
    _text("dpop_jkt", nullable=True),
    _number("created_at"),
    _number("expires_at"),
    _number("interval_ms"),
    _number("polled_at", nullable=True),
    _text("user_id", nullable=True),
    _text("decision"),
    _text("grant_id", nullable=True),
    _number("used_at", nullable=True),
    _of_project(),
    Index(None, "project_id", "user_code_hash", unique=True),
    Index(None, "project_id", "expires_at"),
)

exchange_rules = Table(
    "exchange_rules",
    metadata,
    _key("project_id"),
    _key("rule_id"),
    _text("client_id"),
    _text("from_resource_id", nullable=True),
    _text("to_resource_id"),
    _text("mode"),
    _text("scope"),
    _number("created_at"),
    _belongs_to("clients", "client_id"),
    ForeignKeyConstraint(
        ["project_id", "to_resource_id"], ["resources.project_id", "resources.resource_id"], ondelete="CASCADE"
    ),
    Index(None, "project_id", "client_id"),
)

trusted_issuers = Table(
    "trusted_issuers",
    metadata,
    _key("project_id"),
    _key("trust_id"),
    _text("issuer"),
    _text("kind"),
    _text("jwks_uri", nullable=True),
    _text("jwks", nullable=True),
    _text("policy"),
    _number("created_at"),
    _epoch("void_before"),
    _of_project(),
    Index(None, "project_id", "issuer", "kind"),
)

timeline_events = Table(
    "timeline_events",
    metadata,
    _key("project_id"),
    Column("at", BigInteger, primary_key=True),
    _key("event_id"),
    _text("step"),
    _text("outcome"),
    _text("reference"),
    _text("client_id", nullable=True),
    _text("flow", nullable=True),
    _text("grant_id", nullable=True),
    _text("user_id", nullable=True),
    _text("source"),
    _text("agent"),
    _text("reason"),
    _of_project(),
    Index(None, "project_id", "reference"),
    Index(None, "project_id", "client_id", "at"),
)

throttles = Table(
    "throttles",
    metadata,
    _key("project_id"),
    _key("bucket"),
    _number("full_at"),
    _of_project(),
    Index(None, "project_id", "full_at"),
)

audit_events = Table(
    "audit_events",
    metadata,
    _key("project_id"),
    Column("at", BigInteger, primary_key=True),
    _key("event_id"),
    _text("action"),
    _text("actor"),
    _text("target"),
    _text("detail"),
    _of_project(),
)

GLOBAL_TABLES = frozenset({"server_secrets"})
"""Tables that belong to no project."""
