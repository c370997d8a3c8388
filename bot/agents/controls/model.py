"""Changes the model in the middle of a thread, by a reply or a form; the conversation goes on."""

import hashlib
from dataclasses import dataclass, replace

from bot.agents.context import Dependencies
from bot.agents.controls.reading import HandledMessages
from bot.agents.lifecycle.failures import why_not
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.agent import Agent, AgentStatus, ThreadRef
from bot.domain.message import Message, MessageKind, message_id
from bot.domain.replies import reply_model
from bot.errors import UserError

# What a task at work is told when the person says nothing beyond the model's name.
GO_ON = "(I changed the model. Go on with the task where you are.)"
NO_NAME = "That is no model's name. For example `model: anthropic/claude-3.5-sonnet`."


@dataclass(frozen=True, slots=True)
class ModelWish:
    """A reply with the model that it asks for, if any, and why that one cannot be used."""

    text: str
    model: str | None = None
    rest: str = ""
    refusal: str = ""


class ModelControl:
    """Reads `model: NAME` at the beginning of a reply, and takes what a form chooses."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet
        self._reading = HandledMessages(deps)

    async def read(self, thread: ThreadRef, text: str) -> ModelWish:
        """Read which model a reply asks for, and ask the provider about it; changes nothing."""
        try:
            model, rest = reply_model(text)
        except UserError:  # its text repeats what was typed, which belongs into no thread
            return ModelWish(text, refusal=NO_NAME)
        # One that has ended may live again by the time that the reply's turn comes.
        if model is None or await self._deps.store.agent_of_thread(thread) is None:
            return ModelWish(text)
        try:
            await self._deps.gateway.check_model(model)
        except UserError as error:
            return ModelWish(text, model, rest, error.user_text)
        return ModelWish(text, model, rest)

    async def rest_of(
        self, wish: ModelWish, thread: ThreadRef, ts: str, client_msg_id: str | None = None
    ) -> str:
        """Change the model, if the reply asks for one, and return what the agent has to read.

        The same reply twice changes nothing the second time. A model that cannot be used is said
        in the thread, and nothing is left then.
        """
        if wish.model is None:
            if wish.refusal:
                return await self._refused(thread, ts, wish.refusal, client_msg_id)
            return wish.text
        agent = await self._deps.store.agent_of_thread(thread)
        if agent is None or not agent.alive:
            return wish.text
        if await self._reading.done(agent, ts):
            return ""
        if wish.refusal:
            return await self._refused(thread, ts, wish.refusal, client_msg_id)
        working = await self._change(agent.id, wish.model, ts)
        if wish.rest or working:
            return wish.rest or GO_ON
        await self._reading.note(agent, ts, client_msg_id)
        return ""

    async def choose(self, agent_id: str, model: str, user: str, key: str) -> str:
        """Change the model as a form asks, once for each `key`; the sentence that says so.

        Raises UserError when the agent has ended, or the model cannot be used.
        """
        await self._deps.gateway.check_model(model)
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(agent_id)
            if agent is None or not agent.alive:
                raise UserError(why_not(agent) if agent else "There is no such agent any more.")
            pressed_id = message_id(MessageKind.PRESSED, name)
            text = f"Model: `{model}` from the next step on. The conversation goes on."
            if not await tx.claim_message(agent.team, agent.channel, f"{agent.id}:{pressed_id}"):
                return text
            if model == agent.model:
                return f"`{model}` is the model already."
            await tx.save_agent(replace(agent, model=model))
            if _has_work(agent):
                message = Message(
                    pressed_id,
                    agent.id,
                    user,
                    GO_ON,
                    f"{agent.id}-{name}",
                    kind=MessageKind.PRESSED,
                )
                await tx.add_message(message)
            said = f"{text} Chosen by <@{user}>."
            await tx.enqueue(agent.id, self._deps.presenter.notice(agent, f"model:{name}", said))
        self._fleet.wake(agent)
        return text

    async def _change(self, agent_id: str, model: str, ts: str) -> bool:
        """Store the model and say so; whether a task is at work."""
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(agent_id)
            if agent is None:
                return False
            await tx.save_agent(replace(agent, model=model))
            text = f"Model: `{model}` from the next step on. The conversation goes on."
            await tx.enqueue(agent.id, self._deps.presenter.notice(agent, f"model:{ts}", text))
        return _has_work(agent)

    async def _refused(
        self, thread: ThreadRef, ts: str, text: str, client_msg_id: str | None
    ) -> str:
        agent = await self._deps.store.agent_of_thread(thread)
        if agent is not None:
            async with self._deps.store.transaction() as tx:
                post = self._deps.presenter.trouble(agent, f"model:{ts}", text)
                await tx.enqueue(agent.id, post)
            await self._reading.note(agent, ts, client_msg_id)
        return ""


def _has_work(agent: Agent) -> bool:
    return agent.status in {AgentStatus.WORKING, AgentStatus.STARTING}
