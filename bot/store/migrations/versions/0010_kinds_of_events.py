"""The kind of an event as a column, so that the newest of a kind is found without reading all."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Within text a quotation mark is escaped, so the first match is the event's own field. Postgres
# cannot read JSON that holds a NUL, which a tool's output may.
_KIND = {
    "sqlite": "json_extract(body, '$.type')",
    "postgresql": """substring(body from '"type": ?"([^"]*)"')""",
}


def upgrade() -> None:
    """Every event so far gets the kind that its body names."""
    with op.batch_alter_table("event") as batch:
        batch.add_column(sa.Column("kind", sa.Text(), nullable=False, server_default=""))
    kind = _KIND[op.get_bind().dialect.name]
    op.execute(f"UPDATE event SET kind = coalesce({kind}, '')")  # noqa: S608  (words of ours)
    op.create_index("ix_event_agent_id_kind_seq", "event", ["agent_id", "kind", "seq"])
    of_task = ["agent_id", "task_id", "seq", "kind"]
    op.create_index("ix_event_agent_id_task_id_seq_kind", "event", of_task)
