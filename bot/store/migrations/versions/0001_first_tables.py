"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "agent",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread_ts", sa.Text()),
        sa.Column("repo_owner", sa.Text(), nullable=False),
        sa.Column("repo_name", sa.Text(), nullable=False),
        sa.Column("source_branch", sa.Text()),
        sa.Column("target_branch", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("max_steps", sa.Integer(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("container_id", sa.Text()),
        sa.Column("task_id", sa.Text()),
        sa.Column("task_number", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", sa.Double()),
        sa.Column("base_commit", sa.Text()),
        sa.Column("status_since", sa.Double(), nullable=False),
        sa.Column("revived_at", sa.Double(), nullable=False),
        sa.Column("read_ts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent"),
    )
    op.create_index("ix_agent_status", "agent", ["status"])
    op.create_index("ix_agent_team_channel_thread_ts", "agent", ["team", "channel", "thread_ts"])
    op.create_table(
        "claim",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("ts", sa.Text(), nullable=False),
        sa.Column("client_msg_id", sa.Text()),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("team", "channel", "ts", name="pk_claim"),
        sa.UniqueConstraint("client_msg_id", name="uq_claim_client_msg_id"),
    )
    op.create_table(
        "saved",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("conversation", sa.LargeBinary(), nullable=False),
        sa.Column("patch", sa.LargeBinary(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name="fk_saved_agent_id_agent", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", name="pk_saved"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("done_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sa.UniqueConstraint("key", name="uq_inbox_key"),
    )
    op.create_index("ix_inbox_done_at", "inbox", ["done_at"])
    op.create_table(
        "event",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.Text()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "seq", name="pk_event"),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name="fk_event_agent_id_agent", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "message",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("order", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.Double()),
        sa.PrimaryKeyConstraint("agent_id", "id", name="pk_message"),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name="fk_message_agent_id_agent", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "outbox",
        sa.Column("position", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread_ts", sa.Text()),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("sent_version", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("ts", sa.Text()),
        sa.Column("file_id", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("gone", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("failing_since", sa.Double()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_outbox"),
        sa.UniqueConstraint("agent_id", "key", name="uq_outbox_agent_id_key"),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name="fk_outbox_agent_id_agent", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
    )
    op.create_index("ix_outbox_state", "outbox", ["state"])
    op.create_table(
        "posted",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("ts", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "ts", name="pk_posted"),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name="fk_posted_agent_id_agent", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_posted_agent_id", "posted", ["agent_id"])
