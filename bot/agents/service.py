"""What people can do with agents: start, reply, interrupt, stop, look around."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.agents.access.channel_settings import ChannelSettings
from bot.agents.context import Dependencies
from bot.agents.controls.allowance import BudgetControl
from bot.agents.controls.buttons import TaskControl
from bot.agents.controls.continuation import StepsControl
from bot.agents.controls.message_edits import MessageEdits
from bot.agents.controls.model import ModelControl
from bot.agents.controls.questions import Questions
from bot.agents.controls.quieting import VerbosityControl
from bot.agents.controls.reading import HandledMessages
from bot.agents.controls.turns import Turn, Turns
from bot.agents.deadlines import INTERRUPT_WAIT_SECONDS
from bot.agents.lifecycle.failures import why_not
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.ports.store import (
    Transaction,
)
from bot.agents.results import Results
from bot.agents.start import Origin, Starter
from bot.agents.stop import Stopper
from bot.domain.agent import Agent, AgentStatus, Leftover, ThreadRef
from bot.domain.attachment import Attachment
from bot.domain.container import (
    BridgeAddress,
)
from bot.domain.message import Message, MessageKind
from bot.domain.model_offer import ModelOffer
from bot.domain.policy import (
    Audit,
)
from bot.domain.quoting import code
from bot.domain.replies import is_restart
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
        self._stopper = Stopper(deps, fleet)
        # Replies in one thread are stored in the order of their arrival.
        self.turns = Turns()
        self._models = ModelControl(deps, fleet)
        self._quieting = VerbosityControl(deps)
        self.continuation = StepsControl(deps, fleet)
        self.allowance = BudgetControl(deps, fleet)
        self.questions = Questions(deps, fleet)
        self.control = TaskControl(deps, fleet)
        self._starter = Starter(deps, fleet, self._stopper)
        self.hide = deps.hide
        self.rulebook = ChannelSettings(deps)
        self.reading = HandledMessages(deps)
        self.revision = MessageEdits(deps)
        self.results = Results(deps)

    async def start(
        self, command: StartAgent, origin: Origin, opening: Opening = NOTHING
    ) -> Agent | None:
        """Start an agent; None when this very message has started one already.

        Raises UserError, and leaves nothing behind then.
        """
        return await self._starter.start(command, origin, opening)

    async def reply(self, reply: ThreadMessage, turn: Turn | None = None) -> bool:
        """Take a reply up; False when the thread is not ours.

        The same message twice has one effect. What interrupts waits for no other reply; another
        one waits for its `turn`, which it takes now when it has none yet.
        """
        if reply.mode is ChatMode.INTERRUPT:
            return await self._reply(reply)
        if turn is not None:
            return await self._reply_in_turn(reply, turn)
        with self.turns.taken(reply.thread) as taken:
            return await self._reply_in_turn(reply, taken)

    async def _reply_in_turn(self, reply: ThreadMessage, turn: Turn) -> bool:
        # The provider may take long to say whether it has a model; only this thread waits for it.
        wish = await self._models.read(reply.thread, reply.text)
        await turn.come()
        if await self._quieting.take(
            reply.thread, reply.user, reply.ts, reply.text, reply.client_msg_id
        ):
            return True
        rest = await self._models.rest_of(wish, reply.thread, reply.ts, reply.client_msg_id)
        return await self._reply(replace(reply, text=rest))

    async def choose_model(self, agent_id: str, model: str, user: str, key: str) -> str:
        """Change the model as a form asks; the sentence that says so. Raises UserError."""
        return await self._models.choose(agent_id, model, user, key)

    async def _reply(self, reply: ThreadMessage) -> bool:
        agent = await self._deps.store.agent_of_thread(reply.thread)
        if agent is None:
            return False
        if not reply.text.strip():
            return True
        reply = replace(reply, text=self._deps.hide(reply.text))
        task_id = f"{agent.id}-{reply.ts}"
        async with self._deps.store.transaction() as tx:
            claimed = await tx.claim_message(
                agent.team, agent.channel, reply.ts, reply.client_msg_id
            )
            current = await tx.agent(agent.id) if claimed else None
            if current is None:
                return True
            await tx.note_read(agent.id, reply.ts)
            restarts = not current.alive and is_restart(reply.text)
            if restarts:
                current = await self._revive(tx, current)
                post = self._deps.presenter.mark(current, reply.ts, "received")
            elif not current.alive:
                text = why_not(current)
                post = self._deps.presenter.trouble(current, f"late:{reply.ts}", text)
            elif len(reply.text) > MAX_TASK_CHARS:
                post = self._deps.presenter.trouble(current, f"long:{reply.ts}", TOO_LONG)
            else:
                await tx.add_message(
                    Message(
                        reply.ts,
                        agent.id,
                        reply.user,
                        reply.text,
                        task_id,
                        reply.mode,
                        files=reply.files,
                        kind=MessageKind.REPLY,
                    )
                )
                fate = "queued" if reply.mode is ChatMode.QUEUE else "received"
                post = self._deps.presenter.mark(current, reply.ts, fate)
            await tx.enqueue(agent.id, post)
            if current.alive:
                audit = Audit(self._deps.clock(), reply.user, "agent.steer", agent.id, "allowed")
                await tx.add_audit(audit)
                current = await self._fleet.places.ask(tx, current, task_id)
        self._fleet.wake(current)
        return True

    async def _revive(self, tx: Transaction, agent: Agent) -> Agent:
        """A person wants an agent that has ended back: with what was kept, in a new container.

        What it was told after that was kept is handed over once more.
        """
        saved = await self._deps.store.saved_state(agent.id)
        await tx.hand_over_again(agent.id, saved.at if saved else 0.0)
        starting = agent.with_status(AgentStatus.STARTING, self._deps.clock())
        # Without a container it is this restart that goes on, even in the bot's next process.
        starting = replace(starting, container_id=None, leftover=Leftover.NOTHING)
        await tx.save_agent(starting)
        return starting

    async def interrupt(self, agent_id: str, task_id: str | None = None) -> None:
        """End the running task; container, workspace and conversation stay.

        Raises UserError when it is not `task_id` that runs.
        """
        agent = await self._alive(agent_id)
        if task_id is not None:
            await self.control.check_open(agent, task_id)
        address = await self._address(agent)
        if address is None:
            raise UserError("The agent is still starting. Stop it, or wait a moment.")
        await self._deps.bridge.interrupt(address, INTERRUPT_WAIT_SECONDS)

    async def stop(self, agent_id: str, actor: str) -> None:
        """Kill the running tool, save what changed, remove the container, tell the thread."""
        await self._stopper.stop(await self._alive(agent_id), actor)

    async def stop_by_word(self, agent: Agent, word: ThreadMessage) -> None:
        """Stop as a message in the thread asks; the same message stops once, ever."""
        if await self.reading.done(agent, word.ts):
            return
        try:
            await self.stop(agent.id, word.user)
        except UserError:
            await self.reading.note(agent, word.ts, word.client_msg_id)
            raise
        await self.reading.note(agent, word.ts, word.client_msg_id)

    async def settle(self) -> None:
        """Store what a full disk kept from being stored; raises StoreUnavailable."""
        await self._stopper.settle()

    async def _address(self, agent: Agent) -> BridgeAddress | None:
        container = await self._deps.runtime.find(agent.id)
        if container is None or container.endpoint is None:
            return None
        return self._deps.address(agent.id, container.endpoint)

    async def find(self, agent_id: str) -> Agent:
        """The agent with this id; raises UserError when there is none."""
        agent = await self._deps.store.agent(agent_id)
        if agent is None:
            raise UserError(f"There is no agent {code(agent_id, 20)}. `/agent list` shows them.")
        return agent

    async def of_team(self, agent_id: str, team: str) -> Agent | None:
        """The agent with this id, if it is of this workspace."""
        agent = await self._deps.store.agent(agent_id)
        return agent if agent and agent.team == team else None

    async def started_by(self, team: str, user: str, limit: int) -> Sequence[Agent]:
        """A person's agents: those alive first, the newest first."""
        return await self._deps.store.agents_of(team, user, limit)

    async def of_thread(self, thread: ThreadRef) -> Agent | None:
        """The agent of this thread, alive or not."""
        return await self._deps.store.agent_of_thread(thread)

    async def of_message(self, team: str, channel: str, ts: str) -> Agent | None:
        """The agent whose thread a message belongs to."""
        return await self._deps.store.agent_of_message(team, channel, ts)

    async def running(self, channel: str | None = None) -> Sequence[Agent]:
        """The agents that are alive, newest first."""
        return await self._deps.store.agents(alive=True, channel=channel)

    @property
    def lists_repositories(self) -> bool:
        """Whether repositories can be searched for."""
        return self._deps.gateway.lists_repositories

    async def repositories(self, team: str, channel: str) -> Sequence[str]:
        """What an agent may be started on in this channel, as far as the git host lists it."""
        found = await self._deps.gateway.repositories()
        return await self.rulebook.allowed(found, team, channel)

    async def models(self) -> Sequence[ModelOffer]:
        """What the provider lists; raises UserError when it shows no list."""
        return await self._deps.gateway.models()

    async def diff(self, agent: Agent) -> Diff | None:
        """What changed so far; None when the bridge does not say."""
        try:
            address = await self._address(agent)
            return await self._deps.bridge.diff(address) if address else None
        except BotError:
            return None

    async def _alive(self, agent_id: str) -> Agent:
        agent = await self.find(agent_id)
        if not agent.alive:
            raise UserError(why_not(agent))
        return agent
