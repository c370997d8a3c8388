"""Does what people can do with agents: start, reply, interrupt, stop, find."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.agents.access.authorization import unknown_agent
from bot.agents.access.channel_settings import ChannelSettings
from bot.agents.context import Dependencies
from bot.agents.controls.buttons import TaskButtons
from bot.agents.controls.message_edits import HandledMessages, MessageEdits
from bot.agents.controls.model import ModelControl, VerbosityControl
from bot.agents.controls.questions import Questions
from bot.agents.controls.turns import Turn, Turns
from bot.agents.deadlines import INTERRUPT_WAIT_SECONDS
from bot.agents.lifecycle.failures import require_alive, why_not
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.ports.store import Transaction
from bot.agents.results import Results
from bot.agents.start import Origin, Starter
from bot.agents.stop import Stopper
from bot.domain.agent import Agent, AgentStatus, Leftover, ThreadRef
from bot.domain.attachment import Attachment
from bot.domain.message import Message, MessageKind
from bot.domain.policy import Audit
from bot.domain.posts import Post
from bot.domain.replies import read_message
from bot.domain.start_command import StartAgent
from bot.domain.thread_context import NOTHING, Opening
from bot.errors import BotError, UserError
from bridge.protocol import MAX_TASK_CHARS, ChatMode, Diff

__all__ = ["AgentService", "Origin", "ThreadMessage"]

TOO_LONG = (
    f"That message is longer than {MAX_TASK_CHARS:,} characters, so the agent did not get it. "
    "Shorten it, or send it in parts."
)


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A person's message in the thread of an agent."""

    thread: ThreadRef
    user: str
    ts: str
    text: str
    mode: ChatMode = ChatMode.STEER
    client_msg_id: str | None = None
    files: tuple[Attachment, ...] = ()


