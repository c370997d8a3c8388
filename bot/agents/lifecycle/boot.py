"""Brings an agent's container to the point where its bridge can work, from whatever is there."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import ValidationError

from bot.agents.context import Dependencies
from bot.domain.agent import Agent, AgentStatus
from bot.domain.container import BridgeAddress, Container, ContainerSpec, sealed_environment
from bot.domain.quoting import code
from bot.errors import (
    BridgeRefused,
    BridgeUnreachable,
    ContainerEnded,
    ContainerGone,
    EngineError,
    NoAnswer,
)
from bridge.container import Variable, is_reserved_variable
from bridge.protocol import (
    PROTOCOL_VERSION,
    ErrorCode,
    SavedConversation,
    SessionStatus,
    WorkspaceRequest,
)

logger = logging.getLogger(__name__)


class Boot:
    """Boots one agent's container.

    `fresh`: a person asked for a new container, the old one is lost. `show_phase` shows a phase of
    the boot in the thread; `explain_failure` takes the reason when the boot ends a running task.
    """

    def __init__(
        self,
        deps: Dependencies,
        show_phase: Callable[[str], Awaitable[None]],
        explain_failure: Callable[[str], None],
        *,
        fresh: bool,
    ) -> None:
        self._deps = deps
        self._show_phase = show_phase
        self._explain_failure = explain_failure
        self._fresh = fresh

    async def boot(self, agent: Agent, *, resume: bool) -> BridgeAddress:
        """Starts or finds the container and its workspace; returns the address of its bridge.

        `resume`: a stopped container is started again; otherwise it raises ContainerEnded.
        Raises ContainerGone, NoAnswer, EngineError (no container could be started),
        BridgeRefused or BridgeUnreachable (it never came up).
        """
        await self._deps.gateway.open(agent.id, agent.repo)
        container = await self._ensure_container(agent, resume=resume)
        if self._has_other_network(agent, container):
            logger.info("%s moves to the network that the settings say", agent.id)
            if agent.status is AgentStatus.WORKING:
                self._explain_failure("The container has another network now, and began anew.")
            container = await self._deps.runtime.start(spec_of(self._deps, agent))
        if container.endpoint is None:
            raise ended(container)
        address = self._deps.address(agent.id, container.endpoint)
        await self._wait_for_answer(agent, address)
        await hand_over_variables(self._deps, agent, address)
        await self._fill_workspace(agent, address)
        await self._store_container(agent, container)
        self._fresh = False
        return address

    async def _ensure_container(self, agent: Agent, *, resume: bool) -> Container:
        runtime = self._deps.runtime
        container = await self._find(agent)
        if container is not None and container.running:
            return container
        if container is not None:
            # One that never ran is no container that ended: the bot died between making and
            # starting it, which may happen several times within a minute.
            never_ran = container.exit is None
            if not resume and not never_ran:
                raise ended(container)
            await self._show_phase("container" if never_ran else "waking")
            try:
                return await runtime.resume(agent.id)
            except EngineError as error:
                # A new container with the same files does as well, and knows today's addresses.
                logger.warning("%s is not resumed: %s", agent.id, error)
                return await runtime.start(spec_of(self._deps, agent))
        if agent.base_commit is not None and not self._fresh:
            raise ContainerGone(f"no container of {agent.id}")
        await self._show_phase("container")
        return await runtime.start(spec_of(self._deps, agent))

    def _has_other_network(self, agent: Agent, container: Container) -> bool:
        """Checks whether it has a network where the settings say none now, or the reverse."""
        sealed = self._deps.gateway.access(agent.id, agent.repo).folders is not None
        return container.endpoint is not None and sealed != (
            urlsplit(container.endpoint).scheme == "unix"
        )

    async def _store_container(self, agent: Agent, container: Container) -> None:
        """Stores the container once its workspace is filled: until then the boot starts over."""
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
            await self._show_phase("engine")
            raise NoAnswer(str(error)) from error

    async def _wait_for_answer(self, agent: Agent, address: BridgeAddress) -> None:
        try:
            seconds = self._deps.settings.boot_timeout_seconds
            await self._deps.bridge.wait_ready(address, seconds)
        except BridgeUnreachable as error:
            container = await self._find(agent)
            if container is not None and not container.running:
                raise ended(container) from error
            if agent.base_commit is not None:
                raise NoAnswer(str(error)) from error
            raise

    async def _fill_workspace(self, agent: Agent, address: BridgeAddress) -> None:
        """Makes the workspace where there is none: by a clone, or from the state the host keeps."""
        bridge = self._deps.bridge
        status = await bridge.status(address)
        has_files = agent.base_commit is not None and not self._fresh
        # A clone goes on when the bot that asked for it dies: asking again waits for its end.
        is_cloning = status.status is SessionStatus.CLONING and not has_files
        if status.status is not SessionStatus.EMPTY and not is_cloning:
            return
        if has_files:
            raise ContainerGone(f"the workspace of {agent.id} is empty")
        saved = await self._deps.store.saved_state(agent.id)
        # Both may be given twice, as long as the clone has not begun: a crash may lie between them.
        if agent.base_commit is not None and status.last_seq <= agent.last_seq and not is_cloning:
            conversation = _continued(saved.conversation if saved else b"", agent.last_seq)
            await bridge.restore(address, conversation)
            # Before the clone: the bridge makes the patch a part of it, and starts nothing earlier.
            await bridge.apply(address, saved.patch if saved else b"")
        await self._show_phase("clone")
        await bridge.prepare(address, self._workspace(agent))
        await self._show_phase("agent")

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


def _continued(conversation: bytes, last_seq: int) -> bytes:
    """Returns the kept conversation, numbered on from the newest event that is stored here."""
    kept = SavedConversation(protocol=PROTOCOL_VERSION, last_seq=0)
    if conversation:
        try:
            kept = SavedConversation.model_validate_json(conversation)
        except ValidationError:
            # What a container wrote; the files are worth having without it.
            logger.exception("a kept conversation cannot be read")
    return kept.model_copy(update={"last_seq": last_seq}).model_dump_json().encode()


def ended(container: Container) -> ContainerEnded:
    """Returns the error for a container that does not run."""
    end = container.exit
    out_of_memory = end is not None and end.out_of_memory
    return ContainerEnded(
        container.agent_id, end.code if end else None, out_of_memory=out_of_memory
    )


def spec_of(deps: Dependencies, agent: Agent, *, holds_tasks: bool = False) -> ContainerSpec:
    """Describes an agent's container; with `holds_tasks` its bridge answers and begins no task."""
    settings, access = deps.settings, deps.gateway.access(agent.id, agent.repo)
    token = access.token.get_secret_value()
    return ContainerSpec(
        agent_id=agent.id,
        image=settings.bridge_image,
        memory_bytes=settings.default_container_memory,
        nano_cpus=settings.default_container_cpu,
        folders=access.folders,
        disk_bytes=settings.container_disk_bytes,
        environment={
            **(sealed_environment(access.folders) if access.folders else {}),
            Variable.BRIDGE_TOKEN: deps.bridge_token(agent.id).get_secret_value(),
            Variable.OPENROUTER_API_KEY: token,
            Variable.OPENROUTER_BASE_URL: access.model_base_url,
            Variable.GIT_TOKEN: token,
            Variable.COMMAND_TIMEOUT_SECONDS: str(settings.command_timeout_seconds),
            Variable.COMMAND_ALLOW: ",".join(settings.programs_of(str(agent.repo))),
            Variable.CLONE_TIMEOUT_SECONDS: str(settings.clone_timeout_seconds),
            Variable.FALLBACK_MODELS: ",".join(settings.agent_fallback_models),
            Variable.SUMMARY_MODEL: settings.agent_summary_model,
            Variable.PLAN_MODEL: settings.agent_plan_model,
            Variable.MODEL_CONTEXT_TOKENS: str(settings.agent_context_tokens or ""),
            **({Variable.HOLD_TASKS: "true"} if holds_tasks else {}),
        },
    )


