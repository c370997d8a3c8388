"""Receives clicks, reactions and shortcuts on an agent's messages, and controls the agent."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService
from bot.domain.agent import Agent, ThreadRef
from bot.domain.policy import Action
from bot.domain.replies import Intent
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies, Tell
from bot.slack.events import reaction_name
from bot.slack.handlers.click import Click, RunClick, register_click
from bot.slack.inbox import Inbox
from bot.slack.views import task_card
from bot.slack.views.question import ANSWERS, APPROVAL_ANSWERS
from bridge.protocol import QuestionKind

STOP_SHORTCUT = "stop_agent"
INTERRUPT_SHORTCUT = "interrupt_agent"
PAUSE_SHORTCUT = "pause_agent"
# The reaction that stops is a setting.
REACTIONS = {"black_square_for_stop": Intent.INTERRUPT, "double_vertical_bar": Intent.PAUSE}


class ButtonHandlers:
    """Has a method for each button. Every error ends in a private sentence."""

    def __init__(
        self,
        service: AgentService,
        authorization: Authorization,
        client: AsyncWebClient,
        replies: EphemeralReplies,
    ) -> None:
        self._service = service
        self._authorization = authorization
        self._client = client
        self._replies = replies

    async def run_allowed(
        self, click: Click, action: Action, run: Callable[[], Awaitable[object]]
    ) -> None:
        """Runs what a button asks for when the person may; other handlers' buttons use it too."""

        async def check_and_run() -> None:
            agent = await self._authorization.agent_for(
                action, click.agent_id, click.user, channel=click.channel
            )
            await self._authorization.check(
                action, click.user, agent.team, agent.channel, agent=agent
            )
            await run()

        tell = self._replies.teller_for(click.user, click.channel, click.thread_ts)
        with log_scope(agent=click.agent_id, user=click.user):
            await self._replies.run_guarded(tell, check_and_run())

    async def interrupt_task(self, click: Click) -> None:
        """Ends the running task of an agent."""
        interrupt = self._service.interrupt
        await self.run_allowed(
            click, Action.INTERRUPT, lambda: interrupt(click.agent_id, click.task_id)
        )

    async def pause_task(self, click: Click) -> None:
        """Lets the task wait before its next step."""
        tell = self._replies.teller_for(click.user, click.channel, click.thread_ts)

        async def pause() -> None:
            await tell(await self._service.buttons.pause_task(click.agent_id, click.task_id))

        await self.run_allowed(click, Action.INTERRUPT, pause)

    async def resume_task(self, click: Click) -> None:
        """Lets a paused task go on."""
        resume = self._service.buttons.resume_task
        await self.run_allowed(
            click, Action.STEER, lambda: resume(click.agent_id, click.task_id, click.user)
        )

    async def undo_task(self, click: Click) -> None:
        """Puts the files back to before the last task."""
        undo = self._service.buttons.undo_task
        await self.run_allowed(
            click, Action.STEER, lambda: undo(click.agent_id, click.task_id, click.user)
        )

    async def answer_question(self, click: Click, kind: QuestionKind) -> None:
        """Answers a question, or an approval; the button's value names both."""
        question_id, _, choice = click.choice.partition(":")
        answer = self._service.questions.answer_question
        action = Action.APPROVE if kind is QuestionKind.APPROVAL else Action.STEER
        await self.run_allowed(
            click,
            action,
            lambda: answer(
                click.agent_id, click.task_id, question_id, choice, click.user, kind=kind
            ),
        )

    async def file_patch(self, click: Click) -> None:
        """Puts the changes of an agent into its thread."""

        async def file() -> None:
            agent = await self._service.find_agent(click.agent_id)
            await self._service.results.file_patch(agent, click.trigger_id)

        await self.run_allowed(click, Action.READ, file)

    async def continue_task(self, click: Click) -> None:
        """Gives a task that has used up its steps as many again."""
        go_on = self._service.buttons.add_steps
        await self.run_allowed(
            click, Action.STEER, lambda: go_on(click.agent_id, click.task_id, click.user)
        )

    async def add_budget(self, click: Click, usd: int) -> None:
        """Adds to the budget of an agent; who may start agents here may spend on them."""
        add = self._service.buttons.add_budget
        await self.run_allowed(
            click, Action.START, lambda: add(click.agent_id, click.task_id, usd, click.user)
        )

    async def stop_by_button(self, click: Click) -> None:
        """Stops the agent of a button."""
        tell = self._replies.teller_for(click.user, click.channel, click.thread_ts)
        await self.stop_by_id(click.agent_id, click.user, tell, channel=click.channel)

    async def stop_from_home(self, agent_id: str, user: str) -> None:
        """Stops an agent by the button of the Home tab, which is in no channel."""
        await self.stop_by_id(agent_id, user, self._replies.direct_teller(user), channel="")

    async def stop_by_id(self, agent_id: str, user: str, tell: Tell, *, channel: str) -> None:
        """Stops the agent with this id when the person may see it; tells them what went wrong."""

        async def find_and_stop() -> None:
            agent = await self._authorization.agent_for(
                Action.STOP, agent_id, user, channel=channel
            )
            await self.stop_if_allowed(agent, user)

        with log_scope(agent=agent_id, user=user):
            await self._replies.run_guarded(tell, find_and_stop())

    async def stop_agent(self, agent: Agent, user: str) -> None:
        """Stops an agent by a message or reaction in its thread; tells what went wrong."""
        tell = self._replies.teller_for(user, agent.channel, agent.thread_ts)
        with log_scope(agent=agent.id, user=user):
            await self._replies.run_guarded(tell, self.stop_if_allowed(agent, user))

    async def stop_if_allowed(self, agent: Agent, user: str) -> None:
        """Stops an agent that the person may see when they may stop it; raises UserError."""
        await self._authorization.require(Action.STOP, user, agent.team, agent.channel, agent=agent)
        try:
            await self._service.stop(agent.id, user)
        finally:
            # Afterwards: the database may let a writer wait, and a stop does not.
            await self._authorization.note(Action.STOP, user, agent.id)

    async def control_by_message(
        self, intent: Intent, team: str, channel: str, ts: str, user: str
    ) -> None:
        """Stops, interrupts or pauses the agent whose thread has this message; none is no error."""
        agent = await self._service.store.agent_of_message(team, channel, ts)
        if agent is None:
            root = await self._root_of_message(channel, ts)
            agent = (
                await self._service.store.agent_of_thread(ThreadRef(team, channel, root))
                if root
                else None
            )
        if agent is None or not agent.alive:
            return
        if intent is Intent.STOP:
            await self.stop_agent(agent, user)
            return
        tell = self._replies.teller_for(user, channel, agent.thread_ts)
        with log_scope(agent=agent.id, user=user):
            await self._replies.run_guarded(
                tell, self._interrupt_or_pause(intent, agent, user, tell)
            )

    async def _interrupt_or_pause(
        self, intent: Intent, agent: Agent, user: str, tell: Tell
    ) -> None:
        await self._authorization.check(
            Action.INTERRUPT, user, agent.team, agent.channel, agent=agent
        )
        if intent is Intent.PAUSE:
            await tell(await self._service.buttons.pause_task(agent.id))
        else:
            await self._service.interrupt(agent.id, agent.task_id)

    async def _root_of_message(self, channel: str, ts: str) -> str | None:
        """Asks Slack for the thread of a message that the bot did not post."""
        try:
            page = await self._client.conversations_replies(channel=channel, ts=ts, limit=1)
        except SlackApiError:
            return None
        messages = page.get("messages") or []
        return str(messages[0].get("thread_ts") or "") or None if messages else None


