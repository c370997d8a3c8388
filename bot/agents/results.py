"""Reads the results of an agent for people: its steps, its changes, its patch."""

import asyncio
from dataclasses import dataclass, replace

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.domain.container import BridgeAddress
from bot.domain.patch_view import FileHunks, files_of, part_of
from bot.domain.saved_state import fits_thread
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
    """The changed files; `at` as in PatchVersion."""

    files: tuple[FileHunks, ...]
    at: float = 0.0


class Results:
    """Reads from the container while it runs, and from the host's copy when it does not.

    Raises UserError with a sentence for the person who asked.
    """

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def steps(self, agent: Agent, task_id: str) -> TaskSteps:
        """Returns everything that one task did so far."""
        events = await self._deps.store.events(agent.id, task_id)
        if not events:
            raise UserError(NO_STEPS)
        return steps_of(events)

    async def changes(self, agent: Agent) -> Changes:
        """Returns the changes against the source branch; known secrets are taken out."""
        version = await self.patch(agent)
        # A patch may have 20 MB; the others go on meanwhile.
        return Changes(await asyncio.to_thread(self._readable, version.patch), version.at)

    async def patch(self, agent: Agent) -> PatchVersion:
        """Returns the changes as `git apply` takes them; never empty."""
        address = await self.address(agent)
        if address is not None:
            try:
                version = PatchVersion(await self._deps.bridge.patch(address))
            except AnswerTooLarge as error:
                raise UserError(TOO_LARGE, str(error)) from error
            except BotError as error:
                raise UserError(SILENT, str(error)) from error
        else:
            saved = await self._deps.store.saved_state(agent.id)
            version = PatchVersion(saved.patch, saved.at) if saved else PatchVersion(b"")
        if not version.patch:
            raise UserError(NOTHING_CHANGED)
        return version

    async def file_patch(self, agent: Agent, request: str, key: str = "") -> None:
        """Puts the changes, or those of one file, into the thread; `request` names this request."""
        patch = (await self.patch(agent)).patch
        if key:
            part = await asyncio.to_thread(part_of, patch, key)
            if part is None:
                raise UserError("That file is not changed any more.")
            patch = part
        if not fits_thread(patch):
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
        """Returns its bridge's address; None when it does not run, or the engine is silent."""
        if not agent.alive:
            return None
        try:
            return await self._deps.bridge_of(agent.id)
        except BotError:
            return None
