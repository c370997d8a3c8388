"""Whose key model calls are made with."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Calls before this were made with keys that nobody noted: they count as the deployment's."""
    for table in ("agent", "usage"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(
                sa.Column("paid_by", sa.Text(), nullable=False, server_default="deployment")
            )
