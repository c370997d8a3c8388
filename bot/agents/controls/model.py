"""Changes the model or the verbosity in the middle of a thread; the conversation goes on."""

from dataclasses import dataclass, replace

from bot.agents.context import Dependencies
from bot.agents.controls.message_edits import HandledMessages
from bot.agents.controls.press import press_button, short_name
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.agent import Agent, AgentStatus, ThreadRef
from bot.domain.message import MessageKind
from bot.domain.policy import Audit
from bot.domain.replies import NO_SUCH_NAME, Reply
from bot.domain.verbosity import Verbosity
from bot.errors import UserError

# The message to a task at work when the person writes nothing beyond the model's name.
GO_ON = "(I changed the model. Go on with the task where you are.)"
NO_NAME = "That is no model's name. For example `model: anthropic/claude-3.5-sonnet`."


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A reply with the model that it asks for, if any, and why that model cannot be used.

    `message` is the text after the model's name.
    """

    text: str
    model: str | None = None
    message: str = ""
    refusal: str = ""


class ModelControl:
    """Reads `model: NAME` at the beginning of a reply, and takes what a form chooses."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet
        self._handled = HandledMessages(deps)

    async def read_model(self, thread: ThreadRef, reply: Reply) -> ModelReply:
        """Asks the provider about the model that a reply names; changes nothing."""
        text, model, message = reply.text, reply.model, reply.after_model
        if model == NO_SUCH_NAME:
            return ModelReply(text, refusal=NO_NAME)
        # One that has ended may live again by the time that the reply's turn comes.
        if model is None or await self._deps.store.agent_of_thread(thread) is None:
            return ModelReply(text)
        try:
            await self._deps.gateway.check_model(model)
        except UserError as error:
            return ModelReply(text, model, message, error.user_text)
        return ModelReply(text, model, message)

    async def apply_reply(
        self, reply: ModelReply, thread: ThreadRef, ts: str, client_msg_id: str | None = None
    ) -> str:
        """Changes the model, if the reply asks for one; returns the text for the agent.

        The same reply twice changes nothing the second time. A model that cannot be used is
        reported in the thread, and no text is left then.
        """
        if reply.model is None:
            if reply.refusal:
                return await self._refused(thread, ts, reply.refusal, client_msg_id)
            return reply.text
        agent = await self._deps.store.agent_of_thread(thread)
        if agent is None or not agent.alive:
            return reply.text
        if await self._handled.is_handled(agent, ts):
            return ""
        if reply.refusal:
            return await self._refused(thread, ts, reply.refusal, client_msg_id)
        working = await self._change(agent.id, reply.model, ts)
        if reply.message or working:
            return reply.message or GO_ON
        await self._handled.store_handled(agent, ts, client_msg_id)
        return ""

    async def choose_model(self, agent_id: str, model: str, user: str, key: str) -> str:
        """Changes the model as a form asks, once for each `key`; returns the sentence that says so.

        Raises UserError when the agent has ended, or the model cannot be used.
        """
        await self._deps.gateway.check_model(model)
        name = short_name(key)
        text = f"Model: `{model}` from the next step on. The conversation goes on."
        async with press_button(self._deps, self._fleet.wake, agent_id) as press:
            pressed_id = await press.claim(MessageKind.PRESSED, name)
            if not pressed_id:
                return text
            if model == press.agent.model:
                return f"`{model}` is the model already."
            if _has_work(press.agent):
                await press.store_message(pressed_id, user, GO_ON)
            press.agent = replace(press.agent, model=model)
            await press.tx.save_agent(press.agent)
            await press.post_notice(f"model:{name}", f"{text} Chosen by <@{user}>.")
        return text

    async def _change(self, agent_id: str, model: str, ts: str) -> bool:
        """Stores the model and tells the thread; returns whether a task is at work."""
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
            await self._handled.store_handled(agent, ts, client_msg_id)
        return ""


_VERBOSITY_TEXTS = {
    "quiet": "Quiet from now on: the answers alone. A card that is shown ends with its task.",
    "normal": "From now on: a live card for each task, and its answer.",
    "verbose": "From now on: a live card, and a message for each step.",
}


class VerbosityControl:
    """Sets how much a thread shows, as `verbosity: quiet|normal|verbose` in a reply asks."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def apply_reply(
        self,
        thread: ThreadRef,
        user: str,
        ts: str,
        verbosity: Verbosity | None,
        client_msg_id: str | None,
    ) -> bool:
        """Sets the verbosity that a reply asks for; False when it asks for none.

        The same reply twice has one effect.
        """
        agent = await self._deps.store.agent_of_thread(thread) if verbosity else None
        if verbosity is None or agent is None:
            return False
        async with self._deps.store.transaction() as tx:
            current = await tx.agent(agent.id)
            if current is None or not await tx.claim_message(
                agent.team, agent.channel, ts, client_msg_id
            ):
                return True
            await tx.note_read(agent.id, ts)
            await tx.save_agent(replace(current, verbosity=verbosity))
            entry = Audit(self._deps.clock(), user, "agent.verbosity", agent.id, verbosity.value)
            await tx.add_audit(entry)
            notice = _VERBOSITY_TEXTS[verbosity.value]
            post = self._deps.presenter.notice(current, f"verbosity:{ts}", notice)
            await tx.enqueue(agent.id, post)
        return True


def _has_work(agent: Agent) -> bool:
    return agent.status in {AgentStatus.WORKING, AgentStatus.STARTING}
