"""The tables. Times are seconds since the epoch, UTC; a `body` or `payload` is JSON."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.types import TypeDecorator

# BIGINT would not count by itself in SQLite.
_Counter = BigInteger().with_variant(Integer(), "sqlite")


class SafeText(TypeDecorator[str]):
    """Text from anywhere: what no database can hold (NUL, half a surrogate pair) is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002, D102
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)

agent = Table(
    "agent",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("team", SafeText, nullable=False),
    Column("channel", SafeText, nullable=False),
    Column("thread_ts", SafeText),
    Column("repo_owner", SafeText, nullable=False),
    Column("repo_name", SafeText, nullable=False),
    Column("source_branch", SafeText),
    Column("target_branch", SafeText, nullable=False),
    Column("title", SafeText, nullable=False),
    Column("model", SafeText, nullable=False),
    Column("max_steps", Integer, nullable=False),
    Column("started_by", SafeText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("status", SafeText, nullable=False),
    Column("container_id", SafeText),
    Column("task_id", SafeText),
    Column("task_number", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("cost_usd", Double),
    Column("base_commit", SafeText),
    Column("status_since", Double, nullable=False),
    Column("revived_at", Double, nullable=False),
    Column("read_ts", SafeText, nullable=False),
    Column("budget_nano", BigInteger),
    Column("spent_nano", BigInteger, nullable=False, server_default=text("0")),
    Column("placed", Boolean, nullable=False, server_default=false()),
    Column("waiting_since", Double, nullable=False, server_default=text("0")),
    Column("verbosity", SafeText, nullable=False, server_default="normal"),
    Column("paid_by", SafeText, nullable=False, server_default=text("'deployment'")),
    Column("starter_name", SafeText, nullable=False, server_default=text("''")),
    Column("leftover", SafeText, nullable=False, server_default=text("'nothing'")),
    Index(None, "team", "channel", "thread_ts"),
    Index(None, "status"),
)

# One row for each numbered event of an agent's bridge; `kind` is the `type` in its body.
event = Table(
    "event",
    metadata,
    Column("agent_id", SafeText, ForeignKey(agent.c.id, ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("task_id", SafeText),
    Column("body", Text, nullable=False),
    Column("kind", SafeText, nullable=False, server_default=text("''")),
    Index(None, "agent_id", "kind", "seq"),
    Index(None, "agent_id", "task_id", "seq", "kind"),
)

# A person's messages to an agent, kept until the bridge has them and for the record after that.
message = Table(
    "message",
    metadata,
    Column("agent_id", SafeText, ForeignKey(agent.c.id, ondelete="CASCADE"), primary_key=True),
    Column("id", SafeText, primary_key=True),
    Column("user", SafeText, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("task_id", SafeText, nullable=False),
    Column("mode", SafeText, nullable=False),
    Column("order", Integer, nullable=False),
    Column("delivered_at", Double),
    Column("files", SafeText, nullable=False, server_default="[]"),
    Column("kind", SafeText, nullable=False, server_default="reply"),
)

# What the host keeps of an agent's container, to go on without it.
saved = Table(
    "saved",
    metadata,
    Column("agent_id", SafeText, ForeignKey(agent.c.id, ondelete="CASCADE"), primary_key=True),
    Column("conversation", LargeBinary, nullable=False),
    Column("patch", LargeBinary, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)

# What Slack sent us. The body is whole, because a restarted bot runs it again from here; so it
# holds `response_url` and `trigger_id`, which are capabilities for half an hour.
inbox = Table(
    "inbox",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("key", SafeText, nullable=False),
    Column("body", Text, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("done_at", Double),
    UniqueConstraint("key"),
    Index(None, "done_at"),
)

# A person's message that is ours to answer. Slack delivers a mention twice, and rarely the same
# message under another ts; then only `client_msg_id` is the same.
claim = Table(
    "claim",
    metadata,
    Column("team", SafeText, primary_key=True),
    Column("channel", SafeText, primary_key=True),
    Column("ts", SafeText, primary_key=True),
    Column("client_msg_id", SafeText),
    Column("claimed_at", Double, nullable=False),
    UniqueConstraint("client_msg_id"),
)

# What the threads should show. `position` keeps the order in which keys appeared; `id` travels in
# the message's metadata, so it is unguessable and unlike the ids of any earlier database.
# `file_id` is Slack's name of an upload that may or may not have been shared yet. `under` is the
# key of the post whose message it shares, below it; "" for one with a message of its own.
outbox = Table(
    "outbox",
    metadata,
    Column("position", _Counter, primary_key=True, autoincrement=True),
    Column("id", SafeText, nullable=False),
    Column("agent_id", SafeText, ForeignKey(agent.c.id, ondelete="CASCADE"), nullable=False),
    Column("key", SafeText, nullable=False),
    Column("kind", SafeText, nullable=False),
    Column("channel", SafeText, nullable=False),
    Column("thread_ts", SafeText),
    Column("priority", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("sent_version", Integer, nullable=False, server_default=text("0")),
    Column("state", SafeText, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("ts", SafeText),
    Column("file_id", SafeText),
    Column("error", SafeText),
    Column("gone", Boolean, nullable=False, server_default=false()),
    Column("failing_since", Double),
    Column("created_at", Double, nullable=False),
    Column("under", SafeText, nullable=False, server_default=text("''")),
    UniqueConstraint("id"),
    UniqueConstraint("agent_id", "key"),
    Index(None, "state"),
)

# Our own messages, so that a reaction on any of them finds its agent.
posted = Table(
    "posted",
    metadata,
    Column("channel", SafeText, primary_key=True),
    Column("ts", SafeText, primary_key=True),
    Column("agent_id", SafeText, ForeignKey(agent.c.id, ondelete="CASCADE"), nullable=False),
    Index(None, "agent_id"),
)

# The ledger: one row for each model call, written at its worst case before it is made. `nano` is
# billionths of a dollar. It outlives what the agents themselves leave.
usage = Table(
    "usage",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("agent_id", SafeText, nullable=False),
    Column("task_id", SafeText),
    Column("team", SafeText, nullable=False),
    Column("user", SafeText, nullable=False),
    Column("channel", SafeText, nullable=False),
    Column("model", SafeText, nullable=False),
    Column("provider", SafeText),
    Column("generation_id", SafeText),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("nano", BigInteger, nullable=False),
    Column("source", SafeText, nullable=False),
    Column("at", Double, nullable=False),
    Column("paid_by", SafeText, nullable=False, server_default=text("'deployment'")),
    Column("calls", BigInteger, nullable=False, server_default=text("1")),
    Index(None, "agent_id"),
    Index(None, "at"),
)
# Values that people have stored, encrypted. `owner` is a user, a channel or `owner/name`.
secret = Table(
    "secret",
    metadata,
    Column("team", SafeText, primary_key=True),
    Column("scope", SafeText, primary_key=True),
    Column("owner", SafeText, primary_key=True),
    Column("kind", SafeText, primary_key=True),
    Column("name", SafeText, primary_key=True),
    Column("ciphertext", Text, nullable=False),
    Column("exposed", Boolean, nullable=False),
    Column("created_by", SafeText, nullable=False),
    Column("at", Double, nullable=False),
)

# Who did what, and whether it was allowed.
audit = Table(
    "audit",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("actor", SafeText, nullable=False),
    Column("action", SafeText, nullable=False),
    Column("subject", SafeText, nullable=False),
    Column("outcome", SafeText, nullable=False),
    Index(None, "at"),
)

# What admins have set for a channel; a name that is not here has its default.
channel_setting = Table(
    "channel_setting",
    metadata,
    Column("team", SafeText, primary_key=True),
    Column("channel", SafeText, primary_key=True),
    Column("name", SafeText, primary_key=True),
    Column("value", SafeText, nullable=False),
)
