"""Makes a post of each thing that Threadsmith says in a thread. Pure."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from bot.domain.agent import Agent, Leftover
from bot.domain.egress import Denial
from bot.domain.message import Closed
from bot.domain.posts import Post, PostKind, Priority
from bot.domain.quoting import code, cut, escaped, line
from bot.domain.saved_state import SavedWork
from bot.domain.task_card import TaskCard, ToolLine
from bot.slack.views.answer import answer_messages, starter
from bot.slack.views.blocks import Block, context, section
from bot.slack.views.evidence import evidence_line, plan_left
from bot.slack.views.notices import denied_line
from bot.slack.views.question import question_blocks
from bot.slack.views.task_card import (
    card_blocks,
    changed,
    tool_line,
)
from bot.slack.views.text import MAX_FALLBACK_CHARS, seconds
from bridge.protocol import ModelChanged, QuestionAsked

SHOWN_FILES = 8
SHOWN_TOOLS = 10
FOLLOWS = "The patch follows as a file."
OLDER_FOLLOWS = "The patch as of its last task follows now."
TOO_LARGE_TO_POST = (
    "The patch is larger than 20 MB, which is more than a thread should hold; it is kept for a "
    '"restart".'
)
UNREAD = (
    "Its newest changes could not be read in time: its files are kept, and the patch follows once "
    'it is read; "restart" goes on with them.'
)
UNREAD_CONVERSATION = "Its conversation could not be read in time; its files are kept until it is."
ONLY_FILES = (
    "Its newest changes are too large, or take too long, to be read (a patch may have 20 MB): its "
    'files are kept for some days, and "restart" goes on with them.'
)
REACTIONS = {"received": "eyes", "queued": "clock1", "used": "white_check_mark"}


class SlackPresenter:
    """Makes the posts of an agent; `stop_reaction` is the emoji's name without colons.

    `holds_secret` tells whether there is a known secret in a file's content; `native`: cards have
    Slack's own blocks for plans and tool calls, and plain ones for where these are refused.
    """

    def __init__(
        self,
        stop_reaction: str,
        holds_secret: Callable[[bytes], bool] = lambda _: False,
        *,
        native: bool = True,
    ) -> None:
        self._stop_reaction = stop_reaction
        self._holds_secret = holds_secret
        self._native = native

    def root(self, agent: Agent) -> Post:
        """Returns the message that starts the thread; in a thread that exists it is a reply."""
        facts = [code(str(agent.repo)) if agent.repo.exists else "an empty workspace"]
        if agent.source_branch and agent.repo.exists:
            facts.append(f"from {code(agent.source_branch)}")
        facts += [
            f"branch {code(agent.target_branch)}",
            escaped(agent.model.rpartition("/")[2]),
            f"started by {_name(agent)}",
        ]
        hint = f"_Reply in the thread to steer or continue. :{self._stop_reaction}: stops it._"
        head = f"🤖 *{line(agent.title, 150)}*"
        blocks = [section(f"{head}\n{' · '.join(facts)}"), context(f"{hint}   {code(agent.id)}")]
        return _message(agent, "root", f"🤖 {line(agent.title, 150)}", blocks, Priority.NOTICE)

    def card(self, agent: Agent, card: TaskCard) -> Post:
        """Returns the live card of a task; a line once the task has ended."""
        text, plain = card_blocks(agent, card)
        _, blocks = card_blocks(agent, card, native=self._native)
        post = _message(agent, f"card:{card.task_id}", text, blocks, Priority.PROGRESS)
        payload = post.payload if blocks == plain else {**post.payload, "plain": plain}
        return replace(post, payload=payload, beneath=True)

    def step(self, agent: Agent, card: TaskCard, number: int, lines: Sequence[ToolLine]) -> Post:
        """Shows one step of a task as a message of its own."""
        head = f"*Step {number}*"
        shown = [tool_line(tool) for tool in lines]
        blocks = [section("\n".join([head, *shown[:SHOWN_TOOLS]]))]
        if len(shown) > SHOWN_TOOLS:
            blocks.append(context(f"and {len(shown) - SHOWN_TOOLS} more"))
        text = f"Step {number}: {', '.join(escaped(tool.tool) for tool in lines[:SHOWN_TOOLS])}"
        return _message(agent, f"step:{card.task_id}:{number}", text, blocks, Priority.NOTICE)

    def answer(self, agent: Agent, card: TaskCard) -> Sequence[Post]:
        """Returns the end of a task, in as many messages as its length needs."""
        return [
            _message(agent, f"answer:{card.task_id}:{index}", text, blocks, Priority.ANSWER)
            for index, (text, blocks) in enumerate(answer_messages(agent, card))
        ]

    def question(
        self, agent: Agent, card: TaskCard, asked: QuestionAsked, closed: Closed | None = None
    ) -> Post:
        """Returns a question to the people, or how it was closed."""
        text, blocks = question_blocks(agent, card, asked, closed)
        key = f"question:{asked.question_id}"
        return _message(agent, key, text, blocks, Priority.NOTICE)

    def stopped(self, agent: Agent, actor: str, seconds_: float, saved: SavedWork) -> Post:
        """Tells who stopped the agent, what was changed, and what is kept."""
        by = f"<@{actor}>" if actor else "whoever runs Threadsmith"
        head = f"⏹ *Stopped by {by}* after {seconds(seconds_)}."
        tail = '_The container is gone. Reply "restart" to go on from here in a new one._'
        mention = starter(agent, agent.task_number)
        if mention and actor != agent.started_by:
            tail += f" · {mention}"
        summary = f"{head} {_kept(agent, saved)}"
        if saved.pushed:
            summary += f" Its commits are on the branch {code(agent.target_branch)}."
        work = saved.card and "\n".join(filter(None, _state_of(saved.card)))
        blocks = [section(summary), *([section(work)] if work else []), context(tail)]
        return _message(agent, f"stopped:{agent.last_seq}", summary, blocks, Priority.ANSWER)

    def salvaged(self, agent: Agent, saved: SavedWork) -> Post:
        """Tells what was read after the stop, as announced by the post about the stop."""
        text = f"📄 *Read after the stop.* {_kept(agent, saved)}"
        if saved.leftover is Leftover.FILES or not saved.newest:
            text = f"⚠ {_kept(agent, saved)}"
        key = f"salvaged:{agent.last_seq}"
        return _message(agent, key, text, [section(text)], Priority.NOTICE)

    def notice(self, agent: Agent, key: str, text: str) -> Post:
        """Tells something that happened and is no trouble; `text` is safe mrkdwn."""
        return _message(agent, f"notice:{key}", text, [section(text)], Priority.NOTICE)

    def fallback(self, agent: Agent, event: ModelChanged) -> Post:
        """Tells that another model goes on, and why; the words come from a container."""
        why = f"{line(event.error.message, 300)} " if event.error else ""
        text = f"{why}{code(event.model)} goes on in place of {code(event.previous)}."
        return self.notice(agent, f"fallback:{event.seq}", text)

    def denied(self, agent: Agent, key: str, command: str, hosts: Sequence[Denial]) -> Post:
        """Returns a line about refused hosts; names and command come from a container."""
        return self.notice(agent, f"denied:{key}", denied_line(command, hosts))

    def trouble(self, agent: Agent, key: str, text: str) -> Post:
        """Tells what went wrong and the next step; `text` is safe mrkdwn, or plain words."""
        marked = f"⚠ {text}"
        foot = " · ".join(filter(None, (code(agent.id), starter(agent, agent.task_number))))
        blocks = [section(marked), context(foot)]
        return _message(agent, f"trouble:{key}", marked, blocks, Priority.ANSWER)

    def patch(self, agent: Agent, key: str, patch: bytes) -> Post:
        """Returns the changes as a file. The content travels as base64: a patch may hold any bytes.

        One with a secret in it is not shown: without the secret it would not be the changes.
        """
        if self._holds_secret(patch):
            text = (
                "The patch is not posted: a secret that is stored here is part of the changes. "
                "Tell the agent to take it out of the files; the changes themselves are kept."
            )
            return self.trouble(agent, f"patch:{key}", text)
        payload = {
            "name": f"{agent.id}.patch",
            "title": f"Changes of {agent.id} against {agent.source_branch or 'the source branch'}",
            "content_base64": base64.b64encode(patch).decode("ascii"),
            "comment": "",
        }
        return Post(
            f"patch:{key}",
            PostKind.FILE,
            agent.channel,
            agent.thread_ts,
            Priority.ANSWER,
            payload,
        )

    def mark(self, agent: Agent, message_ts: str, fate: str, *, present: bool = True) -> Post:
        """Returns a reaction on a person's message that says what became of it."""
        name = REACTIONS[fate]
        payload = {"ts": message_ts, "name": name, "present": present}
        return Post(
            f"mark:{message_ts}:{name}",
            PostKind.REACTION,
            agent.channel,
            agent.thread_ts,
            Priority.REACTION,
            payload,
        )


