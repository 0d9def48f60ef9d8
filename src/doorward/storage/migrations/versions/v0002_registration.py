"""Registration complete: status, secrets and provenance of clients, and what registering needs beside them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NEW_CLIENT_COLUMNS = (
    sa.Column("status", sa.Text(), server_default="active", nullable=False),
    sa.Column("void_before", sa.BigInteger(), server_default="0", nullable=False),
    sa.Column("secret_expires_at", sa.BigInteger(), nullable=True),
    sa.Column("previous_secret_hash", sa.LargeBinary(), nullable=True),
    sa.Column("previous_secret_expires_at", sa.BigInteger(), nullable=True),
    sa.Column("registration_token_hash", sa.LargeBinary(), nullable=True),
    sa.Column("verified_by", sa.Text(), nullable=True),
    sa.Column("fresh_until", sa.BigInteger(), nullable=True),
    sa.Column("proposed", sa.Text(), nullable=True),
)


def _of_project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project_id"], ["projects.project_id"], name=op.f(f"fk_{table}_projects"), ondelete="CASCADE"
    )


def _create_tombstones() -> None:
    op.create_table(
        "client_tombstones",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        _of_project("client_tombstones"),
        sa.PrimaryKeyConstraint("project_id", "client_id", name=op.f("pk_client_tombstones")),
    )
    op.create_index(
        op.f("ix_client_tombstones_project_id_removed_at"), "client_tombstones", ["project_id", "removed_at"]
    )


def _create_initial_access_tokens() -> None:
    op.create_table(
        "initial_access_tokens",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("uses_left", sa.BigInteger(), nullable=False),
        _of_project("initial_access_tokens"),
        sa.PrimaryKeyConstraint("project_id", "token_hash", name=op.f("pk_initial_access_tokens")),
    )


def _create_software_issuers() -> None:
    op.create_table(
        "software_issuers",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("jwks", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        _of_project("software_issuers"),
        sa.PrimaryKeyConstraint("project_id", "issuer", name=op.f("pk_software_issuers")),
    )


def _create_assertion_ids() -> None:
    op.create_table(
        "assertion_ids",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("jti_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        _of_project("assertion_ids"),
        sa.PrimaryKeyConstraint("project_id", "client_id", "jti_hash", name=op.f("pk_assertion_ids")),
    )
    op.create_index(op.f("ix_assertion_ids_project_id_expires_at"), "assertion_ids", ["project_id", "expires_at"])


def upgrade() -> None:
    for column in _NEW_CLIENT_COLUMNS:
        op.add_column("clients", column)
    _create_tombstones()
    _create_initial_access_tokens()
    _create_software_issuers()
    _create_assertion_ids()
