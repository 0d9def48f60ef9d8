"""Tools have versions: a grant knows which list of tools its person was shown."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("grants", sa.Column("tools_at", sa.BigInteger(), server_default="0", nullable=False))
