"""The tables of identity providers that people sign in by, and of people who are on their way to one."""

from sqlalchemy import Index, Table

from .columns import bytes_, hash_key, key, metadata, number, of_project, text

upstream_providers = Table(
    "upstream_providers",
    metadata,
    key("project_id"),
    key("slug"),
    text("kind"),
    text("name"),
    text("issuer"),
    text("client_id"),
    bytes_("secret_ciphertext"),
    text("scopes"),
    text("sign_up"),
    number("enabled"),
    number("created_at"),
    of_project(),
)

# The nonce and the PKCE verifier are derived from the state, of which only the hash is here.
upstream_sign_ins = Table(
    "upstream_sign_ins",
    metadata,
    key("project_id"),
    hash_key("state_hash"),
    bytes_("browser_hash"),
    text("slug"),
    text("next_path"),
    text("link_user_id", nullable=True),
    bytes_("session_hash", nullable=True),
    number("created_at"),
    number("expires_at"),
    number("used_at", nullable=True),
    of_project(),
    Index(None, "project_id", "expires_at"),
)

UPSTREAM_TABLES = (upstream_providers, upstream_sign_ins)
