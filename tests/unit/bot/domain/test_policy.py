import pytest

from bot.domain.agent import RepoRef
from bot.domain.policy import (
    Action,
    ChannelRules,
    HouseRules,
    Person,
    Who,
    allows,
    checked_patterns,
    is_admin,
    place_refusal,
    refusal,
)
from bot.errors import InvalidCommand

HOUSE = HouseRules(admins=frozenset({"UADMIN"}))
OPEN = ChannelRules()
CLOSED = ChannelRules(Who.OWNER, Who.OWNER, Who.OWNER)
ANA, BEN = Person("UANA"), Person("UBEN")
# Approving is for who started the agent, unless the channel says otherwise.
DOING = [one for one in Action if one not in (Action.ADMINISTER, Action.APPROVE)]


def may(
    action: Action, person: Person, rules: ChannelRules = OPEN, house: HouseRules = HOUSE
) -> bool:
    return not refusal(action, person, house, rules, "UANA")


@pytest.mark.parametrize("action", DOING)
def test_members_may_do_everything_with_agents_by_default(action: Action) -> None:
    assert may(action, BEN)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize(
    "stranger",
    [
        Person("U1", is_guest=True), Person("U1", is_external=True), Person("U1", is_bot=True),
        Person("U1", is_deleted=True), Person("UADMIN", is_bot=True),
        Person("UADMIN", is_deleted=True),
    ],
)  # fmt: skip
def test_strangers_may_do_nothing(action: Action, stranger: Person) -> None:
    assert not may(action, stranger)


@pytest.mark.parametrize("action", DOING)
def test_strangers_may_where_the_settings_let_them(action: Action) -> None:
    house = HouseRules(allow_guests=True)
    assert may(action, Person("U1", is_guest=True), house=house)
    assert not may(action, Person("U1", is_external=True), house=house)
    house = HouseRules(allow_external=True)
    assert may(action, Person("U1", is_external=True), house=house)
    assert not may(action, Person("U1", is_guest=True, is_external=True), house=house)


@pytest.mark.parametrize("action", [Action.STEER, Action.STOP, Action.INTERRUPT])
def test_an_owners_rule_lets_the_owner_and_admins(action: Action) -> None:
    assert may(action, ANA, CLOSED)
    assert may(action, Person("UX", is_admin=True), CLOSED)
    assert may(action, Person("UADMIN"), CLOSED)
    said = refusal(action, BEN, HOUSE, CLOSED, "UANA")
    assert "Only <@UANA> and admins may" in said
    assert said.endswith("Ask them.")


def test_the_owner_who_has_become_a_guest_may_no_more() -> None:
    assert not may(Action.STOP, Person("UANA", is_guest=True), CLOSED)


def test_a_start_by_the_owners_rule_is_for_admins() -> None:
    assert not may(Action.START, ANA, CLOSED)
    assert may(Action.START, Person("UADMIN"), CLOSED)


def test_only_admins_administer() -> None:
    assert not may(Action.ADMINISTER, ANA)
    assert may(Action.ADMINISTER, Person("UADMIN"))
    assert is_admin(Person("UX", is_admin=True), HOUSE)


def test_every_refusal_says_what_to_do() -> None:
    for action in Action:
        said = refusal(action, Person("U1", is_guest=True), HOUSE, CLOSED, "UANA")
        assert "Ask " in said


API = RepoRef("acme", "api")


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        (("acme/api",), True), (("ACME/Api",), True), (("acme/*",), True), (("acme/ap",), False),
        (("acm/*",), False), (("other/*", "acme/api"), True),
    ],
)  # fmt: skip
def test_patterns_name_repositories(patterns: tuple[str, ...], allowed: bool) -> None:
    assert allows(patterns, API) is allowed


def test_both_lists_of_repositories_and_the_list_of_channels_must_allow() -> None:
    house = HouseRules(channels=frozenset({"C1"}), repositories=("acme/*",))
    assert place_refusal(API, "C1", house, OPEN) == ""
    assert place_refusal(API, "C2", house, OPEN).endswith("Start it in <#C1>.")
    said = place_refusal(RepoRef("evil", "api"), "C1", house, OPEN)
    assert said.startswith("`evil/api` may not be used here. Allowed: `acme/*`.")
    rules = ChannelRules(repositories=("acme/web",))
    assert "in this channel" in place_refusal(API, "C1", house, rules)


def test_stored_settings_that_nobody_understands_are_left_out() -> None:
    assert ChannelRules.of({"stop": "owner", "steer": "nobody", "colour": "red"}) == ChannelRules(
        stop=Who.OWNER
    )
    assert ChannelRules.of({"repositories": "a/b c/*"}).repositories == ("a/b", "c/*")


@pytest.mark.parametrize("text", ["*", "*/*", "a/b/c", "a", "-a/b", "a/../b", "a/b;rm", "é/b"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(InvalidCommand):
        checked_patterns(f"a/b {text}")


def test_patterns_may_have_commas_and_come_twice() -> None:
    assert checked_patterns("a/b, c/*  a/b") == ("a/b", "c/*")
    with pytest.raises(InvalidCommand, match="At most"):
        checked_patterns(" ".join(f"a/b{number}" for number in range(51)))
