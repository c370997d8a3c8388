"""What an agent has made, for people to look at: its steps, its changes, its patch."""

import asyncio
from dataclasses import dataclass, replace

from bot.agents.context import Dependencies
from bot.agents.lifecycle.salvage import MAX_FILED_PATCH_BYTES
from bot.domain.agent import Agent
from bot.domain.container import (
    BridgeAddress,
)
from bot.domain.patch_view import FileHunks, files_of, part_of
from bot.domain.steps import TaskSteps, steps_of
from bot.errors import AnswerTooLarge, BotError, UserError

NO_STEPS = "The steps of this task are not kept any more."
NOTHING_CHANGED = "No file is changed against the source branch."
SILENT = "The agent did not answer. Try again in a moment."
TOO_LARGE = "The patch is larger than 20 MB, which is more than a thread should hold."


@dataclass(frozen=True, slots=True)
class PatchVersion:
    """A patch against the source branch. `at`: as the host kept it then; 0.0: as it is now."""

    patch: bytes
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Changes:
    """The changed files; `at` as in Kept."""

    files: tuple[FileHunks, ...]
    at: float = 0.0


class Results:
    """Works while the agent does, and from what the host kept when the container does not answer.

    Raises UserError with a sentence for the person who asked.
    """

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def steps(self, agent: Agent, task_id: str) -> TaskSteps:
        """Everything that one task did so far."""
        events = await self._deps.store.events(agent.id, task_id)
        if not events:
            raise UserError(NO_STEPS)
        return steps_of(events)

    async def changes(self, agent: Agent) -> Changes:
        """What is changed against the source branch; known secrets are taken out."""
        kept = await self.patch(agent)
        # A patch may have 20 MB; the others go on meanwhile.
        return Changes(await asyncio.to_thread(self._readable, kept.patch), kept.at)

    async def patch(self, agent: Agent) -> PatchVersion:
        """The changes as `git apply` takes them; never empty."""
        address = await self.address(agent)
        if address is not None:
            try:
                found = PatchVersion(await self._deps.bridge.patch(address))
            except AnswerTooLarge as error:
                raise UserError(TOO_LARGE, str(error)) from error
            except BotError as error:
                raise UserError(SILENT, str(error)) from error
        else:
            saved = await self._deps.store.saved_state(agent.id)
            found = PatchVersion(saved.patch, saved.at) if saved else PatchVersion(b"")
        if not found.patch:
            raise UserError(NOTHING_CHANGED)
        return found

    async def file_patch(self, agent: Agent, request: str, key: str = "") -> None:
        """Put the changes, or those of one file, into the thread; `request` names this wish."""
        patch = (await self.patch(agent)).patch
        if key:
            part = await asyncio.to_thread(part_of, patch, key)
            if part is None:
                raise UserError("That file is not changed any more.")
            patch = part
        if len(patch) > MAX_FILED_PATCH_BYTES:
            raise UserError(TOO_LARGE)
        async with self._deps.store.transaction() as tx:
            await tx.enqueue(agent.id, self._deps.presenter.patch(agent, request, patch))

    def _readable(self, patch: bytes) -> tuple[FileHunks, ...]:
        hide = self._deps.hide
        return tuple(
            replace(file, path=hide(file.path), text=hide(file.text), note=hide(file.note))
            for file in files_of(patch)
        )

    async def address(self, agent: Agent) -> BridgeAddress | None:
        """Where its bridge answers; None when no container of it runs, or the engine is silent."""
        if not agent.alive:
            return None
        try:
            container = await self._deps.runtime.find(agent.id)
        except BotError:
            return None
        if container is None or container.endpoint is None:
            return None
        return self._deps.address(agent.id, container.endpoint)
