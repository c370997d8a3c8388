"""What Threadsmith says in a thread: each thing that happened becomes a post. Pure."""

import base64
from collections.abc import Callable, Sequence
from typing import assert_never

from bot.agents.ports import Saved
from bot.domain.agent import Agent
from bot.domain.budget import NANO
from bot.domain.card import TaskCard, ToolLine
from bot.domain.egress import Denial
from bot.domain.posts import Post, PostKind, Priority
from bot.domain.question import Closed
from bot.domain.secret import SecretScope
from bot.slack.render.blocks import Block, actions, button, context, markdown, section
from bot.slack.render.card import (
    BUDGETS,
    CONTINUE,
    DIFF,
    PATCH,
    PULL,
    PUSH,
    STOP,
    UNDO,
    card_blocks,
    changed,
    cost_of,
    tool_line,
)
from bot.slack.render.denied import denied_line
from bot.slack.render.evidence import evidence_line, plan_left
from bot.slack.render.question import question_blocks
from bot.slack.render.text import (
    MAX_FALLBACK_CHARS,
    code,
    cut,
    escaped,
    line,
    model_markdown,
    money,
    seconds,
    split_markdown,
)
from bridge.protocol import ErrorCode, ModelChanged, Outcome, QuestionAsked

SHOWN_FILES = 8
SHOWN_TOOLS = 10
REACTIONS = {"received": "eyes", "queued": "clock1", "used": "white_check_mark"}


