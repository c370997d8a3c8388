"""Posts that share the message of another, and the name of who started an agent."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every post so far has a message of its own; earlier starters are called by their id."""
    with op.batch_alter_table("outbox") as batch:
        batch.add_column(sa.Column("under", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("agent") as batch:
        batch.add_column(sa.Column("starter_name", sa.Text(), nullable=False, server_default=""))
