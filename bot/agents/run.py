"""The life of one agent while the bot runs: boot, then follow its events and hand over messages."""

import asyncio
import logging

from bot.agents.ports import BridgeAddress, Container, ContainerSpec
from bot.agents.progress import Progress
from bot.agents.world import World
from bot.domain.agent import Agent
from bot.domain.message import FIRST, Message
from bot.errors import BotError, BridgeRefused, BridgeUnreachable, EngineError
from bridge.protocol import ChatRequest, ErrorCode, ExecuteRequest, WorkspaceRequest

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class ContainerGone(BotError):
    """The container of an agent that was at work is not there, or does not run."""


class AgentRun:
    """Drives one agent. Everything it does can be done again after a restart of the bot."""

    def __init__(self, world: World, agent: Agent) -> None:
        self._world = world
        self._agent = agent
        self.progress = Progress(world, agent)
        self._new_message = asyncio.Event()

    def wake(self) -> None:
        """There is a message to hand over."""
        self._new_message.set()

    async def run(self) -> None:
        """Boot or find the container, then follow and deliver until cancelled.

        Raises EngineError, BridgeRefused, BridgeUnreachable or ContainerGone when it cannot.
        """
        stored = await self._world.store.agent(self._agent.id)
        if stored is None or not stored.alive:
            return
        await self.progress.restore(self._agent)
        address = await (self._boot() if self._agent.base_commit is None else self._resume())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(address))
                group.create_task(self._deliver(address))
        except ExceptionGroup as group_error:
            # Both halves watch the same bridge: the first reason is the reason.
            raise group_error.exceptions[0] from group_error

    async def _boot(self) -> BridgeAddress:
        agent, world = self._agent, self._world
        world.gateway.open(agent.id, agent.repo)
        container = await world.runtime.find(agent.id)
        if container is None:
            await self.progress.phase("container")
            container = await world.runtime.start(self._spec(agent))
            await self._remember_container(container.id)
        address = self._address(container)
        await world.bridge.wait_ready(address, world.settings.boot_timeout_seconds)
        await self.progress.phase("clone")
        await world.bridge.prepare(address, self._workspace(agent))
        await self.progress.phase("agent")
        return address

    async def _resume(self) -> BridgeAddress:
        """Find the container of a workspace that exists; silence is no proof that it is gone."""
        self._world.gateway.open(self._agent.id, self._agent.repo)
        while True:
            try:
                return self._address(await self._world.runtime.find(self._agent.id))
            except EngineError as error:
                logger.warning("the engine did not answer about %s: %s", self._agent.id, error)
            await asyncio.sleep(RETRY_SECONDS)

    def _address(self, container: Container | None) -> BridgeAddress:
        if container is None or not container.running or container.endpoint is None:
            raise ContainerGone(f"no running container of {self._agent.id}")
        return self._world.address(self._agent.id, container.endpoint)

    def _spec(self, agent: Agent) -> ContainerSpec:
        settings, access = self._world.settings, self._world.gateway.access(agent.id, agent.repo)
        token = access.token.get_secret_value()
        return ContainerSpec(
            agent_id=agent.id,
            image=settings.bridge_image,
            memory_bytes=settings.default_container_memory,
            nano_cpus=settings.default_container_cpu,
            environment={
                "BRIDGE_TOKEN": self._world.bridge_token(agent.id).get_secret_value(),
                "OPENROUTER_API_KEY": token,
                "OPENROUTER_BASE_URL": access.model_base_url,
                "GIT_TOKEN": token,
                "COMMAND_TIMEOUT_SECONDS": str(settings.command_timeout_seconds),
                "COMMAND_ALLOW": ",".join(settings.command_allow),
                "CLONE_TIMEOUT_SECONDS": str(settings.clone_timeout_seconds),
            },
        )

    def _workspace(self, agent: Agent) -> WorkspaceRequest:
        settings = self._world.settings
        return WorkspaceRequest(
            repository=str(agent.repo),
            clone_url=self._world.gateway.access(agent.id, agent.repo).clone_url,
            source_branch=agent.source_branch,
            target_branch=agent.target_branch,
            author_name=settings.git_user_name,
            author_email=settings.git_user_email,
        )

    async def _remember_container(self, container_id: str) -> None:
        async with self._world.store.transaction() as tx:
            agent = await tx.agent(self._agent.id)
            if agent:
                await tx.save_agent(agent.with_container(container_id))

    async def _follow(self, address: BridgeAddress) -> None:
        while True:
            try:
                stored = await self._world.store.agent(self._agent.id)
                after = stored.last_seq if stored else 0
                async for event in self._world.bridge.events(address, after):
                    await self.progress.take(event)
            except BridgeUnreachable as error:
                logger.warning("the event stream of %s is gone: %s", self._agent.id, error)
            await self._check_container()
            await asyncio.sleep(RETRY_SECONDS)

    async def _check_container(self) -> None:
        """Raise ContainerGone when the engine says so; a silent engine says nothing."""
        try:
            container = await self._world.runtime.find(self._agent.id)
        except EngineError as error:
            logger.warning("the engine did not answer about %s: %s", self._agent.id, error)
            return
        if container is None or not container.running:
            raise ContainerGone(f"the container of {self._agent.id} is gone")

    async def _deliver(self, address: BridgeAddress) -> None:
        while True:
            self._new_message.clear()
            for message in await self._world.store.undelivered(self._agent.id):
                await self._hand_over(address, message)
            await self._new_message.wait()

    async def _hand_over(self, address: BridgeAddress, message: Message) -> None:
        while True:
            try:
                await self._send(address, message)
            except BridgeUnreachable as error:
                logger.warning("message %s waits: %s", message.id, error)
                await self._check_container()
            except BridgeRefused as error:
                if error.error.code != ErrorCode.QUEUE_FULL:
                    await self._report_refusal(message, error)
                    return
                # Nothing is lost: it stays stored, and the queue shortens as tasks end.
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _send(self, address: BridgeAddress, message: Message) -> None:
        agent = await self._world.store.agent(self._agent.id) or self._agent
        if message.id == FIRST:
            await self._world.bridge.execute(
                address,
                ExecuteRequest(
                    task_id=message.task_id,
                    text=message.text,
                    model=agent.model,
                    max_steps=agent.max_steps,
                    author=message.user,
                ),
            )
        else:
            await self._world.bridge.chat(
                address,
                ChatRequest(
                    message_id=message.id,
                    task_id=message.task_id,
                    text=message.text,
                    mode=message.mode,
                    model=agent.model,
                    max_steps=agent.max_steps,
                    author=message.user,
                ),
            )
        async with self._world.store.transaction() as tx:
            await tx.message_delivered(agent.id, message.id)

    async def _report_refusal(self, message: Message, error: BridgeRefused) -> None:
        logger.error("message %s was refused: %s", message.id, error)
        text = f"The agent could not take this message: {error.error.message}"
        async with self._world.store.transaction() as tx:
            agent = await tx.agent(self._agent.id)
            await tx.message_delivered(self._agent.id, message.id)
            if agent:
                post = self._world.voice.trouble(agent, f"refused:{message.id}", text)
                await tx.enqueue(agent.id, post)
