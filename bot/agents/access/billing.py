"""Reserves budget before a model call, records its cost after it, warns at 80 %."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from bot.agents.ports.people import Presenter
from bot.agents.ports.store import (
    Store,
    Transaction,
)
from bot.config import Settings
from bot.domain.agent import (
    Agent,
    SecretScope,
)
from bot.domain.budget import (
    FREE,
    BudgetRefused,
    BudgetScope,
    Price,
    day_start,
    decide,
    dollars,
    nano_of,
    warns,
)
from bot.domain.settings_command import checked_model
from bot.domain.usage import CostSource, ModelCall, Settled, UsageTotals
from bot.errors import InvalidCommand, StoreUnavailable, UserError

logger = logging.getLogger(__name__)

_WHOSE = {
    BudgetScope.AGENT: "The budget of this agent",
    BudgetScope.USER_DAY: "Today's budget of the person who started this agent",
    BudgetScope.CHANNEL_DAY: "Today's budget of this channel",
    BudgetScope.DEPLOYMENT_DAY: "Today's budget of this Threadsmith",
}


class BudgetUsed(UserError):
    """A cap leaves no room for the next call."""

    def __init__(self, refused: BudgetRefused) -> None:
        self.refused = refused
        used, limit = dollars(refused.used_nano), dollars(refused.limit_nano)
        tail = "" if refused.used_nano >= refused.limit_nano else (
            " The next call might cost more than what is left."
        )  # fmt: skip
        until = "" if refused.scope is BudgetScope.AGENT else " A new day begins at 00:00 UTC."
        super().__init__(f"{_WHOSE[refused.scope]} is used: {used} of {limit}.{tail}{until}")


class NotServed(UserError):
    """The agent has ended, or never was."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call that an agent asks to make.

    `price` is None where nobody lists one; `paid_by`: where the key is stored.
    """

    model: str
    prompt_tokens: int
    max_tokens: int
    price: Price | None
    paid_by: SecretScope = SecretScope.DEPLOYMENT


@dataclass(frozen=True, slots=True)
class Reservation:
    """The call may be made, with an answer of `max_tokens` at the most."""

    call: ModelCall
    prompt_tokens: int
    max_tokens: int
    price: Price
    listed: bool

    @classmethod
    def unmetered(cls, agent_id: str, request: CallRequest) -> "Reservation":
        """Returns a reservation for a call that is not billed."""
        call = ModelCall("", agent_id, None, "", "", "", request.model, 0, 0.0, request.paid_by)
        return cls(
            call, request.prompt_tokens, request.max_tokens, request.price or FREE, listed=True
        )


@dataclass(frozen=True, slots=True)
class CallResult:
    """The end of a call.

    `usage` is None when the provider did not say. `seen_bytes` is the size of a whole answer
    without usage, None when it broke off; `refused`: the provider made no answer at all.
    """

    usage: UsageTotals | None = None
    seen_bytes: int | None = None
    refused: bool = False


class Billing:
    """Reserves the worst case of each call under all caps at once, then enters what it cost."""

    def __init__(
        self,
        store: Store,
        presenter: Presenter,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._presenter = presenter
        self._clock = clock
        self._agent_cap = nano_of(settings.budget_agent_usd)
        self._day_caps = {
            BudgetScope.USER_DAY: nano_of(settings.budget_user_day_usd),
            BudgetScope.CHANNEL_DAY: nano_of(settings.budget_channel_day_usd),
            BudgetScope.DEPLOYMENT_DAY: nano_of(settings.budget_deployment_day_usd),
        }
        self._assumed = Price.per_million(Decimal(str(settings.budget_assumed_usd_per_mtok)))
        # Calls that have ended and are not entered yet; until then they stand at their worst.
        self._late: dict[str, tuple[Reservation, Settled]] = {}

    async def begin(self, agent_id: str, request: CallRequest) -> Reservation:
        """Reserves the worst case of a call; raises BudgetUsed, NotServed or StoreUnavailable."""
        await self.enter_late()
        reservation: Reservation | None = None
        try:
            async with self._store.transaction() as tx:
                reservation = await self._reserve(tx, agent_id, request)
        except asyncio.CancelledError:
            if reservation:  # it may be stored, and the call is never made
                self._late[reservation.call.id] = (
                    reservation,
                    Settled(UsageTotals(), 0, CostSource.NOTHING),
                )
            raise
        return reservation

    async def _reserve(self, tx: Transaction, agent_id: str, request: CallRequest) -> Reservation:
        agent = await tx.agent(agent_id)
        if agent is None or not agent.alive:
            raise NotServed("This agent has ended.")
        now = self._clock()
        caps, call = self._caps(agent), _call(agent, request, now)
        used = await tx.used(call, day_start(now), caps)
        price = request.price or self._assumed
        decision = decide(caps, used, price, request.prompt_tokens, request.max_tokens)
        if isinstance(decision, BudgetRefused):
            raise BudgetUsed(decision)
        call = replace(call, nano=decision.nano)
        await tx.add_call(call)
        listed = request.price is not None
        if caps and not listed:
            post = self._presenter.notice(agent, f"price:{call.model}", self._guess(call.model))
            await tx.enqueue(agent.id, post)  # once: the second time it is stored already
        return Reservation(call, request.prompt_tokens, decision.max_tokens, price, listed)

    async def settle(self, reservation: Reservation, result: CallResult) -> None:
        """Enters how a call ended; what cannot be stored now is entered before the next call."""
        settled = _settled(reservation, result)
        entered = False
        try:
            await self._enter_now(reservation, settled)
            entered = True
        except StoreUnavailable as error:
            logger.warning(
                "a model call of %s is entered later: %s", reservation.call.agent_id, error
            )
        finally:
            if not entered:  # also when cancelled meanwhile
                self._late[reservation.call.id] = (reservation, settled)

    async def enter_late(self) -> None:
        """Enters the calls that could not be entered when they ended; raises StoreUnavailable."""
        for call_id, (reservation, settled) in list(self._late.items()):
            await self._enter_now(reservation, settled)
            self._late.pop(call_id, None)

    async def _enter_now(self, reservation: Reservation, settled: Settled) -> None:
        async with self._store.transaction() as tx:
            await self._enter(tx, reservation, settled)

    async def _enter(self, tx: Transaction, reservation: Reservation, settled: Settled) -> None:
        agent_id = await tx.settle_call(reservation.call.id, settled)
        agent = await tx.agent(agent_id) if agent_id else None
        if agent is None:
            return
        spent = await tx.spent(agent.id)
        after = replace(agent, spent_nano=spent, paid_by=reservation.call.paid_by)
        await tx.save_agent(after)
        cap = self._caps(agent).get(BudgetScope.AGENT)
        if cap is not None and warns(agent.spent_nano, spent, cap):
            text = f"⏳ {dollars(spent)} of this agent's budget of {dollars(cap)} are used."
            await tx.enqueue(agent.id, self._presenter.notice(after, f"budget:{cap}", text))

    def _guess(self, model: str) -> str:
        try:
            named = f"`{checked_model(model)}`"
        except InvalidCommand:  # a container may ask for anything
            named = "this model"
        usd = self._assumed.of(1_000_000, 0)
        return (
            f"No price is known for {named}: towards the budget its tokens count at "
            f"{dollars(usd)} a million. An admin can name one in `MODEL_PRICES`."
        )

    def _caps(self, agent: Agent) -> dict[BudgetScope, int]:
        own = self._agent_cap if agent.budget_nano is None else agent.budget_nano
        caps = {BudgetScope.AGENT: own, **self._day_caps}
        return {scope: nano for scope, nano in caps.items() if nano}


def _call(agent: Agent, request: CallRequest, now: float) -> ModelCall:
    return ModelCall(
        id=f"call-{secrets.token_hex(12)}",
        agent_id=agent.id,
        task_id=agent.task_id or agent.first_task_id,
        team=agent.team,
        user=agent.started_by,
        channel=agent.channel,
        model=request.model,
        nano=0,
        at=now,
        paid_by=request.paid_by,
    )


def _settled(reservation: Reservation, result: CallResult) -> Settled:
    usage = result.usage or UsageTotals()
    if usage.cost_nano is not None:
        return Settled(usage, usage.cost_nano, CostSource.PROVIDER)
    if result.usage and usage.prompt_tokens is not None and usage.completion_tokens is not None:
        source = CostSource.CATALOGUE if reservation.listed else CostSource.ASSUMED
        return Settled(
            usage, reservation.price.of(usage.prompt_tokens, usage.completion_tokens), source
        )
    if result.refused:
        return Settled(usage, 0, CostSource.NOTHING)
    worst = reservation.call.nano
    if result.seen_bytes is not None:
        # Three bytes a token, the wrapping counted as well.
        seen = reservation.price.of(reservation.prompt_tokens, result.seen_bytes // 3)
        return Settled(usage, min(worst, seen), CostSource.ESTIMATE)
    return Settled(usage, worst, CostSource.ESTIMATE)
