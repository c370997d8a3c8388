"""Starts agents: checks the command, stores the agent, posts its root message, launches it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.agents.context import Dependencies
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.agent import Agent, AgentStatus, RepoRef, branch_for, new_agent_id
from bot.domain.attachment import MAX_FILES_OF_A_MESSAGE
from bot.domain.budget import nano_of
from bot.domain.limits import HOUR_SECONDS, AgentLimits, start_refusal
from bot.domain.message import FIRST, Message, MessageKind
from bot.domain.policy import (
    Audit,
    ChannelRules,
    HouseRules,
    place_refusal,
)
from bot.domain.preferences import Preferences
from bot.domain.start_command import StartAgent, title_of
from bot.domain.thread_context import NOTHING, Opening
from bot.errors import ChannelUnavailable, NotAllowed

logger = logging.getLogger(__name__)

ROOT_SECONDS = 20.0
# What the bridge calls the beginning of an empty workspace.
EMPTY_BRANCH = "main"


@dataclass(frozen=True, slots=True)
class Origin:
    """The place and the person that a command came from.

    `claim` tells this input from all others, so that it has one effect however often it
    arrives: a message's ts, or what identifies a command or a form. `thread_ts` is the thread
    that the agent lives in; None where the agent opens one. `name` is what Slack calls the user.
    """

    team: str
    channel: str
    user: str
    claim: str = ""
    thread_ts: str | None = None
    client_msg_id: str | None = None
    name: str = ""


class Starter:
    """Starts an agent at once where it has a place; the others wait for one.

    `is_stopping` tells whether an agent is being stopped just now.
    """

    def __init__(
        self, deps: Dependencies, fleet: Fleet, is_stopping: Callable[[str], bool]
    ) -> None:
        self._deps = deps
        self._fleet = fleet
        self._is_stopping = is_stopping
        self._house = HouseRules.of(deps.settings)
        self._limits = AgentLimits.of(deps.settings)

    async def start(
        self, command: StartAgent, origin: Origin, opening: Opening = NOTHING
    ) -> Agent | None:
        """Starts an agent; None when this very message has started one already.

        Raises UserError, and leaves nothing behind then.
        """
        command = replace(command, task=self._deps.hide(command.task))
        await self._check_place(command.repo, origin)
        preferences = await self._preferences(origin)
        model = command.model or preferences.model or self._deps.settings.agent_model
        branch, _ = await asyncio.gather(
            self._branch(command),
            self._deps.gateway.check_model(model),
        )
        agent = replace(
            self._new_agent(command, origin, model, branch), verbosity=preferences.verbosity
        )
        with self._fleet.hold(agent.id):
            started = await self._open_and_launch(
                agent, self._first(agent, command, opening), origin
            )
        if started:
            # It may have got its place while nothing else could launch it.
            await self._launch_if_placed(agent.id)
        return started

    async def _preferences(self, origin: Origin) -> Preferences:
        store = self._deps.store
        here = await store.channel_settings(origin.team, origin.channel)
        return Preferences.of(here, await store.channel_settings(origin.team, origin.user))

    async def _branch(self, command: StartAgent) -> str:
        if not command.repo.exists:
            return EMPTY_BRANCH
        return await self._deps.gateway.check_repository(command.repo, command.branch)

    async def _check_place(self, repo: RepoRef, origin: Origin) -> None:
        stored = await self._deps.store.channel_settings(origin.team, origin.channel)
        why_not = place_refusal(repo, origin.channel, self._house, ChannelRules.of(stored))
        if why_not:
            await self._record(origin.user, "agent.start", str(repo), f"refused: {why_not}")
            raise NotAllowed(why_not)

    async def _open_and_launch(self, agent: Agent, first: Message, origin: Origin) -> Agent | None:
        if not await self._store_start(agent, first, origin):
            return None
        try:
            await self._deps.outbox.sent(agent.id, "root", ROOT_SECONDS)
        except ChannelUnavailable:
            await self._give_up(agent.id)
            raise
        except TimeoutError:
            logger.warning("the root message of %s is late; booting all the same", agent.id)
        return agent

    async def _launch_if_placed(self, agent_id: str) -> None:
        # A person may have stopped it while its root message was on the way.
        stored = await self._deps.store.agent(agent_id)
        if stored and not self._is_stopping(agent_id):
            self._fleet.wake(stored)

    def _new_agent(self, command: StartAgent, origin: Origin, model: str, branch: str) -> Agent:
        agent_id = new_agent_id()
        return Agent(
            id=agent_id,
            team=origin.team,
            channel=origin.channel,
            thread_ts=origin.thread_ts,
            repo=command.repo,
            source_branch=branch,
            target_branch=branch_for(agent_id, title_of(command.task)),
            title=title_of(command.task),
            model=model,
            max_steps=command.max_steps or self._deps.settings.agent_max_steps,
            budget_nano=command.budget_nano or self._default_budget(),
            started_by=origin.user,
            starter_name=origin.name,
            created_at=self._deps.clock(),
        )

    def _default_budget(self) -> int | None:
        return nano_of(self._deps.settings.budget_agent_usd) or None

    def _first(self, agent: Agent, command: StartAgent, opening: Opening) -> Message:
        text = self._deps.hide(opening.with_task(command.task))
        return Message(
            FIRST,
            agent.id,
            agent.started_by,
            text,
            agent.first_task_id,
            files=opening.files[:MAX_FILES_OF_A_MESSAGE],
            kind=MessageKind.START,
        )

    async def _store_start(self, agent: Agent, first: Message, origin: Origin) -> bool:
        async with self._deps.store.transaction() as tx:
            if origin.claim and not await tx.claim_message(
                origin.team, origin.channel, origin.claim, origin.client_msg_id
            ):
                return False
            now = self._deps.clock()
            load = await tx.load(agent.team, origin.user, agent.channel, now - HOUR_SECONDS)
            refused = start_refusal(self._limits, load, now)
            if not refused:
                await tx.add_agent(agent)
                await tx.add_message(first)
                await tx.enqueue(agent.id, self._deps.presenter.root(agent))
                await self._fleet.capacity.claim_place(tx, agent, first.task_id)
            outcome = f"refused: {refused}" if refused else f"allowed: {agent.id}"
            await tx.add_audit(Audit(now, origin.user, "agent.start", str(agent.repo), outcome))
        if refused:
            raise NotAllowed(refused)
        return True

    async def _record(self, actor: str, action: str, subject: str, outcome: str) -> None:
        async with self._deps.store.transaction() as tx:
            await tx.add_audit(Audit(self._deps.clock(), actor, action, subject, outcome))

    async def _give_up(self, agent_id: str) -> None:
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(agent_id)
            if agent:
                await tx.save_agent(agent.with_status(AgentStatus.FAILED, self._deps.clock()))
