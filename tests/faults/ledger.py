"""Compares what the bot has stored of a thread with what Slack shows of it."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.slack.slack_state import BOT_USER_ID
from tests.e2e.conftest import Deployment, docker

Json = dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """One thread: the rows of its agent, and the messages that people see."""

    agent_id: str
    events: list[Json]
    posts: dict[str, Json]
    shown: list[Json]

    def check(self) -> None:
        """Everything that was stored is shown, once and in its newest version; nothing else is."""
        numbers = [event["seq"] for event in self.events]
        assert numbers == list(range(1, len(numbers) + 1))
        assert {post["state"] for post in self.posts.values()} == {"sent"}, self.posts
        messages = {
            post["id"]: post
            for post in self.posts.values()
            if post["kind"] == "message" and not post["under"]
        }
        copies = Counter(_outbox_id(message) for message in self.shown if not message.get("files"))
        assert copies == Counter(dict.fromkeys(messages, 1))
        for message in self.shown:
            if not message.get("files"):
                post = messages[str(_outbox_id(message))]
                below = [p for p in self.posts.values() if p["under"] == post["key"]]
                parts = [post, *sorted(below, key=lambda p: p["position"])]
                texts = [json.loads(part["payload"])["text"] for part in parts]
                assert message["text"] == "\n".join(texts)
        self._check_tasks()
        self._check_files()

    def _check_tasks(self) -> None:
        assert "root" in self.posts
        ended = [event["task_id"] for event in self.events if event["type"] == "task_finished"]
        assert len(ended) == len(set(ended))
        cards = {key for key in self.posts if key.startswith("card:")}
        assert cards == {f"card:{task}" for task in ended}
        answers = {key for key in self.posts if key.startswith("answer:")}
        assert answers <= {f"answer:{task}:0" for task in ended}

    def _check_files(self) -> None:
        filed = [key for key, post in self.posts.items() if post["kind"] == "file"]
        shared = [file["id"] for message in self.shown for file in message.get("files", ())]
        assert len(shared) == len(set(shared)) == len(filed)


def ledger(deployment: Deployment, thread: str, channel: str) -> Ledger:
    """Read it while the bot is away, or at rest."""
    shown = [
        message
        for message in deployment.person().thread(channel, thread)
        if message["user"] == BOT_USER_ID
    ]
    with closing(sqlite3.connect(database(deployment.bot.data_dir))) as connection:
        connection.row_factory = sqlite3.Row
        [agent] = connection.execute("SELECT id FROM agent WHERE thread_ts = ?", (thread,))
        mine = (agent["id"],)
        events = connection.execute("SELECT body FROM event WHERE agent_id = ? ORDER BY seq", mine)
        stored = [json.loads(row["body"]) for row in events]
        posts = connection.execute("SELECT * FROM outbox WHERE agent_id = ?", mine)
        return Ledger(agent["id"], stored, {row["key"]: dict(row) for row in posts}, shown)


def database(data_dir: Path) -> str:
    """The one database of a bot."""
    [path] = data_dir.glob("*.db")
    return str(path)


def events_of_bridge(container: str) -> list[Json]:
    """The bridge's own log, as it is on its disk."""
    lines = docker("exec", "--user", "10001", container, "cat", "/state/events.jsonl").splitlines()
    return [json.loads(line) for line in lines]


def _outbox_id(message: Json) -> object:
    metadata = message.get("metadata") or {}
    return metadata.get("event_payload", {}).get("outbox_id")
