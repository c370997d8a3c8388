"""What a message is, as a column; the beginning of its id told it before."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_NAMED = ("pressed", "answer", "resume", "undo")


def upgrade() -> None:
    """Every message so far gets the kind that its id begins with; the others are replies."""
    with op.batch_alter_table("message") as batch:
        batch.add_column(sa.Column("kind", sa.Text(), nullable=False, server_default="reply"))
    message = sa.table("message", sa.column("id", sa.Text), sa.column("kind", sa.Text))
    op.execute(message.update().where(message.c.id == "start").values(kind="start"))
    for kind in _NAMED:
        begins = message.c.id.startswith(f"{kind}:")
        op.execute(message.update().where(begins).values(kind=kind))