def register(app: AsyncApp, inbox: Inbox, buttons: ButtonHandlers, stop_reaction: str) -> None:
    """Attaches buttons, reactions, shortcuts; `stop_reaction` is an emoji's name without colons."""
    runs: dict[str, RunClick] = {
        task_card.INTERRUPT: buttons.interrupt_task,
        task_card.STOP: buttons.stop_by_button,
        task_card.PAUSE: buttons.pause_task,
        task_card.RESUME: buttons.resume_task,
        task_card.CONTINUE: buttons.continue_task,
        task_card.UNDO: buttons.undo_task,
        task_card.PATCH: buttons.file_patch,
        **{name: partial(buttons.add_budget, usd=usd) for name, usd in task_card.BUDGETS.items()},
        **dict.fromkeys(ANSWERS, partial(buttons.answer_question, kind=QuestionKind.QUESTION)),
        **dict.fromkeys(
            APPROVAL_ANSWERS, partial(buttons.answer_question, kind=QuestionKind.APPROVAL)
        ),
    }
    for action_id, run_click in runs.items():
        register_click(app, inbox, action_id, run_click)
    _register_reactions(app, inbox, buttons, REACTIONS | {stop_reaction: Intent.STOP})
    _register_shortcuts(app, inbox, buttons)


def _register_reactions(
    app: AsyncApp, inbox: Inbox, buttons: ButtonHandlers, intents: Mapping[str, Intent]
) -> None:
    """Attaches reactions, and Slack's own Stop button."""

    @app.event("reaction_added")
    @inbox.finishes
    async def on_reaction(
        body: dict[str, Any], event: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        item = event["item"]
        from_person = item.get("type") == "message" and event["user"] != context.bot_user_id
        intent = intents.get(reaction_name(event["reaction"]))
        if from_person and intent is not None:
            team, channel, ts = body["team_id"], item["channel"], item["ts"]
            await buttons.control_by_message(intent, team, channel, ts, event["user"])

    @app.event("agent_session_stopped")
    @inbox.finishes
    async def on_session_stopped(body: dict[str, Any], event: dict[str, Any]) -> None:
        team, channel, ts = body["team_id"], event["channel"], event["thread_ts"]
        await buttons.control_by_message(Intent.STOP, team, channel, ts, event["user"])


def _register_shortcuts(app: AsyncApp, inbox: Inbox, buttons: ButtonHandlers) -> None:
    """Attaches the entries in the menu of a message."""

    async def control(intent: Intent, body: dict[str, Any]) -> None:
        message = body["message"]
        ts = message.get("thread_ts") or message["ts"]
        team, channel, user = body["team"]["id"], body["channel"]["id"], body["user"]["id"]
        await buttons.control_by_message(intent, team, channel, ts, user)

    @app.shortcut(STOP_SHORTCUT)
    @inbox.finishes
    async def on_stop(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await control(Intent.STOP, body)

    @app.shortcut(INTERRUPT_SHORTCUT)
    @inbox.finishes
    async def on_interrupt(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await control(Intent.INTERRUPT, body)

    @app.shortcut(PAUSE_SHORTCUT)
    @inbox.finishes
    async def on_pause(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await control(Intent.PAUSE, body)
