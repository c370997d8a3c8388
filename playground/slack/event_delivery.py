"""Delivers payloads to the app: attempts, acknowledgements, retries, over either transport."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Literal, Protocol

from playground.event_feed import EventFeed
from playground.slack.fault_plan import EventFault, FaultPlan
from playground.slack.slack_state import Json

Kind = Literal["events_api", "slash_commands", "interactive"]


@dataclass(frozen=True, slots=True)
class OutgoingPayload:
    """One payload on its way. `attempt` counts from 0; `reason` says why it is sent again."""

    kind: Kind
    payload: Json
    attempt: int = 0
    reason: str = ""


class DeliveryFailed(Exception):
    """No acknowledgement; `final` means that the app asked not to be sent this again."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


class Transport(Protocol):
    """A way to the app. Returns the payload of the acknowledgement; raises DeliveryFailed."""

    async def send(self, parcel: OutgoingPayload) -> Json | str | None: ...


class EventDelivery:
    """Delivers events with retries in the background, commands and interactions while one waits.

    It owns the task of each event, and ends them all in `close`.
    """

    def __init__(
        self,
        transport: Transport,
        feed: EventFeed,
        faults: FaultPlan,
        retry_delays: tuple[float, ...],
    ) -> None:
        self.transport = transport
        self._feed = feed
        self._faults = faults
        self._retry_delays = retry_delays
        self._tasks: set[asyncio.Task[None]] = set()

    def event(self, payload: Json) -> None:
        """Send an event, without waiting for its acknowledgement."""
        fault = self._faults.next_event(payload["event"]["type"])
        if fault is EventFault.LOST:
            self._feed.record("event_lost", payload=payload)
            return
        self._start(self._with_retries(payload))
        if fault is EventFault.TWICE:
            self._start(self._with_retries(payload))

    async def ask(self, kind: Kind, payload: Json) -> Json | str | None:
        """Send a command or an interaction once; raises DeliveryFailed when nobody acknowledged."""
        self._feed.record("delivery", kind=kind, payload=payload, attempt=0, reason="")
        try:
            answer = await self.transport.send(OutgoingPayload(kind, payload))
        except DeliveryFailed as failure:
            self._feed.record("delivery_failed", kind=kind, reason=failure.reason, attempt=0)
            raise
        self._feed.record("acknowledged", kind=kind, answer=answer, attempt=0)
        return answer

    async def idle(self) -> None:
        """Wait until every event that was sent is acknowledged or given up."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.idle()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        # An event outlives the call that caused it; `close` awaits every task kept here.
        task = asyncio.create_task(work)  # noqa: TID251 - owned by this delivery
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _with_retries(self, payload: Json) -> None:
        event_id = payload["event_id"]
        reason = ""
        for attempt, delay in enumerate((None, *self._retry_delays)):
            if delay is not None:
                await asyncio.sleep(delay)
            parcel = OutgoingPayload("events_api", payload, attempt, reason)
            self._feed.record(
                "delivery", kind=parcel.kind, payload=payload, attempt=attempt, reason=reason
            )
            try:
                await self.transport.send(parcel)
            except DeliveryFailed as failure:
                reason = failure.reason
                self._feed.record(
                    "delivery_failed", event_id=event_id, reason=reason, attempt=attempt
                )
                if failure.final:
                    return
            else:
                self._feed.record("acknowledged", event_id=event_id, attempt=attempt)
                return
        self._feed.record("event_given_up", event_id=event_id)
