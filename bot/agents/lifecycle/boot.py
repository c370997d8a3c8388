"""Brings an agent's container to the point where its bridge can work, from whatever is there."""

import logging
from urllib.parse import urlsplit

from pydantic import ValidationError

from bot.agents.context import Dependencies
from bot.agents.lifecycle.container_spec import spec_of
from bot.agents.lifecycle.progress import Progress
from bot.agents.lifecycle.variables import hand_over_variables
from bot.domain.agent import Agent, AgentStatus
from bot.domain.container import (
    BridgeAddress,
    Container,
    Exit,
)
from bot.errors import BotError, BridgeUnreachable, EngineError
from bridge.protocol import (
    PROTOCOL_VERSION,
    SavedConversation,
    SessionStatus,
    WorkspaceRequest,
)

logger = logging.getLogger(__name__)


class ContainerGone(BotError):
    """The container of an agent is not there any more, or has lost its workspace."""


class ContainerEnded(BotError):
    """The container of an agent is there and does not run, though nobody stopped it."""

    def __init__(self, agent_id: str, how: Exit | None) -> None:
        super().__init__(f"the container of {agent_id} ended: {how}")
        self.how = how


class NoAnswer(BotError):
    """The engine or the bridge is silent, which says nothing about the agent: ask again."""


class Boot:
    """One agent's container. `fresh`: a person asked for a new one, the old one is lost."""

    def __init__(self, deps: Dependencies, progress: Progress, *, fresh: bool) -> None:
        self._deps = deps
        self._progress = progress
        self._fresh = fresh

    async def address(self, agent: Agent, *, resume: bool) -> BridgeAddress:
        """Start or find the container and its workspace.

        `resume`: a stopped container is started again; otherwise it raises ContainerEnded.
        Raises ContainerGone, NoAnswer, EngineError (no container could be started),
        BridgeRefused or BridgeUnreachable (it never came up).
        """
        await self._deps.gateway.open(agent.id, agent.repo)
        container = await self._container(agent, resume=resume)
        if self._is_misplaced(agent, container):
            logger.info("%s moves to the network that the settings say", agent.id)
            if agent.status is AgentStatus.WORKING:
                self._progress.because("The container has another network now, and began anew.")
            container = await self._deps.runtime.start(spec_of(self._deps, agent))
        if container.endpoint is None:
            raise ContainerEnded(agent.id, container.exit)
        address = self._deps.address(agent.id, container.endpoint)
        await self._answers(agent, address)
        await hand_over_variables(self._deps, agent, address)
        await self._furnish(agent, address)
        await self._note(agent, container)
        self._fresh = False
        return address

    async def _container(self, agent: Agent, *, resume: bool) -> Container:
        runtime = self._deps.runtime
        found = await self._find(agent)
        if found is not None and found.running:
            return found
        if found is not None:
            if not resume:
                raise ContainerEnded(agent.id, found.exit)
            await self._progress.phase("waking")
            try:
                return await runtime.resume(agent.id)
            except EngineError as error:
                # A new container with the same files does as well, and knows today's addresses.
                logger.warning("%s is not resumed: %s", agent.id, error)
                return await runtime.start(spec_of(self._deps, agent))
        if agent.base_commit is not None and not self._fresh:
            raise ContainerGone(f"no container of {agent.id}")
        await self._progress.phase("container")
        return await runtime.start(spec_of(self._deps, agent))

    def _is_misplaced(self, agent: Agent, container: Container) -> bool:
        """Whether it has a network where the settings say none by now, or the other way round."""
        sealed = self._deps.gateway.access(agent.id, agent.repo).folders is not None
        return container.endpoint is not None and sealed != (
            urlsplit(container.endpoint).scheme == "unix"
        )

    async def _note(self, agent: Agent, container: Container) -> None:
        """Store whose container it is, once it is furnished: until then the boot starts over."""
        if agent.container_id == container.id:
            return
        async with self._deps.store.transaction() as tx:
            current = await tx.agent(agent.id)
            if current:
                await tx.save_agent(current.with_container(container.id))

    async def _find(self, agent: Agent) -> Container | None:
        try:
            return await self._deps.runtime.find(agent.id)
        except EngineError as error:
            # It may take long; nobody should have to guess what a start waits for.
            await self._progress.phase("engine")
            raise NoAnswer(str(error)) from error

    async def _answers(self, agent: Agent, address: BridgeAddress) -> None:
        try:
            seconds = self._deps.settings.boot_timeout_seconds
            await self._deps.bridge.wait_ready(address, seconds)
        except BridgeUnreachable as error:
            found = await self._find(agent)
            if found is not None and not found.running:
                raise ContainerEnded(agent.id, found.exit) from error
            if agent.base_commit is not None:
                raise NoAnswer(str(error)) from error
            raise

    async def _furnish(self, agent: Agent, address: BridgeAddress) -> None:
        """Make the workspace where there is none: by a clone, or from what the host has kept."""
        bridge = self._deps.bridge
        status = await bridge.status(address)
        if status.status is not SessionStatus.EMPTY:
            return
        if agent.base_commit is not None and not self._fresh:
            raise ContainerGone(f"the workspace of {agent.id} is empty")
        saved = await self._deps.store.saved_state(agent.id)
        # Both may be given twice, as long as the clone has not begun: a crash may lie between them.
        if agent.base_commit is not None and status.last_seq <= agent.last_seq:
            conversation = _from_here(saved.conversation if saved else b"", agent.last_seq)
            await bridge.restore(address, conversation)
            # Before the clone: the bridge makes the patch a part of it, and starts nothing earlier.
            await bridge.apply(address, saved.patch if saved else b"")
        await self._progress.phase("clone")
        await bridge.prepare(address, self._workspace(agent))
        await self._progress.phase("agent")

    def _workspace(self, agent: Agent) -> WorkspaceRequest:
        settings = self._deps.settings
        access = self._deps.gateway.access(agent.id, agent.repo)
        return WorkspaceRequest(
            repository=str(agent.repo),
            clone_url=access.clone_url if agent.repo.exists else None,
            source_branch=agent.source_branch,
            target_branch=agent.target_branch,
            base_commit=agent.base_commit,
            author_name=settings.git_user_name,
            author_email=settings.git_user_email,
        )


def _from_here(conversation: bytes, last_seq: int) -> bytes:
    """The kept conversation, with the numbering going on after the newest event that we have."""
    kept = SavedConversation(protocol=PROTOCOL_VERSION, last_seq=0)
    if conversation:
        try:
            kept = SavedConversation.model_validate_json(conversation)
        except ValidationError:
            # What a container wrote; the files are worth having without it.
            logger.exception("a kept conversation cannot be read")
    return kept.model_copy(update={"last_seq": last_seq}).model_dump_json().encode()