async def hand_over_variables(deps: Dependencies, agent: Agent, address: BridgeAddress) -> None:
    """Gives the bridge an agent's variables, and names in the thread those that it refuses.

    A bridge forgets them when its container stops.

    Raises BridgeUnreachable.
    """
    stored = deps.variables(agent)
    reserved = sorted(name for name in stored if is_reserved_variable(name))
    variables = {name: value for name, value in stored.items() if name not in reserved}
    if reserved:
        # An earlier version stored such names.
        text = (
            f"The tools of this agent do not get {_names(reserved)}: reserved for the sandbox. "
            "Store the value under another name with `/agent secrets`."
        )
        await _tell(deps, agent, "variables:reserved", text)
    refused = await _refused_names(deps, address, variables)
    if refused:
        logger.warning("%s does not get %d variables", agent.id, len(refused))
        text = (
            f"The stored variables ({len(refused)}) could not be handed to this agent's tools, "
            f"whose container is of another version: {_names(refused)}. The agent works without "
            "them. `make image` builds an image that takes them."
        )
        await _tell(deps, agent, f"variables:{agent.last_seq}", text)


async def _refused_names(
    deps: Dependencies, address: BridgeAddress, variables: Mapping[str, str]
) -> Sequence[str]:
    """Hands the variables over; returns the names that the bridge does not take, even alone."""
    bridge = deps.bridge
    try:
        await bridge.set_environment(address, variables)
        return ()
    except BridgeRefused as error:
        logger.info("a bridge refuses the variables: %s", error)
        if error.error.code != ErrorCode.INVALID_REQUEST:
            return tuple(variables)  # an image of an earlier version takes none
    taken: dict[str, str] = {}
    for name, value in variables.items():
        try:
            await bridge.set_environment(address, {name: value})
        except BridgeRefused:
            continue
        taken[name] = value
    try:
        await bridge.set_environment(address, taken)
    except BridgeRefused as error:
        logger.warning("a bridge refuses variables that it took one by one: %s", error)
        return tuple(variables)
    return tuple(name for name in variables if name not in taken)


async def _tell(deps: Dependencies, agent: Agent, key: str, text: str) -> None:
    async with deps.store.transaction() as tx:
        await tx.enqueue(agent.id, deps.presenter.trouble(agent, key, text))


def _names(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)
