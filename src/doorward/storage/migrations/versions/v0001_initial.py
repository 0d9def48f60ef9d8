"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_projects")),
    )
    op.create_index(op.f("ix_projects_slug"), "projects", ["slug"], unique=True)


def _create_server_secrets() -> None:
    op.create_table(
        "server_secrets",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name=op.f("pk_server_secrets")),
    )


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_audit_events_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "at", "event_id", name=op.f("pk_audit_events")),
    )


def _create_clients() -> None:
    op.create_table(
        "clients",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("activated_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_clients_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "client_id", name=op.f("pk_clients")),
    )
    op.create_index(op.f("ix_clients_project_id_expires_at"), "clients", ["project_id", "expires_at"], unique=False)


def _create_project_keys() -> None:
    op.create_table(
        "project_keys",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_project_keys_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "key_id", name=op.f("pk_project_keys")),
    )
    op.create_index(
        op.f("ix_project_keys_project_id_secret_hash"), "project_keys", ["project_id", "secret_hash"], unique=True
    )


def _create_resources() -> None:
    op.create_table(
        "resources",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("match_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("default_scopes", sa.Text(), nullable=False),
        sa.Column("is_default", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_resources_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "resource_id", name=op.f("pk_resources")),
    )
    op.create_index(op.f("ix_resources_project_id_match_key"), "resources", ["project_id", "match_key"], unique=True)


def _create_revoked_tokens() -> None:
    op.create_table(
        "revoked_tokens",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_revoked_tokens_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "jti", name=op.f("pk_revoked_tokens")),
    )
    op.create_index(
        op.f("ix_revoked_tokens_project_id_expires_at"), "revoked_tokens", ["project_id", "expires_at"], unique=False
    )


def _create_setup_links() -> None:
    op.create_table(
        "setup_links",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_setup_links_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "token_hash", name=op.f("pk_setup_links")),
    )


def _create_signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("alg", sa.Text(), nullable=False),
        sa.Column("public_jwk", sa.Text(), nullable=False),
        sa.Column("private_ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signs_from", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_signing_keys_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "kid", name=op.f("pk_signing_keys")),
    )


def _create_throttles() -> None:
    op.create_table(
        "throttles",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_throttles_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "bucket", name=op.f("pk_throttles")),
    )
    op.create_index(op.f("ix_throttles_project_id_full_at"), "throttles", ["project_id", "full_at"], unique=False)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("enabled", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_login_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_users_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_users")),
    )
    op.create_index(op.f("ix_users_project_id_email_key"), "users", ["project_id", "email_key"], unique=True)


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "client_id"],
            ["clients.project_id", "clients.client_id"],
            name=op.f("fk_grants_clients"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "resource_id"],
            ["resources.project_id", "resources.resource_id"],
            name=op.f("fk_grants_resources"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "user_id"],
            ["users.project_id", "users.user_id"],
            name=op.f("fk_grants_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "grant_id", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_project_id_client_id"), "grants", ["project_id", "client_id"], unique=False)
    op.create_index(op.f("ix_grants_project_id_resource_id"), "grants", ["project_id", "resource_id"], unique=False)
    op.create_index(op.f("ix_grants_project_id_user_id"), "grants", ["project_id", "user_id"], unique=False)


def _create_interactions() -> None:
    op.create_table(
        "interactions",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("interaction_hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "user_id"],
            ["users.project_id", "users.user_id"],
            name=op.f("fk_interactions_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "interaction_hash", name=op.f("pk_interactions")),
    )
    op.create_index(
        op.f("ix_interactions_project_id_expires_at"), "interactions", ["project_id", "expires_at"], unique=False
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("session_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "user_id"],
            ["users.project_id", "users.user_id"],
            name=op.f("fk_sessions_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "session_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_project_id_expires_at"), "sessions", ["project_id", "expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_project_id_user_id"), "sessions", ["project_id", "user_id"], unique=False)


def _create_codes() -> None:
    op.create_table(
        "codes",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("redirect_uri_sent", sa.BigInteger(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("failed_tries", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "grant_id"],
            ["grants.project_id", "grants.grant_id"],
            name=op.f("fk_codes_grants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "code_hash", name=op.f("pk_codes")),
    )
    op.create_index(op.f("ix_codes_project_id_expires_at"), "codes", ["project_id", "expires_at"], unique=False)
    op.create_index(op.f("ix_codes_project_id_grant_id"), "codes", ["project_id", "grant_id"], unique=False)


def _create_refresh_families() -> None:
    op.create_table(
        "refresh_families",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("family_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("rotated_at", sa.BigInteger(), nullable=False),
        sa.Column("previous_rotated_at", sa.BigInteger(), nullable=False),
        sa.Column("idle_expires_at", sa.BigInteger(), nullable=False),
        sa.Column("absolute_expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "grant_id"],
            ["grants.project_id", "grants.grant_id"],
            name=op.f("fk_refresh_families_grants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "family_id", name=op.f("pk_refresh_families")),
    )
    op.create_index(
        op.f("ix_refresh_families_project_id_grant_id"), "refresh_families", ["project_id", "grant_id"], unique=False
    )
    op.create_index(
        op.f("ix_refresh_families_project_id_idle_expires_at"),
        "refresh_families",
        ["project_id", "idle_expires_at"],
        unique=False,
    )


def upgrade() -> None:
    _create_projects()
    _create_server_secrets()
    _create_audit_events()
    _create_clients()
    _create_project_keys()
    _create_resources()
    _create_revoked_tokens()
    _create_setup_links()
    _create_signing_keys()
    _create_throttles()
    _create_users()
    _create_grants()
    _create_interactions()
    _create_sessions()
    _create_codes()
    _create_refresh_families()
