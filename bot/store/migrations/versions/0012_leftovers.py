"""What a stop could not read of an agent, so that its files are kept for it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of agents that were stopped so far nothing is left."""
    with op.batch_alter_table("agent") as batch:
        batch.add_column(sa.Column("leftover", sa.Text(), nullable=False, server_default="nothing"))
