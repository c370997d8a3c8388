"""How many model calls a row of the ledger stands for: old ones are added up."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every row so far is one call."""
    with op.batch_alter_table("usage") as batch:
        batch.add_column(sa.Column("calls", sa.BigInteger(), nullable=False, server_default="1"))
