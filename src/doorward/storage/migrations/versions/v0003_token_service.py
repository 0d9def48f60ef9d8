"""The token service: every grant, epochs, the revocation feed, pushed and device requests, and the timeline."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NEW_COLUMNS = (
    ("projects", sa.Column("void_before", sa.BigInteger(), server_default="0", nullable=False)),
    ("projects", sa.Column("stopped_at", sa.BigInteger(), nullable=True)),
    ("projects", sa.Column("revocation_seq", sa.BigInteger(), server_default="0", nullable=False)),
    ("resources", sa.Column("settings", sa.Text(), server_default="{}", nullable=False)),
    ("resources", sa.Column("void_before", sa.BigInteger(), server_default="0", nullable=False)),
    ("resources", sa.Column("stopped_at", sa.BigInteger(), nullable=True)),
    ("clients", sa.Column("fingerprint", sa.Text(), nullable=True)),
    ("users", sa.Column("void_before", sa.BigInteger(), server_default="0", nullable=False)),
    ("grants", sa.Column("kind", sa.Text(), server_default="consent", nullable=False)),
    ("grants", sa.Column("device_label", sa.Text(), server_default="", nullable=False)),
    ("grants", sa.Column("device_id", sa.LargeBinary(), nullable=True)),
    ("grants", sa.Column("auth_time", sa.BigInteger(), nullable=True)),
    ("grants", sa.Column("granted_by", sa.Text(), nullable=True)),
    ("grants", sa.Column("alias", sa.Text(), nullable=True)),
    ("codes", sa.Column("dpop_jkt", sa.Text(), nullable=True)),
    ("refresh_families", sa.Column("dpop_jkt", sa.Text(), nullable=True)),
    ("refresh_families", sa.Column("last_source", sa.Text(), nullable=True)),
    ("refresh_families", sa.Column("last_agent", sa.Text(), nullable=True)),
)


def _create_spent_ids() -> None:
    op.create_table(
        "spent_ids",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("space", sa.Text(), nullable=False),
        sa.Column("id_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_spent_ids_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "space", "id_hash", name=op.f("pk_spent_ids")),
    )
    op.create_index(op.f("ix_spent_ids_project_id_expires_at"), "spent_ids", ["project_id", "expires_at"])


def _create_identities() -> None:
    op.create_table(
        "identities",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "user_id"],
            ["users.project_id", "users.user_id"],
            name=op.f("fk_identities_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "issuer", "subject", name=op.f("pk_identities")),
    )
    op.create_index(op.f("ix_identities_project_id_user_id"), "identities", ["project_id", "user_id"])


def _create_access_tokens() -> None:
    op.create_table(
        "access_tokens",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_access_tokens_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "token_hash", name=op.f("pk_access_tokens")),
    )
    op.create_index(op.f("ix_access_tokens_project_id_expires_at"), "access_tokens", ["project_id", "expires_at"])


def _create_revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("void_before", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_revocations_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "seq", name=op.f("pk_revocations")),
    )
    op.create_index(op.f("ix_revocations_project_id_expires_at"), "revocations", ["project_id", "expires_at"])


def _create_pushed_requests() -> None:
    op.create_table(
        "pushed_requests",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("dpop_jkt", sa.Text(), nullable=True),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_pushed_requests_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "request_hash", name=op.f("pk_pushed_requests")),
    )
    op.create_index(op.f("ix_pushed_requests_project_id_expires_at"), "pushed_requests", ["project_id", "expires_at"])


def _create_device_codes() -> None:
    op.create_table(
        "device_codes",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("device_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("dpop_jkt", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("interval_ms", sa.BigInteger(), nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_device_codes_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "device_hash", name=op.f("pk_device_codes")),
    )
    op.create_index(op.f("ix_device_codes_project_id_expires_at"), "device_codes", ["project_id", "expires_at"])
    op.create_index(
        op.f("ix_device_codes_project_id_user_code_hash"), "device_codes", ["project_id", "user_code_hash"], unique=True
    )


def _create_exchange_rules() -> None:
    op.create_table(
        "exchange_rules",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("from_resource_id", sa.Text(), nullable=True),
        sa.Column("to_resource_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "client_id"],
            ["clients.project_id", "clients.client_id"],
            name=op.f("fk_exchange_rules_clients"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "to_resource_id"],
            ["resources.project_id", "resources.resource_id"],
            name=op.f("fk_exchange_rules_resources"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "rule_id", name=op.f("pk_exchange_rules")),
    )
    op.create_index(op.f("ix_exchange_rules_project_id_client_id"), "exchange_rules", ["project_id", "client_id"])


def _create_trusted_issuers() -> None:
    op.create_table(
        "trusted_issuers",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("trust_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("jwks_uri", sa.Text(), nullable=True),
        sa.Column("jwks", sa.Text(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("void_before", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_trusted_issuers_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "trust_id", name=op.f("pk_trusted_issuers")),
    )
    op.create_index(
        op.f("ix_trusted_issuers_project_id_issuer_kind"), "trusted_issuers", ["project_id", "issuer", "kind"]
    )


def _create_timeline_events() -> None:
    op.create_table(
        "timeline_events",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("flow", sa.Text(), nullable=True),
        sa.Column("grant_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.project_id"], name=op.f("fk_timeline_events_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "at", "event_id", name=op.f("pk_timeline_events")),
    )
    op.create_index(
        op.f("ix_timeline_events_project_id_client_id_at"), "timeline_events", ["project_id", "client_id", "at"]
    )
    op.create_index(op.f("ix_timeline_events_project_id_reference"), "timeline_events", ["project_id", "reference"])


def upgrade() -> None:
    for table, column in _NEW_COLUMNS:
        op.add_column(table, column)
    op.create_index(op.f("ix_clients_project_id_fingerprint"), "clients", ["project_id", "fingerprint"])
    _create_spent_ids()
    _create_identities()
    _create_access_tokens()
    _create_revocations()
    _create_pushed_requests()
    _create_device_codes()
    _create_exchange_rules()
    _create_trusted_issuers()
    _create_timeline_events()
    op.execute(
        "INSERT INTO spent_ids (project_id, space, id_hash, expires_at) "
        "SELECT project_id, 'client:' || client_id, jti_hash, expires_at FROM assertion_ids"
    )
    op.drop_table("assertion_ids")
