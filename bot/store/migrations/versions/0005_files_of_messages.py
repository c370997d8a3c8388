"""The files that people attached to their messages."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give each message its list of files."""
    with op.batch_alter_table("message") as batch:
        batch.add_column(sa.Column("files", sa.Text(), nullable=False, server_default="[]"))
