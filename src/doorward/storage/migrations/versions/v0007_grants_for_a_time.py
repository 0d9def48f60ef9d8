"""Grants for a time: what a person gave for an hour or a day ends by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("grants", sa.Column("expires_at", sa.BigInteger(), nullable=True))
