"""How much the thread of an agent shows."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every agent so far shows what it showed."""
    with op.batch_alter_table("agent") as batch:
        batch.add_column(sa.Column("verbosity", sa.Text(), nullable=False, server_default="normal"))