class SlackVoice:
    """The posts of an agent; `stop_reaction` is the emoji's name without colons.

    `holds_secret` tells whether there is a known secret in a file's content.
    """

    def __init__(
        self, stop_reaction: str, holds_secret: Callable[[bytes], bool] = lambda _: False
    ) -> None:
        self._stop_reaction = stop_reaction
        self._holds_secret = holds_secret

    def root(self, agent: Agent) -> Post:
        """The message that starts the thread; in a thread that exists it is a reply."""
        facts = [code(str(agent.repo)) if agent.repo.exists else "an empty workspace"]
        if agent.source_branch and agent.repo.exists:
            facts.append(f"from {code(agent.source_branch)}")
        facts += [
            f"branch {code(agent.target_branch)}",
            escaped(agent.model.rpartition("/")[2]),
            f"started by <@{agent.started_by}>",
        ]
        hint = f"_Reply in the thread to steer or continue. :{self._stop_reaction}: stops it._"
        head = f"🤖 *{line(agent.title, 150)}*"
        blocks = [section(f"{head}\n{' · '.join(facts)}"), context(f"{hint}   {code(agent.id)}")]
        return _message(agent, "root", f"🤖 {line(agent.title, 150)}", blocks, Priority.NOTICE)

    def card(self, agent: Agent, card: TaskCard) -> Post:
        """The live card of a task; a line once the task has ended."""
        text, blocks = card_blocks(agent, card)
        return _message(agent, f"card:{card.task_id}", text, blocks, Priority.PROGRESS)

    def step(self, agent: Agent, card: TaskCard, number: int, lines: Sequence[ToolLine]) -> Post:
        """What one step of a task did, as a message of its own."""
        head = f"*Step {number}*"
        shown = [tool_line(tool) for tool in lines]
        blocks = [section("\n".join([head, *shown[:SHOWN_TOOLS]]))]
        if len(shown) > SHOWN_TOOLS:
            blocks.append(context(f"and {len(shown) - SHOWN_TOOLS} more"))
        text = f"Step {number}: {', '.join(escaped(tool.tool) for tool in lines[:SHOWN_TOOLS])}"
        return _message(agent, f"step:{card.task_id}:{number}", text, blocks, Priority.NOTICE)

    def answer(self, agent: Agent, card: TaskCard) -> Sequence[Post]:
        """The end of a task, in as many messages as its length needs."""
        heading, body = _ending(agent, card)
        parts = split_markdown(model_markdown(body)) if body else []
        messages: list[list[Block]] = [[markdown(part)] for part in parts] or [[]]
        if heading:
            messages[0].insert(0, section(heading))
        if evidence := evidence_line(card.evidence):
            messages[-1].append(context(evidence))
        messages[-1].append(context(_footer(agent, card)))
        messages[-1] += _buttons(agent, card)
        posts = []
        for index, blocks in enumerate(messages):
            fallback = heading if index == 0 and heading else ""
            text = fallback or escaped(cut(parts[index], MAX_FALLBACK_CHARS))
            key = f"answer:{card.task_id}:{index}"
            posts.append(_message(agent, key, text, blocks, Priority.ANSWER))
        return posts

    def question(
        self, agent: Agent, card: TaskCard, asked: QuestionAsked, closed: Closed | None = None
    ) -> Post:
        """A question to the people, or how it was closed."""
        text, blocks = question_blocks(agent, card, asked, closed)
        key = f"question:{asked.question_id}"
        return _message(agent, key, text, blocks, Priority.NOTICE)

    def stopped(self, agent: Agent, actor: str, seconds_: float, saved: Saved) -> Post:
        """Who stopped the agent, what was changed, and what is left of it."""
        by = f"<@{actor}>" if actor else "whoever runs Threadsmith"
        head = f"⏹ *Stopped by {by}* after {seconds(seconds_)}."
        tail = '_The container is gone. Reply "restart" to go on from here in a new one._'
        said = f"{head} {_kept(agent, saved)}"
        if saved.pushed:
            said += f" Its commits are on the branch {code(agent.target_branch)}."
        told = saved.card and "\n".join(filter(None, _state_of(saved.card)))
        blocks = [section(said), *([section(told)] if told else []), context(tail)]
        return _message(agent, f"stopped:{agent.last_seq}", said, blocks, Priority.ANSWER)

    def notice(self, agent: Agent, key: str, text: str) -> Post:
        """Something that happened and is no trouble; `text` is mrkdwn of ours."""
        return _message(agent, f"notice:{key}", text, [section(text)], Priority.NOTICE)

    def fallback(self, agent: Agent, event: ModelChanged) -> Post:
        """Another model goes on, and why; the words come from a container."""
        why = f"{line(event.error.message, 300)} " if event.error else ""
        text = f"{why}{code(event.model)} goes on in place of {code(event.previous)}."
        return self.notice(agent, f"fallback:{event.seq}", text)

    def denied(self, agent: Agent, key: str, command: str, hosts: Sequence[Denial]) -> Post:
        """A line about refused hosts; names and command come from a container."""
        return self.notice(agent, f"denied:{key}", denied_line(command, hosts))

    def trouble(self, agent: Agent, key: str, text: str) -> Post:
        """What went wrong and the next step; `text` is mrkdwn of ours, or plain words."""
        said = f"⚠ {text}"
        blocks = [section(said), context(code(agent.id))]
        return _message(agent, f"trouble:{key}", said, blocks, Priority.ANSWER)

    def patch(self, agent: Agent, key: str, patch: bytes) -> Post:
        """The changes as a file. The content travels as base64: a patch may hold any bytes.

        One with a secret in it is not shown: without the secret it would not be the changes.
        """
        if self._holds_secret(patch):
            said = (
                "The patch is not posted: a secret that is stored here is part of the changes. "
                "Tell the agent to take it out of the files; the changes themselves are kept."
            )
            return self.trouble(agent, f"patch:{key}", said)
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
        """A reaction on a person's message that says what became of it."""
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


def _ending(agent: Agent, card: TaskCard) -> tuple[str, str]:
    """Our own heading (mrkdwn, may be empty) and the model's text (markdown, may be empty)."""
    match card.outcome:
        case Outcome.COMPLETED | None:
            if card.answer.strip():
                return "", card.answer
            return "✓ *Done.* The model wrote no closing message.", ""
        case Outcome.STEP_LIMIT:
            return (
                f"⏸ *Step limit reached* ({card.max_steps}). Reply or press Continue to go on.",
                card.answer,
            )
        case Outcome.BUDGET_LIMIT:
            return _no_money(agent, card), card.answer
        case Outcome.INTERRUPTED:
            kept = "Files and conversation are kept; reply to go on."
            return f"⏹ *Interrupted* after {seconds(card.seconds)}. {kept}", card.answer
        case Outcome.FAILED:
            reason = card.error.message if card.error else "The task failed."
            said = line(reason, 600)
            again = 'Nothing is lost; reply "go on" to try again.'
            return f"⚠ {said} {again} {code(agent.id)}", card.answer


