"""Hands an agent's tools their variables, and names in the thread those that they do not get."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.domain.container import (
    BridgeAddress,
)
from bot.domain.quoting import code
from bot.errors import BridgeRefused
from bridge.container import is_reserved_variable
from bridge.protocol import ErrorCode

logger = logging.getLogger(__name__)


async def hand_over_variables(deps: Dependencies, agent: Agent, address: BridgeAddress) -> None:
    """Give the bridge all variables that it takes; it forgets them when its container stops.

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
    """Hand the variables over; the names of those that the bridge does not take, even alone."""
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
