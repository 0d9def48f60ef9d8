"""Passkeys, authenticator apps, recovery codes, and sign-ins that wait for their second step."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _of_person(table: str) -> sa.ForeignKeyConstraint:
    columns = ["project_id", "user_id"]
    name = f"fk_{table}_users"
    return sa.ForeignKeyConstraint(columns, [f"users.{column}" for column in columns], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "passkeys",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("passkey_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("is_backup_eligible", sa.BigInteger(), nullable=False),
        sa.Column("is_backed_up", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        _of_person("passkeys"),
        sa.PrimaryKeyConstraint("project_id", "passkey_id", name="pk_passkeys"),
    )
    op.create_index("ix_passkeys_project_id_credential_id", "passkeys", ["project_id", "credential_id"], unique=True)
    op.create_index("ix_passkeys_project_id_user_id", "passkeys", ["project_id", "user_id"])
    op.create_table(
        "totp_secrets",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        _of_person("totp_secrets"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name="pk_totp_secrets"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        _of_person("recovery_codes"),
        sa.PrimaryKeyConstraint("project_id", "code_hash", name="pk_recovery_codes"),
    )
    op.create_index("ix_recovery_codes_project_id_user_id", "recovery_codes", ["project_id", "user_id"])
    op.create_table(
        "pending_sign_ins",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        _of_person("pending_sign_ins"),
        sa.PrimaryKeyConstraint("project_id", "token_hash", name="pk_pending_sign_ins"),
    )
    op.create_index("ix_pending_sign_ins_project_id_user_id", "pending_sign_ins", ["project_id", "user_id"])
    op.create_index("ix_pending_sign_ins_expires_at", "pending_sign_ins", ["expires_at"])