def _buttons(agent: Agent, card: TaskCard) -> list[Block]:
    value = f"{agent.id}:{card.task_id}"
    shown = []
    if card.outcome is Outcome.STEP_LIMIT:
        shown.append(button("Continue", CONTINUE, value))
    if card.outcome is Outcome.BUDGET_LIMIT:
        if _of_agent(card):
            shown += [button(f"+${usd}", name, value) for name, usd in BUDGETS.items()]
        shown.append(button("Stop", STOP, value, "danger"))
    if card.files:
        shown += [
            button("Show diff", DIFF, value),
            button("Patch", PATCH, value),
            button("Push branch", PUSH, value),
            button("Open pull request", PULL, value),
        ]
    if card.evidence.changed:
        shown.append(button("Undo", UNDO, value))
    return [actions(shown)] if shown else []


def _of_agent(card: TaskCard) -> bool:
    """Whether it is the agent's own budget that is used, which its people may raise."""
    return card.error is not None and card.error.code == ErrorCode.BUDGET_USED


def _no_money(agent: Agent, card: TaskCard) -> str:
    kept = "Files and conversation are kept."
    if _of_agent(card) and agent.budget_nano is not None:
        # Our own numbers: the error's came through the container.
        used, budget = money(agent.spent_nano / NANO), money(agent.budget_nano / NANO)
        rest = "" if agent.spent_nano >= agent.budget_nano else (
            " The next call might cost more than what is left."
        )  # fmt: skip
        return f"⏸ *Budget used: {used} of {budget}.*{rest} {kept}"
    reason = line(card.error.message, 300) if card.error else "The budget is used."
    return f"⏸ {reason} {kept} Reply to go on then."


def _kept(agent: Agent, saved: Saved) -> str:
    follows = "The patch follows as a file."
    if saved.diff is None:
        if saved.patch:
            return f"Its changes as of its last task are kept. {follows}"
        begun = agent.base_commit is not None
        return "Its changes could not be read." if begun else "It had not begun."
    files = saved.diff.files
    if not files:
        return "No file was changed."
    names = ", ".join(code(change.path, 60) for change in files[:SHOWN_FILES])
    more = f" and {len(files) - SHOWN_FILES} more" if len(files) > SHOWN_FILES else ""
    return f"Changed: {changed(files)} ({names}{more}). {follows}"


def _state_of(card: TaskCard) -> Sequence[str]:
    """What a stopped task had done and not done, by its plan, and what was checked."""
    return plan_left(card.plan), evidence_line(card.evidence)


def _footer(agent: Agent, card: TaskCard) -> str:
    facts = [code(agent.target_branch)]
    if card.files:
        facts.append(changed(card.files))
    facts.append(escaped((card.model or agent.model).rpartition("/")[2]))
    facts.append(f"{card.step} {'step' if card.step == 1 else 'steps'}")
    facts.append(seconds(card.seconds))
    if card.tokens:
        facts.append(f"{card.tokens:,} tokens")
    if cost := cost_of(agent, card):
        facts.append(cost)
    if payer := _payer(agent):
        facts.append(payer)
    return " · ".join(facts)


def _payer(agent: Agent) -> str:
    """Whose key the model calls were made with; nothing for the deployment's own."""
    match agent.paid_by:
        case SecretScope.USER:
            return f"paid by the key of <@{agent.started_by}>"
        case SecretScope.CHANNEL:
            return "paid by the key of this channel"
        case SecretScope.REPOSITORY | SecretScope.DEPLOYMENT:
            return ""
        case _:
            assert_never(agent.paid_by)
