"""Converts the product's values into rows, and rows into values."""

import json
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Case, Column, Row, case

from bot.domain.agent import (
    ALIVE,
    Agent,
    AgentStatus,
    Leftover,
    RepoRef,
    SecretScope,
)
from bot.domain.attachment import Attachment
from bot.domain.message import Message, MessageKind
from bot.domain.policy import Audit
from bot.domain.verbosity import Verbosity
from bridge.protocol import ChatMode

ALIVE_STATUSES = tuple(sorted(status.value for status in ALIVE))


def agent_values(agent: Agent) -> dict[str, Any]:
    """Returns the columns of an agent."""
    values = {item.name: getattr(agent, item.name) for item in fields(agent)}
    del values["repo"]
    return values | {
        "repo_owner": agent.repo.owner,
        "repo_name": agent.repo.name,
        "status": agent.status.value,
        "verbosity": agent.verbosity.value,
        "paid_by": agent.paid_by.value,
        "leftover": agent.leftover.value,
    }


def agent_of(row: Row[Any] | None) -> Agent | None:
    """Returns the agent in a row that has the columns of its table, and maybe others."""
    if row is None:
        return None
    values = dict(row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for it)
    repo = RepoRef(values.pop("repo_owner"), values.pop("repo_name"))
    known = {item.name: values[item.name] for item in fields(Agent) if item.name in values}
    known |= {
        "repo": repo,
        "status": AgentStatus(values["status"]),
        "verbosity": Verbosity(values["verbosity"]),
        "leftover": Leftover(values["leftover"]),
    }
    return Agent(**known | {"paid_by": SecretScope(values["paid_by"])})


def message_values(message: Message) -> dict[str, Any]:
    """Returns the columns of a message; its files are JSON, each an id and a name."""
    files = json.dumps([[file.id, file.name] for file in message.files])
    kinds = {"mode": message.mode.value, "kind": message.kind.value}
    return asdict(message) | kinds | {"files": files}


def message_of(row: Row[Any]) -> Message:
    """Returns the message in a row."""
    return Message(
        id=row.id,
        agent_id=row.agent_id,
        user=row.user,
        text=row.text,
        task_id=row.task_id,
        mode=ChatMode(row.mode),
        order=row.order,
        files=tuple(Attachment(*pair) for pair in json.loads(row.files)),
        kind=MessageKind(row.kind),
    )


def later(column: Column[str], ts: str) -> Case[str]:
    """Chooses the later of a stored ts and this one; Slack writes all with as many digits."""
    return case((column > ts, column), else_=ts)


def audit_values(entry: Audit) -> dict[str, Any]:
    """Returns the columns of an entry in the record; its texts are cut to what a column holds."""
    return asdict(entry) | {"subject": entry.subject[:300], "outcome": entry.outcome[:300]}
