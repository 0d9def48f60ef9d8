"""Tables of the admin API, beside those of `schema`."""

from sqlalchemy import Index, Table

from .columns import bytes_, hash_key, key, metadata, number, of_project, text

admin_tokens = Table(
    "admin_tokens",
    metadata,
    key("project_id"),
    key("token_id"),
    text("name"),
    text("role"),
    text("scopes"),
    bytes_("secret_hash"),
    number("created_at"),
    number("expires_at", nullable=True),
    number("last_used_at", nullable=True),
    number("revoked_at", nullable=True),
    of_project(),
    Index(None, "project_id", "secret_hash", unique=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    key("project_id"),
    hash_key("key_hash"),
    bytes_("request_hash"),
    text("answer", nullable=True),
    number("expires_at"),
    of_project(),
    Index(None, "project_id", "expires_at"),
)

ADMIN_TABLES = (admin_tokens, idempotency_keys)
