"""Drives one agent while the bot runs: boots it, follows its events, delivers its messages."""

import asyncio
import functools
import logging
from contextlib import aclosing

from bot.agents.context import Dependencies
from bot.agents.lifecycle.boot import (
    Boot,
    ended,
)
from bot.agents.lifecycle.branch import BranchPusher
from bot.agents.lifecycle.failures import how_it_ended
from bot.agents.lifecycle.message_delivery import RETRY_SECONDS, MessageDelivery
from bot.agents.lifecycle.progress import Progress
from bot.domain.agent import Agent, AgentStatus
from bot.domain.container import BridgeAddress
from bot.domain.saved_state import SavedState
from bot.errors import (
    BotError,
    BridgeRefused,
    BridgeUnreachable,
    ContainerEnded,
    ContainerGone,
    EngineError,
    NoAnswer,
)
from bridge.protocol import Outcome, QuestionAsked, TaskFinished, TaskPaused

logger = logging.getLogger(__name__)

# A container that ends twice within this time is not started a third time.
CRASH_LOOP_SECONDS = 60.0


class AgentRun:
    """Everything that a run does can be done again after a restart of the bot."""

    def __init__(self, deps: Dependencies, agent: Agent) -> None:
        self._deps = deps
        self._agent_id = agent.id
        self._asleep = agent.status is AgentStatus.SLEEPING
        # A person asked for a new container in place of one that is lost.
        self._fresh = (
            agent.status is AgentStatus.STARTING
            and agent.base_commit is not None
            and agent.container_id is None
        )
        self.progress = Progress(deps, agent)
        self._boot = Boot(
            deps, self.progress.show_phase, self.progress.explain_failure, fresh=self._fresh
        )
        self._branch = BranchPusher(deps)
        self._delivery = MessageDelivery(deps, agent.id)

    def wake(self) -> None:
        """Starts the delivery of a new message."""
        self._delivery.wake()

    async def run(self) -> None:
        """Drives the agent until cancelled, or until it sleeps.

        Raises ContainerGone, ContainerEnded, EngineError, BridgeRefused or BridgeUnreachable.
        """
        agent = await self._stored()
        if not agent.alive:
            return
        await self.progress.restore(agent)
        if self._asleep or self._fresh:
            await self._announce_next(agent)
        resume = self._asleep
        while True:
            try:
                await self._live(resume=resume)
            except ContainerEnded as ended:
                if not await self._revive(ended):
                    return
                resume = True
            except NoAnswer as error:
                logger.warning("asking again about %s: %s", self._agent_id, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _live(self, *, resume: bool) -> None:
        address = await self._boot.boot(await self._stored(), resume=resume)
        await self._store_awake()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(address))
                check = functools.partial(self._check_address, address)
                group.create_task(self._delivery.deliver(address, check))
        except ExceptionGroup as group_error:
            # Both tasks watch the same bridge: the first error is the cause.
            raise group_error.exceptions[0] from group_error

    async def _announce_next(self, agent: Agent) -> None:
        """Shows the boot on the card of the task that comes next, if one waits."""
        if self.progress.card.waits:
            return  # what comes now is for the task that waits
        waiting = await self._deps.store.undelivered(agent.id)
        following = next((message for message in waiting if message.begins_task), None)
        if following:
            self.progress.begin_task(agent, following.task_id)

    async def _store_awake(self) -> None:
        """Stores that the container is up: an agent that slept is idle, a fresh one says so."""
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(self._agent_id)
            if agent is None:
                return
            booting = agent.status is AgentStatus.STARTING and agent.base_commit is not None
            if agent.status is AgentStatus.SLEEPING or booting:
                await tx.save_agent(agent.with_status(AgentStatus.IDLE, self._deps.clock()))
            if self._fresh and booting:
                text = "▶ *Restarted.* Files and conversation are back; reply to go on."
                key = f"restarted:{agent.last_seq}"
                await tx.enqueue(agent.id, self._deps.presenter.notice(agent, key, text))
        self._asleep = self._fresh = False

    async def _revive(self, ended: ContainerEnded) -> bool:
        """Decides whether a container that ended by itself is started again; False: it stays down.

        One at work is started again, once a minute at most; an idle one sleeps until a reply.
        Raises the same error when it ends too often.
        """
        now = self._deps.clock()
        waiting = await self._deps.store.undelivered(self._agent_id)
        is_reported = await self._was_cut_short(now)
        logger.warning("%s", ended)
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(self._agent_id)
            if agent is None or not agent.alive:
                return False
            resting = agent.status in {AgentStatus.IDLE, AgentStatus.SLEEPING}
            if resting and not waiting:
                await tx.save_agent(agent.with_status(AgentStatus.SLEEPING, now))
                if is_reported:
                    return False
                text = f"💤 {how_it_ended(ended)} while it was idle. A reply wakes it."
                key = f"asleep:{agent.last_seq}"
                await tx.enqueue(agent.id, self._deps.presenter.notice(agent, key, text))
                return False
            if now - agent.revived_at < CRASH_LOOP_SECONDS:
                raise ended
            await tx.save_agent(agent.revived(now))
        self.progress.explain_failure(f"{how_it_ended(ended)} and was started again.")
        return True

    async def _was_cut_short(self, now: float) -> bool:
        """Checks whether its task failed with it just before: then the thread says so already."""
        end = await self._deps.store.newest_event(self._agent_id, TaskFinished)
        if end is None or end.outcome is not Outcome.FAILED:
            return False
        return now - end.at < CRASH_LOOP_SECONDS

    async def _follow(self, address: BridgeAddress) -> None:
        while True:
            try:
                after = (await self._stored()).last_seq
                async with aclosing(self._deps.bridge.events(address, after)) as events:
                    async for event in events:
                        await self.progress.take_event(event)
                        if isinstance(event, TaskFinished | QuestionAsked | TaskPaused):
                            await self._keep_state(address)
            except BridgeUnreachable as error:
                logger.warning("the event stream of %s is gone: %s", self._agent_id, error)
                await self._check_address(address)
            except BridgeRefused as error:
                logger.warning("the event stream of %s is refused: %s", self._agent_id, error)
                if await self._check_address(address):
                    # Its log ends before ours: these are not the files that we knew.
                    raise ContainerGone(f"the log of {self._agent_id} is another one") from error
            await asyncio.sleep(RETRY_SECONDS)

    async def _keep_state(self, address: BridgeAddress) -> None:
        """Keeps on the host what a fresh container would need."""
        # What is handed over from now on may be missing in it, and is handed over again then.
        now = self._deps.clock()
        try:
            conversation = await self._deps.bridge.export(address)
            patch = await self._deps.bridge.patch(address)
        except BotError as error:
            logger.warning("the state of %s was not kept: %s", self._agent_id, error)
            return
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(self._agent_id)
            if agent:
                state = SavedState(conversation, patch, agent.last_seq, now)
                await tx.save_state(agent.id, state)
        logger.debug("state kept of %s", self._agent_id)
        if agent:
            await self._branch.push(agent, address)

    async def _check_address(self, address: BridgeAddress) -> bool:
        """Checks that its container runs and answers there; False: the engine does not say.

        Raises ContainerGone, ContainerEnded, or NoAnswer when it has to be asked elsewhere: a
        container that was started again has another port, and its old one may be another's.
        """
        try:
            container = await self._deps.runtime.find(self._agent_id)
        except EngineError as error:
            logger.warning("the engine did not answer about %s: %s", self._agent_id, error)
            return False
        if container is None:
            raise ContainerGone(f"the container of {self._agent_id} is gone")
        if not container.running:
            raise ended(container)
        if container.endpoint != address.endpoint:
            raise NoAnswer(f"the container of {self._agent_id} is at {container.endpoint} now")
        return True

    async def _stored(self) -> Agent:
        agent = await self._deps.store.agent(self._agent_id)
        if agent is None:
            raise LookupError(f"agent {self._agent_id} is not stored")
        return agent
