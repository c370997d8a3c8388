"""Lists agents and models: one line each."""

from collections.abc import Sequence

from bot.domain.agent import Agent, AgentStatus
from bot.domain.budget import NANO
from bot.domain.model_offer import SHOWN_OFFERS, ModelOffer, matching_offers
from bot.domain.quoting import code, escaped, line
from bot.slack.views.task_card import changed
from bot.slack.views.text import money
from bridge.protocol import Diff

SHOWN_AGENTS = 30
_MARKS = {
    AgentStatus.STARTING: "⏳ starting",
    AgentStatus.WORKING: "▶ working",
    AgentStatus.IDLE: "✓ idle",
    AgentStatus.SLEEPING: "💤 asleep",
    AgentStatus.STOPPED: "⏹ stopped",
    AgentStatus.FAILED: "⚠ failed",
    AgentStatus.LOST: "⚠ lost",
}


def agent_line(agent: Agent, workspace_url: str, diff: Diff | None = None) -> str:
    """Returns one agent on one line of mrkdwn, with a link to its thread."""
    mark = "⏳ waiting for a place" if agent.waiting else _MARKS[agent.status]
    facts = [f"{mark} {code(agent.id)} {line(agent.title, 80)}"]
    facts.append(escaped(str(agent.repo)))
    if agent.status is AgentStatus.WORKING:
        facts.append(f"step {agent.step}")
    if agent.budget_nano is not None:
        facts.append(f"{money(agent.spent_nano / NANO)} of {money(agent.budget_nano / NANO)}")
    elif agent.cost_usd is not None:
        facts.append(money(agent.cost_usd))
    if diff is not None:
        facts.append(changed(diff.files) if diff.files else "no file changed")
    facts.append(f"<@{agent.started_by}>")
    if agent.thread_ts:
        link = f"{workspace_url}archives/{agent.channel}/p{agent.thread_ts.replace('.', '')}"
        facts.append(f"<{link}|thread>")
    return " · ".join(facts)


def list_text(agents: Sequence[Agent], workspace_url: str) -> str:
    """Returns the agents of a channel."""
    if not agents:
        return "No agent runs in this channel. `/agent help` shows how to start one."
    head = "*1 agent runs here*" if len(agents) == 1 else f"*{len(agents)} agents run here*"
    lines = [agent_line(agent, workspace_url) for agent in agents[:SHOWN_AGENTS]]
    if more := len(agents) - len(lines):
        lines.append(f"…and {more} more. `/agent status ID` shows one; the Home tab lists yours.")
    return "\n".join([head, *lines])


def offers_text(offers: Sequence[ModelOffer], search: str) -> str:
    """Returns the models that a search finds, a line each."""
    matching = matching_offers(offers, search)
    if not matching:
        named = f" with {code(search, 60)} in its name" if search else ""
        return f"The provider lists no model{named}. `/agent models` shows all."
    lines = [_offer_line(offer) for offer in matching[:SHOWN_OFFERS]]
    more = len(matching) - len(lines)
    tail = [f"…and {more} more: `/agent models WORD` searches."] if more > 0 else []
    head = "*Models* · price of a million tokens, prompt / answer"
    return "\n".join([head, *lines, *tail])


def price_of(offer: ModelOffer) -> str:
    """Returns the price of a million tokens, of the prompt and of the answer."""
    if offer.prompt_usd is None or offer.completion_usd is None:
        return "price unknown"
    return f"${offer.prompt_usd:,.2f} / ${offer.completion_usd:,.2f}"


def _offer_line(offer: ModelOffer) -> str:
    facts = [code(offer.id, 80), price_of(offer)]
    if offer.context_tokens is not None:
        facts.append(f"{offer.context_tokens:,} tokens")
    if offer.takes_tools is False:
        facts.append("no tools: cannot work here")
    return " · ".join(facts)
