"""Decides who may do what, and with which repositories. Pure: returns a refusal or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, assert_never

from bot.config import REPOSITORY_PATTERN, Settings
from bot.domain.agent import RepoRef
from bot.domain.quoting import code
from bot.errors import InvalidCommand
from bridge.protocol import Approvals

_MAX_PATTERNS = 50
NOBODY_KNOWN = (
    "Slack did not say who you are, so nothing was done. Try again in a moment; if it stays so, "
    "ask an admin to look into the log of Threadsmith."
)


class Action(StrEnum):
    """An action of a person; the names are those of the audit record."""

    START = "agent.start"
    STEER = "agent.steer"
    INTERRUPT = "agent.interrupt"
    STOP = "agent.stop"
    APPROVE = "agent.approve"
    READ = "agent.read"
    SET_OWN_SECRET = "secret.own"  # noqa: S105  (the name of an action)
    ADMINISTER = "administer"


class Who(StrEnum):
    """The people who may act in a channel. A start has no owner yet: OWNER means admins there."""

    ANYONE = "anyone"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Person:
    """A person as Slack describes them. `is_external`: of another organisation."""

    id: str
    is_admin: bool = False
    is_guest: bool = False
    is_external: bool = False
    is_bot: bool = False
    is_deleted: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class HouseRules:
    """The rules of the deployment's settings. Empty lists allow everything."""

    admins: frozenset[str] = frozenset()
    allow_guests: bool = False
    allow_external: bool = False
    channels: frozenset[str] = frozenset()
    repositories: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the rules in these settings."""
        return cls(
            admins=frozenset(settings.admins),
            allow_guests=settings.allow_guests,
            allow_external=settings.allow_external,
            channels=frozenset(settings.allowed_channels),
            repositories=settings.allowed_repositories,
        )


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """The rules that admins have set for one channel.

    `approvals`: what becomes of a command outside the allow-list; `approve`: who may allow one.
    """

    start: Who = Who.ANYONE
    steer: Who = Who.ANYONE
    stop: Who = Who.ANYONE
    repositories: tuple[str, ...] = ()
    approve: Who = Who.OWNER
    approvals: Approvals = Approvals.REFUSE

    @classmethod
    def of(cls, stored: Mapping[str, str]) -> Self:
        """Returns the rules in stored settings; a name or a value that is unknown is left out."""
        who = {
            name: Who(stored[name])
            for name in ("start", "steer", "stop", "approve")
            if stored.get(name) in set(Who)
        }
        asks = stored.get("approvals") == Approvals.ASK
        return cls(
            **who,
            repositories=tuple(stored.get("repositories", "").split()),
            approvals=Approvals.ASK if asks else Approvals.REFUSE,
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """One line of the record: who did what, and whether it was allowed.

    `action` such as `agent.stop`; `subject` an agent, a repository, a name; `outcome` is
    `allowed`, `done`, or why not. Never a secret value. `at` in seconds since the epoch.
    """

    at: float
    actor: str
    action: str
    subject: str
    outcome: str


def is_admin(person: Person, house: HouseRules) -> bool:
    """Checks whether this person administers the workspace, or is named in ADMINS."""
    return person.is_admin or person.id in house.admins


def refusal(
    action: Action, person: Person, house: HouseRules, rules: ChannelRules, owner: str = ""
) -> str:
    """Says why this person may not, with the next step, as mrkdwn; "" when they may.

    `owner` is who started the agent that it is about.
    """
    if person.is_bot or person.is_deleted:
        return "Only people of this workspace can use agents."
    if is_admin(person, house):
        return ""
    return _as_stranger(person, house) or _by_rules(action, person, rules, owner)


def _as_stranger(person: Person, house: HouseRules) -> str:
    if person.is_external and not house.allow_external:
        return (
            "People of other organisations cannot use agents here. Ask a member of this workspace "
            "to do it."
        )
    if person.is_guest and not house.allow_guests:
        return "Guests cannot use agents here. Ask a member of this workspace to do it."
    return ""


def _by_rules(action: Action, person: Person, rules: ChannelRules, owner: str) -> str:
    match action:
        case Action.ADMINISTER:
            return (
                "Only admins may do this: the admins and owners of this workspace, and those whom "
                "whoever runs Threadsmith has named. Ask one of them."
            )
        case Action.START:
            only_admins = rules.start is Who.OWNER
            text = "Only admins may start agents in this channel. Ask one of them."
            return text if only_admins else ""
        case Action.STEER:
            return _only_owner(rules.steer, person, owner, "steer")
        case Action.STOP | Action.INTERRUPT:
            return _only_owner(rules.stop, person, owner, "stop")
        case Action.APPROVE:
            return _only_owner(rules.approve, person, owner, "approve commands of")
        case Action.READ | Action.SET_OWN_SECRET:
            return ""
        case _:
            assert_never(action)


def _only_owner(who: Who, person: Person, owner: str, verb: str) -> str:
    if who is Who.ANYONE or person.id == owner:
        return ""
    return f"Only <@{owner}> and admins may {verb} this agent. Ask them."


def place_refusal(repo: RepoRef, channel: str, house: HouseRules, rules: ChannelRules) -> str:
    """Says why no agent may be started in this channel on this repository; "" when it may."""
    if house.channels and channel not in house.channels:
        allowed = ", ".join(f"<#{allowed_id}>" for allowed_id in sorted(house.channels)[:5])
        return f"Agents may not be started in this channel. Start it in {allowed}."
    for patterns, whose in ((house.repositories, "here"), (rules.repositories, "in this channel")):
        if patterns and repo.exists and not allows(patterns, repo):
            shown = ", ".join(f"`{pattern}`" for pattern in patterns[:5])
            more = f" and {len(patterns) - 5} more" if len(patterns) > 5 else ""  # noqa: PLR2004
            return (
                f"`{repo}` may not be used {whose}. Allowed: {shown}{more}. Choose one of them, or "
                "ask an admin to add it."
            )
    return ""


def allows(patterns: Sequence[str], repo: RepoRef) -> bool:
    """Checks whether one of the patterns (`owner/name`, `owner/*`) is this repository's."""
    wanted = {str(repo).lower(), f"{repo.owner.lower()}/*"}
    return any(pattern.lower() in wanted for pattern in patterns)


def checked_patterns(text: str) -> tuple[str, ...]:
    """Reads repository patterns from words with commas or spaces between; raises InvalidCommand."""
    patterns = tuple(dict.fromkeys(text.replace(",", " ").split()))
    wrong = next((word for word in patterns if not REPOSITORY_PATTERN.fullmatch(word)), None)
    if wrong is not None:
        raise InvalidCommand(
            f"{code(wrong, 100)} is neither `owner/name` nor `owner/*`. Write spaces between them."
        )
    if len(patterns) > _MAX_PATTERNS:
        raise InvalidCommand(f"At most {_MAX_PATTERNS} repositories can be listed.")
    return patterns
