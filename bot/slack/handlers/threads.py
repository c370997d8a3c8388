"""Receives messages: replies in agents' threads, mentions, direct messages, edits of them."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.agents.access.authorization import Authorization
from bot.agents.controls.turns import Turn
from bot.agents.service import AgentService, Origin, ThreadMessage
from bot.domain.agent import Agent, ThreadRef
from bot.domain.policy import Action
from bot.domain.quoting import escaped
from bot.domain.replies import Intent, Reply, read_reply
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies, Tell
from bot.slack.events import EditedMessage, IncomingMessage, person_message, revised_message
from bot.slack.inbox import Inbox
from bridge.protocol import ChatMode

_ACTIONS = {Intent.STOP: Action.STOP, Intent.PAUSE: Action.INTERRUPT}
# Both events of a message arrive within seconds, so that few have to be known.
_MOST_WITH_FILES = 200

# Runs the command of a message outside of agents' threads.
RunCommand = Callable[[str, Origin, Tell, IncomingMessage], Awaitable[None]]


class ThreadHandlers:
    """Gives each message one effect, however often it is delivered."""

    def __init__(
        self,
        service: AgentService,
        authorization: Authorization,
        replies: EphemeralReplies,
        run_command: RunCommand,
    ) -> None:
        self._service = service
        self._authorization = authorization
        self._replies = replies
        self._run_command = run_command
        self._with_files: deque[tuple[str, str]] = deque(maxlen=_MOST_WITH_FILES)

    async def take_message(self, message: IncomingMessage, *, mention_event: bool) -> None:
        """Takes a message in a channel, a thread or a DM; one not for the bot has no effect.

        A mention arrives twice, as `message` and as `app_mention`: outside agents' threads
        only the second counts, and inside them the message is claimed once. A mention with a file
        may arrive as `message` alone (slackapi/bolt-python#925), so of those the first counts.
        """
        if message.thread_ts and await self._take_reply(message, message.thread_ts):
            tell = self._replies.teller_for(message.user, message.channel, message.thread_ts)
            await self._tell_unfit(message, tell)
            return
        if not message.direct and not self._is_for_bot(message, mention_event=mention_event):
            return
        if message.thread_ts and not message.mentions_bot:
            return
        origin = Origin(
            message.team,
            message.channel,
            message.user,
            claim=message.ts,
            thread_ts=message.thread_ts or message.ts,
            client_msg_id=message.client_msg_id,
        )
        tell = self._replies.teller_for(origin.user, origin.channel, origin.thread_ts)
        await self._tell_unfit(message, tell)
        await self._run_command(message.text or "help", origin, tell, message)

    async def take_edit(self, edited: EditedMessage) -> None:
        """Takes the new text of a message in a thread. No edit is a command: not even "stop"."""
        text = None
        if edited.text is not None:
            reply = read_reply(edited.text)
            text = reply.text if reply.intent is Intent.MESSAGE else None
        thread = ThreadRef(edited.team, edited.channel, edited.thread_ts)
        tell = self._replies.teller_for(edited.user, edited.channel, edited.thread_ts)
        with log_scope(channel=edited.channel, message=edited.ts):
            change = self._service.message_edits.revise_message(thread, edited.ts, text)
            await self._replies.run_guarded(tell, change)

    def _is_for_bot(self, message: IncomingMessage, *, mention_event: bool) -> bool:
        if not message.mentions_bot or not (message.files or message.unfit):
            return mention_event
        if (message.channel, message.ts) in self._with_files:
            return False
        self._with_files.append((message.channel, message.ts))
        return True

    async def _tell_unfit(self, message: IncomingMessage, tell: Tell) -> None:
        if message.unfit:
            listed = " ".join(escaped(why) for why in message.unfit)
            await tell(f"Not handed to the agent: {listed}")

    async def _take_reply(self, message: IncomingMessage, thread_ts: str) -> bool:
        """Takes a message in a thread; False when no agent has the thread."""
        thread = ThreadRef(message.team, message.channel, thread_ts)
        reply = read_reply(message.text)
        text = "See what is attached." if message.files and not reply.text else reply.text
        thread_message = ThreadMessage(
            thread,
            message.user,
            message.ts,
            text,
            reply.mode,
            message.client_msg_id,
            message.files,
        )
        unaddressed = reply.unaddressed and not message.mentions_bot
        if reply.intent is not Intent.MESSAGE or reply.mode is ChatMode.INTERRUPT:
            # What stops or interrupts waits for no message before it.
            return await self._route(thread_message, reply, unaddressed=unaddressed)
        # Messages of a thread keep the order of their arrival.
        with self._service.turns.take_turn(thread) as turn:
            return await self._route(thread_message, reply, turn, unaddressed=unaddressed)

    async def _route(
        self, message: ThreadMessage, reply: Reply, turn: Turn | None = None, *, unaddressed: bool
    ) -> bool:
        agent = await self._service.store.agent_of_thread(message.thread)
        if agent is None:
            return False
        if reply.intent is Intent.ASIDE or (
            unaddressed and await self._service.buttons.is_muted(agent)
        ):
            await self._service.handled_messages.ignore_message(
                agent, message.ts, message.client_msg_id
            )
            return True
        tell = self._replies.teller_for(message.user, agent.channel, message.thread.thread_ts)
        action = _ACTIONS.get(reply.intent, Action.STEER)
        with log_scope(agent=agent.id, user=message.user, message=message.ts):
            why_not = await self._why_not(agent, message.user, action, reply.mode)
            if why_not:
                if turn is not None:  # nobody has to wait until the refusal is told
                    turn.end()
                await self._refuse(action, agent, message, why_not, tell)
            else:
                await self._carry_out(agent, message, reply, tell, turn)
        return True

    async def _why_not(self, agent: Agent, user: str, action: Action, mode: ChatMode) -> str:
        actions = [action, Action.INTERRUPT] if mode is ChatMode.INTERRUPT else [action]
        for needed in actions:
            _, why_not = await self._authorization.judge(
                needed, user, agent.team, agent.channel, agent=agent
            )
            if why_not:
                return why_not
        return ""

    async def _carry_out(
        self, agent: Agent, message: ThreadMessage, reply: Reply, tell: Tell, turn: Turn | None
    ) -> None:
        control = self._service.buttons
        match reply.intent:
            case Intent.STOP:
                await self._replies.run_guarded(tell, self._service.stop_by_message(agent, message))
                await self._authorization.note(Action.STOP, message.user, agent.id)
            case Intent.PAUSE:

                async def pause() -> None:
                    await tell(await control.pause_task(agent.id))

                await self._run_once(agent, message, tell, Action.INTERRUPT, pause)
            case Intent.MUTE | Intent.UNMUTE:
                on = reply.intent is Intent.MUTE

                async def mute() -> None:
                    await control.mute_thread(agent, message.user, message.ts, on=on)

                await self._run_once(agent, message, tell, Action.STEER, mute)
            case _ if reply.mode is ChatMode.INTERRUPT and not reply.text:

                async def interrupt() -> None:
                    await self._service.interrupt(agent.id)

                await self._run_once(agent, message, tell, Action.INTERRUPT, interrupt)
            case _:
                await self._service.reply(message, turn)

    async def _run_once(
        self,
        agent: Agent,
        message: ThreadMessage,
        tell: Tell,
        action: Action,
        run: Callable[[], Awaitable[None]],
    ) -> None:
        """Does what a word asks for; noted afterwards, since doing it twice does no harm."""
        reading = self._service.handled_messages
        if await reading.is_handled(agent, message.ts):
            return
        await self._replies.run_guarded(tell, run())
        await self._authorization.note(action, message.user, agent.id)
        await reading.store_handled(agent, message.ts, message.client_msg_id)

    async def _refuse(
        self, action: Action, agent: Agent, message: ThreadMessage, why_not: str, tell: Tell
    ) -> None:
        """Says once why a message has no effect, however often it is delivered."""
        if await self._service.handled_messages.ignore_message(
            agent, message.ts, message.client_msg_id
        ):
            await self._authorization.note(action, message.user, agent.id, why_not)
            await tell(why_not)


def register(app: AsyncApp, inbox: Inbox, threads: ThreadHandlers) -> None:
    """Attaches both events that a message may arrive as."""

    async def on_message(
        body: dict[str, Any], event: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        bot_user_id = context.bot_user_id or ""
        message = person_message(body, event, bot_user_id)
        edited = revised_message(body, event, bot_user_id)
        if message is not None:
            await threads.take_message(message, mention_event=event["type"] == "app_mention")
        elif edited is not None:
            await threads.take_edit(edited)

    app.event("message")(inbox.finishes(on_message))
    app.event("app_mention")(inbox.finishes(on_message))
