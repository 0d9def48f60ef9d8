"""The tables of what people prove themselves with besides a password, and of sign-ins that are half done."""

from sqlalchemy import Index, Table

from .columns import belongs_to, bytes_, hash_key, key, metadata, number, text

passkeys = Table(
    "passkeys",
    metadata,
    key("project_id"),
    key("passkey_id"),
    text("user_id"),
    bytes_("credential_id"),
    bytes_("credential"),
    number("sign_count"),
    number("is_backup_eligible"),
    number("is_backed_up"),
    text("name"),
    number("created_at"),
    number("last_used_at", nullable=True),
    belongs_to("users", "user_id"),
    Index(None, "project_id", "credential_id", unique=True),
    Index(None, "project_id", "user_id"),
)

# One authenticator app a person. Until its first code was seen it is only a proposal.
totp_secrets = Table(
    "totp_secrets",
    metadata,
    key("project_id"),
    key("user_id"),
    bytes_("ciphertext"),
    number("created_at"),
    number("confirmed_at", nullable=True),
    number("last_step"),
    belongs_to("users", "user_id"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    key("project_id"),
    hash_key("code_hash"),
    text("user_id"),
    number("created_at"),
    number("used_at", nullable=True),
    belongs_to("users", "user_id"),
    Index(None, "project_id", "user_id"),
)

# The password was right and the second step is to come: no session, and good for nothing else (T41).
pending_sign_ins = Table(
    "pending_sign_ins",
    metadata,
    key("project_id"),
    hash_key("token_hash"),
    text("user_id"),
    bytes_("browser_hash"),
    number("created_at"),
    number("expires_at"),
    number("used_at", nullable=True),
    belongs_to("users", "user_id"),
    Index(None, "project_id", "user_id"),
    Index(None, "expires_at"),
)

FACTOR_TABLES = (passkeys, totp_secrets, recovery_codes, pending_sign_ins)
