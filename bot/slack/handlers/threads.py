"""Receives what people say in an agent's thread: for the agent, about it, or not for it at all."""

from collections.abc import Awaitable, Callable

from bot.agents.access.authorization import Authorization
from bot.agents.controls.turns import Turn
from bot.agents.service import AgentService, ThreadMessage
from bot.domain.agent import Agent, ThreadRef
from bot.domain.policy import Action
from bot.domain.replies import Intent, Reply, read_reply
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies, Tell
from bot.slack.events import EditedMessage, IncomingMessage
from bridge.protocol import ChatMode

_ACTIONS = {Intent.STOP: Action.STOP, Intent.PAUSE: Action.INTERRUPT}


class ThreadHandlers:
    """Each message has one effect, however often it is delivered."""

    def __init__(self, service: AgentService, gate: Authorization, aside: EphemeralReplies) -> None:
        self._service = service
        self._gate = gate
        self._aside = aside

    async def said(self, message: IncomingMessage, thread_ts: str) -> bool:
        """Take up a message in a thread; False when the thread is not ours."""
        thread = ThreadRef(message.team, message.channel, thread_ts)
        said = read_reply(message.text)
        text = "See what is attached." if message.files and not said.text else said.text
        reply = ThreadMessage(
            thread, message.user, message.ts, text, said.mode, message.client_msg_id, message.files
        )
        plain = said.plain and not message.mentions_bot
        if said.meant is not Intent.MESSAGE or said.mode is ChatMode.INTERRUPT:
            # What stops or interrupts waits for no message before it.
            return await self._take(reply, said, plain=plain)
        # Messages of a thread keep the order of their arrival.
        with self._service.turns.taken(thread) as turn:
            return await self._take(reply, said, turn, plain=plain)

    async def revised(self, revised: EditedMessage) -> None:
        """A message in a thread was edited or deleted. No edit is a command: not even "stop"."""
        said = None if revised.text is None else read_reply(revised.text)
        is_message = said is not None and said.meant is Intent.MESSAGE
        text = said.text if said is not None and is_message else None
        thread = ThreadRef(revised.team, revised.channel, revised.thread_ts)
        tell = self._aside.to(revised.user, revised.channel, revised.thread_ts)
        with log_scope(channel=revised.channel, message=revised.ts):
            change = self._service.revision.revise(thread, revised.ts, text)
            await self._aside.guarded(tell, change)

    async def _take(
        self, reply: ThreadMessage, said: Reply, turn: Turn | None = None, *, plain: bool
    ) -> bool:
        agent = await self._service.of_thread(reply.thread)
        if agent is None:
            return False
        if said.meant is Intent.ASIDE or (plain and await self._service.control.is_muted(agent)):
            await self._service.reading.take(agent, reply.ts, reply.client_msg_id)
            return True
        tell = self._aside.to(reply.user, agent.channel, reply.thread.thread_ts)
        action = _ACTIONS.get(said.meant, Action.STEER)
        with log_scope(agent=agent.id, user=reply.user, message=reply.ts):
            why_not = await self._why_not(agent, reply.user, action, said.mode)
            if why_not:
                if turn is not None:  # nobody has to wait until the refusal is told
                    turn.leave()
                await self._refuse(action, agent, reply, why_not, tell)
            else:
                await self._obey(agent, reply, said, tell, turn)
        return True

    async def _why_not(self, agent: Agent, user: str, action: Action, mode: ChatMode) -> str:
        needed = [action, Action.INTERRUPT] if mode is ChatMode.INTERRUPT else [action]
        for one in needed:
            _, why_not = await self._gate.judge(one, user, agent.team, agent.channel, agent=agent)
            if why_not:
                return why_not
        return ""

    async def _obey(
        self, agent: Agent, reply: ThreadMessage, said: Reply, tell: Tell, turn: Turn | None
    ) -> None:
        control = self._service.control
        match said.meant:
            case Intent.STOP:
                await self._aside.guarded(tell, self._service.stop_by_word(agent, reply))
                await self._gate.note(Action.STOP, reply.user, agent.id)
            case Intent.PAUSE:

                async def pause() -> None:
                    await tell(await control.pause(agent.id))

                await self._once(agent, reply, tell, Action.INTERRUPT, pause)
            case Intent.MUTE | Intent.UNMUTE:
                on = said.meant is Intent.MUTE

                async def mute() -> None:
                    await control.mute(agent, reply.user, reply.ts, on=on)

                await self._once(agent, reply, tell, Action.STEER, mute)
            case _ if said.mode is ChatMode.INTERRUPT and not said.text:

                async def interrupt() -> None:
                    await self._service.interrupt(agent.id)

                await self._once(agent, reply, tell, Action.INTERRUPT, interrupt)
            case _:
                await self._service.reply(reply, turn)

    async def _once(
        self,
        agent: Agent,
        reply: ThreadMessage,
        tell: Tell,
        action: Action,
        deed: Callable[[], Awaitable[None]],
    ) -> None:
        """Do what a word asks for; noted afterwards, since doing it twice does no harm."""
        reading = self._service.reading
        if await reading.done(agent, reply.ts):
            return
        await self._aside.guarded(tell, deed())
        await self._gate.note(action, reply.user, agent.id)
        await reading.note(agent, reply.ts, reply.client_msg_id)

    async def _refuse(
        self, action: Action, agent: Agent, reply: ThreadMessage, why_not: str, tell: Tell
    ) -> None:
        """Say once why a message has no effect, however often it is delivered."""
        if await self._service.reading.take(agent, reply.ts, reply.client_msg_id):
            await self._gate.note(action, reply.user, agent.id, why_not)
            await tell(why_not)
