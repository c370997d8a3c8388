"""Receives the clicks on an agent's messages: asks the gate, then does what the button says."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService
from bot.domain.policy import Action
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies
from bridge.protocol import QuestionKind


@dataclass(frozen=True, slots=True)
class Click:
    """A button of an agent's message: whose, of which task, who pressed it, and where.

    `rest` is what the button's value holds behind `agent:task:`; `trigger_id` tells this click
    from all others, and opens a modal within three seconds.
    """

    agent_id: str
    task_id: str
    rest: str
    user: str
    channel: str
    thread_ts: str | None
    trigger_id: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read a `block_actions` payload of a message."""
        agent_id, _, behind = str(body["actions"][0].get("value") or "").partition(":")
        task_id, _, rest = behind.partition(":")
        return cls(
            agent_id,
            task_id,
            rest,
            user=body["user"]["id"],
            channel=body["channel"]["id"],
            thread_ts=body.get("message", {}).get("thread_ts"),
            trigger_id=str(body.get("trigger_id") or ""),
        )


class ButtonHandlers:
    """One method for each button. Every error ends in a private sentence."""

    def __init__(self, service: AgentService, gate: Authorization, aside: EphemeralReplies) -> None:
        self._service = service
        self._gate = gate
        self._aside = aside

    async def pressed(
        self, click: Click, action: Action, deed: Callable[[], Awaitable[object]]
    ) -> None:
        """Do what a button says when the person may; for the buttons of other desks too."""

        async def act() -> None:
            agent = await self._service.find(click.agent_id)
            await self._gate.check(action, click.user, agent.team, agent.channel, agent=agent)
            await deed()

        tell = self._aside.to(click.user, click.channel, click.thread_ts)
        with log_scope(agent=click.agent_id, user=click.user):
            await self._aside.guarded(tell, act())

    async def interrupt(self, click: Click) -> None:
        """End the running task of an agent."""
        interrupt = self._service.interrupt
        await self.pressed(
            click, Action.INTERRUPT, lambda: interrupt(click.agent_id, click.task_id)
        )

    async def pause(self, click: Click) -> None:
        """Let the task wait before its next step."""
        tell = self._aside.to(click.user, click.channel, click.thread_ts)

        async def pause() -> None:
            await tell(await self._service.control.pause(click.agent_id, click.task_id))

        await self.pressed(click, Action.INTERRUPT, pause)

    async def resume(self, click: Click) -> None:
        """Let a paused task go on."""
        resume = self._service.control.resume
        await self.pressed(
            click, Action.STEER, lambda: resume(click.agent_id, click.task_id, click.user)
        )

    async def undo(self, click: Click) -> None:
        """Put the files back to before the last task."""
        undo = self._service.control.undo
        await self.pressed(
            click, Action.STEER, lambda: undo(click.agent_id, click.task_id, click.user)
        )

    async def answer(self, click: Click, kind: QuestionKind) -> None:
        """Answer a question, or an approval; the button knows which and how."""
        question_id, _, choice = click.rest.partition(":")
        answer = self._service.questions.answer
        action = Action.APPROVE if kind is QuestionKind.APPROVAL else Action.STEER
        await self.pressed(
            click,
            action,
            lambda: answer(
                click.agent_id, click.task_id, question_id, choice, click.user, kind=kind
            ),
        )

    async def patch(self, click: Click) -> None:
        """Put the changes of an agent into its thread."""

        async def file() -> None:
            agent = await self._service.find(click.agent_id)
            await self._service.results.file_patch(agent, click.trigger_id)

        await self.pressed(click, Action.READ, file)

    async def go_on(self, click: Click) -> None:
        """Give a task that has used up its steps as many again."""
        go_on = self._service.continuation.go_on
        await self.pressed(
            click, Action.STEER, lambda: go_on(click.agent_id, click.task_id, click.user)
        )

    async def add_budget(self, click: Click, usd: int) -> None:
        """Add to the budget of an agent; who may start agents here may spend on them."""
        add = self._service.allowance.add
        await self.pressed(
            click, Action.START, lambda: add(click.agent_id, click.task_id, usd, click.user)
        )