class AgentService:
    """Maps each thread to an agent. Raises UserError for what the person should read."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet
        self.store = deps.store
        self.gateway = deps.gateway
        self.stopper = Stopper(deps, fleet)
        # Replies in one thread are stored in the order of their arrival.
        self.turns = Turns()
        self.model_control = ModelControl(deps, fleet)
        self._verbosity = VerbosityControl(deps)
        self.questions = Questions(deps, fleet)
        self.buttons = TaskButtons(deps, fleet)
        self._starter = Starter(deps, fleet, self.stopper.is_stopping)
        self.hide = deps.hide
        self.channel_settings = ChannelSettings(deps)
        self.handled_messages = HandledMessages(deps)
        self.message_edits = MessageEdits(deps)
        self.results = Results(deps)

    async def start(
        self, command: StartAgent, origin: Origin, opening: Opening = NOTHING
    ) -> Agent | None:
        """Starts an agent; None when this very message has started one already.

        Raises UserError, and leaves nothing behind then.
        """
        return await self._starter.start(command, origin, opening)

    async def reply(self, reply: ThreadMessage, turn: Turn | None = None) -> bool:
        """Takes a reply; False when the thread has no agent.

        The same message twice has one effect. A reply that interrupts waits for no other reply;
        any other waits for its `turn`, which it takes now when it has none yet.
        """
        if reply.mode is ChatMode.INTERRUPT:
            return await self._reply(reply)
        if turn is not None:
            return await self._reply_in_turn(reply, turn)
        with self.turns.take_turn(reply.thread) as now:
            return await self._reply_in_turn(reply, now)

    async def _reply_in_turn(self, reply: ThreadMessage, turn: Turn) -> bool:
        # The provider may take long to say whether it has a model; only this thread waits for it.
        words = read_message(reply.text, reply.mode)
        model_reply = await self.model_control.read_model(reply.thread, words)
        await turn.wait()
        if await self._verbosity.apply_reply(
            reply.thread, reply.user, reply.ts, words.verbosity, reply.client_msg_id
        ):
            return True
        text = await self.model_control.apply_reply(
            model_reply, reply.thread, reply.ts, reply.client_msg_id
        )
        return await self._reply(replace(reply, text=text))

    async def _reply(self, reply: ThreadMessage) -> bool:
        agent = await self._deps.store.agent_of_thread(reply.thread)
        if agent is None:
            return False
        if not reply.text.strip():
            return True
        reply = replace(reply, text=self._deps.hide(reply.text))
        async with self._deps.store.transaction() as tx:
            claimed = await tx.claim_message(
                agent.team, agent.channel, reply.ts, reply.client_msg_id
            )
            current = await tx.agent(agent.id) if claimed else None
            if current is None:
                return True
            await tx.note_read(agent.id, reply.ts)
            current, post = await self._store_reply(tx, current, reply)
            await tx.enqueue(agent.id, post)
            if current.alive:
                audit = Audit(self._deps.clock(), reply.user, "agent.steer", agent.id, "allowed")
                await tx.add_audit(audit)
                current = await self._fleet.capacity.claim_place(
                    tx, current, _task_id(current, reply)
                )
        self._fleet.wake(current)
        return True

    async def _store_reply(
        self, tx: Transaction, agent: Agent, reply: ThreadMessage
    ) -> tuple[Agent, Post]:
        """Stores the effect of a reply; returns the agent after it, and the post about it."""
        presenter = self._deps.presenter
        if not agent.alive and read_message(reply.text, reply.mode).restart:
            starting = await self._restart(tx, agent)
            return starting, presenter.mark(starting, reply.ts, "received")
        if not agent.alive:
            return agent, presenter.trouble(agent, f"late:{reply.ts}", why_not(agent))
        if len(reply.text) > MAX_TASK_CHARS:
            return agent, presenter.trouble(agent, f"long:{reply.ts}", TOO_LONG)
        message = Message(
            reply.ts,
            agent.id,
            reply.user,
            reply.text,
            _task_id(agent, reply),
            reply.mode,
            files=reply.files,
            kind=MessageKind.REPLY,
        )
        await tx.add_message(message)
        fate = "queued" if reply.mode is ChatMode.QUEUE else "received"
        return agent, presenter.mark(agent, reply.ts, fate)

    async def _restart(self, tx: Transaction, agent: Agent) -> Agent:
        """Restarts an agent that has ended: from its saved state, in a new container.

        Messages that are newer than the saved state are delivered once more.
        """
        saved = await self._deps.store.saved_state(agent.id)
        await tx.hand_over_again(agent.id, saved.at if saved else 0.0)
        starting = agent.with_status(AgentStatus.STARTING, self._deps.clock())
        # Without a container the bot's next process continues this restart.
        starting = replace(starting, container_id=None, leftover=Leftover.NOTHING)
        await tx.save_agent(starting)
        return starting

    async def interrupt(self, agent_id: str, task_id: str | None = None) -> None:
        """Ends the running task; container, workspace and conversation stay.

        Raises UserError when it is not `task_id` that runs.
        """
        agent = await self._alive(agent_id)
        if task_id is not None:
            await self.buttons.check_open(agent, task_id)
        address = await self._deps.bridge_of(agent.id)
        if address is None:
            raise UserError("The agent is still starting. Stop it, or wait a moment.")
        await self._deps.bridge.interrupt(address, INTERRUPT_WAIT_SECONDS)

    async def stop(self, agent_id: str, actor: str) -> None:
        """Kills the running tool, saves the changes, removes the container, tells the thread."""
        await self.stopper.stop(await self._alive(agent_id), actor)

    async def stop_by_message(self, agent: Agent, message: ThreadMessage) -> None:
        """Stops as a message in the thread asks; the same message stops once, ever."""
        if await self.handled_messages.is_handled(agent, message.ts):
            return
        try:
            await self.stop(agent.id, message.user)
        except UserError:
            await self.handled_messages.store_handled(agent, message.ts, message.client_msg_id)
            raise
        await self.handled_messages.store_handled(agent, message.ts, message.client_msg_id)

    async def find_agent(self, agent_id: str) -> Agent:
        """Returns the agent with this id; raises UserError when there is none."""
        agent = await self._deps.store.agent(agent_id)
        if agent is None:
            raise unknown_agent(agent_id)
        return agent

    async def repositories(self, team: str, channel: str) -> Sequence[str]:
        """Returns the listed repositories on which an agent may be started in this channel."""
        names = await self._deps.gateway.repositories()
        return await self.channel_settings.allowed_repositories(names, team, channel)

    async def diff(self, agent: Agent) -> Diff | None:
        """Returns the changes so far; None when the bridge does not answer."""
        try:
            address = await self._deps.bridge_of(agent.id)
            return await self._deps.bridge.diff(address) if address else None
        except BotError:
            return None

    async def _alive(self, agent_id: str) -> Agent:
        return require_alive(await self.find_agent(agent_id))


def _task_id(agent: Agent, reply: ThreadMessage) -> str:
    return f"{agent.id}-{reply.ts}"
