"""Owns the task at work: which message is next, its run, its waiting, its interruption, its end."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from bridge.agent.loop import Executor, Task
from bridge.agent.pauses import Pauses
from bridge.agent.prompts import INTERRUPTED_RESULT
from bridge.agent.recovery import end_interrupted_tool, recover_state, resumed_message
from bridge.errors import BridgeError
from bridge.process.logs import current_task
from bridge.protocol import (
    INTERRUPT_SECONDS,
    LAST_LOOK_SECONDS,
    MAX_QUEUED_MESSAGES,
    MAX_WAITING_MESSAGES,
    Accepted,
    ChatMode,
    Disposition,
    ErrorCode,
    Evidence,
    MessageTakenUp,
    Outcome,
    TaskFinished,
    TaskStarted,
    WireError,
)
from bridge.state.conversation import Conversation, UserMessage
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection

_log = logging.getLogger(__name__)
_NO_MONEY = (ErrorCode.BUDGET_USED, ErrorCode.DAY_BUDGET_USED)
_LOOK_SECONDS = 60.0
_OF_ANOTHER = "This task_id belongs to another message."
_STOPPED = "The bridge was stopped while this task was at work. Reply to go on."

# Of which task, and for how many seconds the files may be looked at.
ReadEvidence = Callable[[str, float], Awaitable[Evidence]]


class TaskRunner:
    """Accepts messages and works on them, one task at a time.

    `make_task` prepares the conversation for a message and says how its task is run;
    `read_evidence` tells what was recorded about the task, once it is over. While it is `held`, no
    task begins.
    """

    def __init__(
        self,
        executor: Executor,
        conversation: Conversation,
        events: EventLog,
        projection: Projection,
        make_task: Callable[[UserMessage], Task],
        read_evidence: ReadEvidence,
        *,
        held: bool = False,
    ) -> None:
        self._executor = executor
        self._conversation = conversation
        self._events = events
        self._projection = projection
        self._make_task = make_task
        self._read_evidence = read_evidence
        self.pauses = Pauses(projection, events)
        self._held = held
        # At work, or about to be, or waiting for a person; an answer may come before `run` does.
        self.current: UserMessage | None = resumed_message(projection, conversation)
        self._is_resumed = self.current is not None
        self._work: asyncio.Task[None] | None = None  # set while cancelling it interrupts the task
        self._interrupted = False
        self._worked_seconds = 0.0  # before the task waited for a person
        self._parked = False
        self._over = asyncio.Event()
        self._wake = asyncio.Event()

    @property
    def is_waiting(self) -> bool:
        """Checks whether the current task waits for a person."""
        return self._work is None and self._projection.waits

    @property
    def queued(self) -> list[UserMessage]:
        """Returns the messages that wait behind the current one, in the order of their turns."""
        current = self.current.task_id if self.current else None
        return [m for m in self._conversation.messages_in_turn() if m.task_id != current]

    def is_over(self, task_id: str) -> bool:
        """Checks that nothing more comes of the task: it is neither at work nor waiting."""
        at_work = self.current is not None and self.current.task_id == task_id
        return not at_work and all(m.task_id != task_id for m in self._conversation.waiting)

    async def run(self) -> None:
        """Repairs what a killed process left, then works on one message after the other."""
        if not self._is_resumed:
            await recover_state(self._projection, self._events, self._conversation)
        self._start_next(after=None)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (message := self.current) is not None:
                if self._projection.waits and not self._interrupted:
                    break
                over = self._over
                # A group of one: the task has an owner, and its interruption is not ours.
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._perform(message))
                if self._parked:
                    # What came while it was asking is an answer too.
                    await self._resume_by_steering()
                    continue
                if self.current is message:
                    self.current = None
                over.set()
                self._start_next(after=message)

    async def accept_message(self, message: UserMessage) -> Accepted:
        """Accepts the message, once: the same one again gets the same answer.

        Raises BridgeError when too many wait, or when its task id names another message.
        """
        known = self._conversation.find_message(
            task_id=message.task_id, message_id=message.message_id
        )
        if known is not None:
            if known.id != message.id:
                raise BridgeError(ErrorCode.INVALID_REQUEST, _OF_ANOTHER)
            return self._answer(known)
        interrupts = message.mode is ChatMode.INTERRUPT
        room = MAX_WAITING_MESSAGES if interrupts else MAX_QUEUED_MESSAGES
        if len(self._conversation.waiting) >= room:
            raise BridgeError(ErrorCode.QUEUE_FULL, f"{room} messages are waiting already.")
        message = message.model_copy(update={"disposition": self._disposition(message.mode)})
        was_busy = self.current is not None
        self._conversation.accept_message(message)
        self.start_task()
        answer = self._answer(message)
        await self._conversation.sync()
        if was_busy and interrupts:
            await self.interrupt_task()
        elif was_busy and message.mode is ChatMode.STEER and self._projection.waits:
            await self.pauses.resume_by_message(message)
            self.wake()
        return answer

    def wake(self) -> None:
        """Lets the current task go on: what it waited for has been recorded."""
        self._wake.set()

    async def revise_message(self, message_id: str, text: str | None) -> bool:
        """Changes a message that waits, or withdraws it (None); False when a task has it already.

        Raises BridgeError when there never was such a message.
        """
        known = self._conversation.find_message(task_id=message_id, message_id=message_id)
        if known is None:
            raise BridgeError(ErrorCode.NOT_FOUND, "There is no such message.")
        conversation, task_id = self._conversation, known.task_id
        waits = task_id in [message.task_id for message in self.queued]
        if waits and known.id not in self._projection.taken_messages:
            if text is None:
                conversation.withdraw_message(known)
            else:
                conversation.revise_message(known, text)
        elif text is not None or task_id not in conversation.withdrawn:
            return False
        await conversation.sync()
        return True

    def start_task(self) -> None:
        """Starts the task of the next message, if none is at work."""
        if self.current is None:
            self._start_next(after=None)

    @contextmanager
    def hold_tasks(self) -> Iterator[None]:
        """Lets no task begin within this context; messages that come in wait."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
            self.start_task()

    async def interrupt_task(self) -> None:
        """Ends the task at work; returns when its tool is dead and its end is recorded.

        Messages that wait are kept, and the next of them starts.
        """
        if self.current is None:
            return
        over = self._over
        if not self._interrupted:  # a second cancel would disturb the cleaning up
            self._interrupted = True
            if self._work is not None:
                self._work.cancel()
            self._wake.set()
        try:
            async with asyncio.timeout(INTERRUPT_SECONDS):
                await over.wait()
        except TimeoutError as error:
            text = f"The task did not stop within {INTERRUPT_SECONDS:g} seconds."
            raise BridgeError(ErrorCode.INTERNAL, text) from error

    async def take_messages(self) -> list[UserMessage]:
        """Moves the messages that steer into the conversation, and returns them."""
        task_id = self.current.task_id if self.current else None
        taken: list[UserMessage] = []
        # Asked anew for each one: the next may be revised while the log takes this one in.
        while message := next(self._steering(task_id), None):
            taken.append(message)
            try:
                await self._events.record(
                    MessageTakenUp(task_id=task_id, message_id=message.id, text=message.text)
                )
            finally:
                # Also when interrupted right here.
                if message.id in self._projection.taken_messages:
                    self._conversation.take_message(message)
        return taken

    async def _resume_by_steering(self) -> None:
        message = next(iter(self._conversation.steering_messages()), None)
        if message is not None and self._projection.question is not None:
            with suppress(BridgeError):  # a full disk: it waits on
                await self.pauses.resume_by_message(message)

    def _steering(self, task_id: str | None) -> Iterator[UserMessage]:
        return (m for m in self._conversation.steering_messages() if m.task_id != task_id)

    def _disposition(self, mode: ChatMode) -> Disposition:
        if self.current is None:
            return Disposition.STARTED
        return Disposition.STEERING if mode is ChatMode.STEER else Disposition.QUEUED

    def _answer(self, message: UserMessage) -> Accepted:
        ids = [waiting.task_id for waiting in self.queued]
        position = ids.index(message.task_id) + 1 if message.task_id in ids else 0
        return Accepted(disposition=message.disposition, task_id=message.task_id, position=position)

    def _start_next(self, after: UserMessage | None) -> None:
        if self._held or self._projection.workspace is None:
            return
        if self.current is None:
            following = next(iter(self._conversation.messages_in_turn()), None)
            if after is not None and following is not None and following.task_id == after.task_id:
                return  # it could not even begin (a full disk); the next request tries again
            self.current = following
            self._interrupted = False
            self._worked_seconds = 0.0
            self._over = asyncio.Event()
        if self.current is not None:
            self._wake.set()

    async def _perform(self, message: UserMessage) -> None:
        current_task.set(message.task_id)
        began = time.monotonic()
        outcome: Outcome | None = Outcome.FAILED
        error = None
        stopped: BaseException | None = None
        self._work = asyncio.current_task()
        try:
            outcome = await self._run_task(message)
        except asyncio.CancelledError as cancelled:
            if self._interrupted:
                outcome = Outcome.INTERRUPTED
            else:
                stopped = cancelled
                error = WireError(code=ErrorCode.INTERNAL, message=_STOPPED)
        except BridgeError as failure:
            error = failure.on_the_wire()
            if failure.code in _NO_MONEY:
                outcome = Outcome.BUDGET_LIMIT
        except Exception:  # noqa: BLE001  (boundary: a fault in one task never ends the session)
            _log.exception("the task failed inside")
            error = WireError(code=ErrorCode.INTERNAL, message="The agent failed inside.")
        self._work = None
        self._worked_seconds += time.monotonic() - began
        self._parked = outcome is None and not self._interrupted
        if self._parked:
            _log.info("the task waits for a person")
            return
        if stopped is None or not self._projection.waits:
            ended = outcome or Outcome.INTERRUPTED
            await self._end_task(message, ended, error, at_once=stopped is not None)
        if stopped is not None:
            raise stopped

    async def _run_task(self, message: UserMessage) -> Outcome | None:
        task = self._make_task(message)
        running = self._projection.running
        if running is not None and running.task_id == message.task_id:
            if self._interrupted:
                return Outcome.INTERRUPTED
            _log.info("task goes on")
            return await self._executor.run(task, after_step=self._projection.step)
        fields = message.model_dump(include={"task_id", "text", "model", "max_steps", "message_id"})
        await self._events.record(TaskStarted(**fields))
        self._conversation.take_message(message)
        _log.info("task started")
        if self._interrupted:
            return Outcome.INTERRUPTED
        return await self._executor.run(task)

    async def _end_task(
        self, message: UserMessage, outcome: Outcome, error: WireError | None, *, at_once: bool
    ) -> None:
        """Leaves nothing open and records the end, if the task had begun.

        `at_once`: the process ends, so that nothing is looked at any more.
        """
        # A person who interrupts waits for the end.
        hurries = outcome is Outcome.INTERRUPTED
        look_seconds = 0.0 if at_once else LAST_LOOK_SECONDS if hurries else _LOOK_SECONDS
        try:
            begun = message.task_id in self._projection.first_seq
            if begun and message in self._conversation.waiting:
                self._conversation.take_message(message)
            self._conversation.answer_open_calls(INTERRUPTED_RESULT)
            await self._conversation.sync()
            if begun:
                await end_interrupted_tool(self._projection, self._events)
                finished = TaskFinished(
                    task_id=message.task_id,
                    outcome=outcome,
                    steps=self._projection.step,
                    duration_seconds=round(self._worked_seconds, 3),
                    error=error,
                    evidence=await self._read_evidence(message.task_id, look_seconds),
                )
                self.current = None  # who reads that it is over finds the session idle
                await self._events.record(finished)
            _log.info("task finished: %s", outcome)
        except BridgeError as failure:
            _log.error("the end of the task could not be recorded: %s", failure.message)
