"""Every text outside the posts and windows of an agent, by name, made from others' words."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bot.agents.lifecycle.failures import explain, explain_loss
from bot.agents.publishing import REFUSED, Published
from bot.domain.agent import (
    Agent,
    AgentStatus,
    RepoRef,
    SecretScope,
    checked_branch,
)
from bot.domain.budget import checked_budget
from bot.domain.commands import parse
from bot.domain.egress import Denial, DenialReason
from bot.domain.health import Examined, Finding, Verdict
from bot.domain.model_offer import ModelOffer
from bot.domain.policy import checked_patterns
from bot.domain.preferences import Preferences
from bot.domain.pull_request import (
    Credits,
    PullRequest,
    PullState,
    model_prompt,
    title_and_body,
)
from bot.domain.quoting import code
from bot.domain.secrets import (
    SecretEntry,
    SecretKind,
    SecretRef,
)
from bot.domain.settings_command import checked_model
from bot.domain.usage import Sum
from bot.domain.usage_command import ShowUsage, UsageOf
from bot.errors import BridgeRefused, UserError
from bot.gateway.git.host import chosen_branch
from bot.gateway.git.pkt_line import Refs
from bot.slack.views.evidence import evidence_markdown
from bot.slack.views.home import closed_view, defaults_form, home_view, read_defaults
from bot.slack.views.lists import agent_line, list_text, offers_text
from bot.slack.views.models import model_options
from bot.slack.views.notices import pull_state, pushed_text, report_text
from bot.slack.views.secrets import read_secret_form, secret_form, secrets_list
from bot.slack.views.start_form import (
    Draft,
    FormLocation,
    read_form,
    repository_options,
    start_form,
)
from bot.slack.views.usage import heading, usage_text
from bridge.protocol import Check, CheckKind, Evidence, WireError
from tests.unit.bot.slack.posts import VOICE, Words, agent_of, wire

URL = "https://playground.invalid/"


def texts(words: Words) -> Mapping[str, str]:
    """What is said in mrkdwn: private answers, notices, errors."""
    agent = agent_of(words)
    ended = replace(agent, status=AgentStatus.LOST)
    pull = PullRequest(7, "https://git.invalid/acme/api/pull/7", words.title, PullState.OPEN)
    pushed = Published("https://git.invalid/b")
    offer = ModelOffer(words.model, 1, 1.0, 1.0)
    denials = [Denial(words.path, 443, DenialReason.NOT_ON_LIST, 9.0)] * 9
    examined = [
        Examined("Docker", Finding(verdict, words.error, words.short), 0.1) for verdict in Verdict
    ]
    sums = [Sum("2026-03-01", "UANA", "C1", words.model, 1, 1, 1, 1, 1, 1)] * 9
    wish = ShowUsage(UsageOf.ALL)
    refused = BridgeRefused(500, WireError(code="clone_failed", message=wire(words.error)[:2_000]))
    said = {
        "list": list_text([agent, ended] * 30, URL),
        "list_of_none": list_text([], URL),
        "status": agent_line(agent, URL) + " · " + pull_state(pull),
        "offers": offers_text([offer] * 20, ""),
        "offers_of_none": offers_text([], words.short),
        "pushed": pushed_text(agent, pushed, "UANA"),
        "push_refused": REFUSED.format(why=code(words.error, 300)),
        "opened": pushed_text(agent, replace(pushed, pull=pull, is_new=True), "UANA"),
        "denied": VOICE.denied(agent, "1", words.short, denials).payload["text"],
        "doctor": report_text(examined),
        "usage": usage_text(sums, wish, heading(wish, "UANA", "C1"), "2026-03-01", 1),
        "clone_failed": VOICE.trouble(agent, "1", explain(agent, refused)).payload["text"],
        "lost": VOICE.trouble(
            agent, "1", explain_loss(has_files=False, lost=[words.path] * 20)
        ).payload["text"],
    }
    return {**said, **_errors(words)}


def _errors(words: Words) -> Mapping[str, str]:
    """What a person is told of words that cannot be used."""
    text, repo = words.title, RepoRef("acme", "api")
    one = "_".join(text.split())  # as one word
    refs = Refs((f"{words.branch}x", "main"), "main")
    tried: dict[str, Callable[[], object]] = {
        "word": lambda: parse(one, max_steps=15),
        "repository": lambda: parse(f"{one}/x fix", max_steps=15),
        "branch": lambda: parse(f"acme/api@{one} fix", max_steps=15),
        "option": lambda: parse(f"--{one} acme/api fix", max_steps=15),
        "steps": lambda: parse(f"--steps {one} acme/api fix", max_steps=15),
        "budget": lambda: parse(f"--budget {one} acme/api fix", max_steps=15),
        "model": lambda: parse(f"--model {one} acme/api fix", max_steps=15),
        "status": lambda: parse(f"status {one}", max_steps=15),
        "usage": lambda: parse(f"usage {one}", max_steps=15),
        "set": lambda: parse(f"set {text}", max_steps=15),
        "me": lambda: parse(f"me repo {text}", max_steps=15),
        "patterns": lambda: checked_patterns(text),
        "checked_branch": lambda: checked_branch(text),
        "checked_budget": lambda: checked_budget(text),
        "checked_model": lambda: checked_model(text),
        "no_such_branch": lambda: chosen_branch(repo, words.branch, refs),
        "no_default_branch": lambda: chosen_branch(repo, None, Refs((words.branch,))),
    }
    said = {}
    for name, deed in tried.items():
        with suppress(InvalidAfterAll):
            said[f"error_{name}"] = _error(deed)
    return said


class InvalidAfterAll(Exception):
    """These words can be used."""


def _error(deed: Callable[[], object]) -> str:
    try:
        deed()
    except UserError as error:
        return error.user_text
    raise InvalidAfterAll


def views(words: Words) -> Mapping[str, dict[str, Any]]:
    """The Home tab and the forms."""
    agent = agent_of(words)
    ended = replace(agent, status=AgentStatus.STOPPED)
    mine = Preferences(RepoRef("acme", "api"), words.model[:200])
    # Both are checked when they are stored: ASCII, and short.
    plain = [text.encode("ascii", "ignore").decode() for text in (words.path, words.tool)]
    entries = [
        SecretEntry(SecretRef("T1", scope, plain[0][:140], kind, plain[1][:64]), True, "UANA", 9.0)
        for scope, kind in (
            (SecretScope.REPOSITORY, SecretKind.GIT_TOKEN),
            (SecretScope.DEPLOYMENT, SecretKind.VARIABLE),
        )
    ]
    draft = Draft(words.title, "acme/api", words.model)
    return {
        "home": home_view([agent] * 20 + [ended] * 20, mine, words.model, URL),
        "home_closed": closed_view("Guests cannot use agents here."),
        "home_defaults": defaults_form(mine),
        "start_form": start_form(FormLocation("C1"), draft),
        "start_form_listed": start_form(FormLocation("C1"), replace(draft, listed=True)),
        "secrets": secrets_list(entries * 20, "C1"),
        "secret_form": secret_form("C1", admin=True),
    }


def form_errors(words: Words) -> Mapping[str, str]:
    """What stands below the fields of a form, which Slack shows literally."""
    values = {
        name: {name: {"value": words.title}} for name in ("repo", "branch", "model", "task", "name")
    }
    state = {"state": {"values": values}, "private_metadata": "C1"}
    chosen = {
        name: {name: {"selected_option": {"value": value}}}
        for name, value in (("kind", "variable"), ("scope", "user"))
    }
    secret = {"state": {"values": values | chosen}, "private_metadata": "C1"}
    return {
        **{f"start_{name}": text for name, text in read_form(state)[1].items()},
        **{f"mine_{name}": text for name, text in read_defaults(state)[1].items()},
        **{f"secret_{n}": text for n, text in read_secret_form(secret, "T1", "UANA")[1].items()},
        **{
            f"option_{number}": option["text"]["text"]
            for number, option in enumerate(
                repository_options(["acme/api"], words.title)
                + model_options([ModelOffer(words.model)], "")
                + model_options([ModelOffer("acme/one")], words.title)
            )
        },
    }


def pull(words: Words) -> tuple[str, str]:
    """Title and body of a pull request."""
    agent: Agent = agent_of(words)
    check = Check(
        command=wire(words.short)[:2_000],
        kind=CheckKind.TESTS,
        exit_code=1,
        duration_seconds=1.0,
        working_directory=wire(words.path)[:1_000],
    )
    evidence = evidence_markdown(Evidence(checks=(check,), changed=True))
    assert model_prompt(agent, words.answer)
    credits_ = Credits(words.name, [words.name], f"{URL}archives/C1/p1", evidence)
    return title_and_body(agent, f"{words.title}\n\n{words.answer}", credits_)