def _message(agent: Agent, key: str, text: str, blocks: list[Block], priority: Priority) -> Post:
    payload = {"text": cut(text, MAX_FALLBACK_CHARS), "blocks": blocks}
    return Post(key, PostKind.MESSAGE, agent.channel, agent.thread_ts, priority, payload)


def _kept(agent: Agent, saved: SavedWork) -> str:
    """Returns what was changed, as far as it is known, and where it is kept."""
    if saved.leftover is Leftover.NOTHING and saved.diff is None and not saved.newest:
        if saved.patch:
            return f"Its changes as of its last task are kept. {FOLLOWS}"
        begun = agent.base_commit is not None
        return "Its changes could not be read." if begun else "It had not begun."
    return " ".join(filter(None, (_listed(saved), _whereabouts(saved))))


def _listed(saved: SavedWork) -> str:
    if saved.diff is None:
        if not saved.newest:
            return ""
        return "Its changes could not be listed." if saved.patch else "No file was changed."
    files = saved.diff.files
    if not files:
        return "No file was changed."
    names = ", ".join(code(change.path, 60) for change in files[:SHOWN_FILES])
    more = f" and {len(files) - SHOWN_FILES} more" if len(files) > SHOWN_FILES else ""
    return f"Changed: {changed(files)} ({names}{more})."


def _whereabouts(saved: SavedWork) -> str:
    follows = FOLLOWS if saved.fits else TOO_LARGE_TO_POST
    match saved.leftover:
        case Leftover.NOTHING:
            return follows if saved.patch else ""
        case Leftover.CONVERSATION:
            return f"{follows if saved.patch else ''} {UNREAD_CONVERSATION}".strip()
        case Leftover.PATCH | Leftover.FILES:
            why = UNREAD if saved.leftover is Leftover.PATCH else ONLY_FILES
            return f"{why} {OLDER_FOLLOWS}" if saved.patch and saved.fits else why
        case _:
            assert_never(saved.leftover)


def _state_of(card: TaskCard) -> Sequence[str]:
    """Returns the state of a stopped task by its plan, and its checks."""
    return plan_left(card.plan), evidence_line(card.evidence)


def _name(agent: Agent) -> str:
    """Returns the starter's name: a mention would notify them of what they just did."""
    return line(agent.starter_name, 80) if agent.starter_name else f"<@{agent.started_by}>"
