import pytest

from bot.domain.secret import (
    SecretEntry,
    SecretKind,
    SecretRef,
    SecretScope,
    checked_value,
    checked_variable,
    narrowest,
)
from bot.errors import InvalidCommand


@pytest.mark.parametrize("name", ["NPM_TOKEN", "_X", "A1", "X" * 64, "GITHUB_TOKEN", "LDAP_URL"])
def test_a_variable_has_a_name_of_capitals(name: str) -> None:
    assert checked_variable(f" {name} ") == name


@pytest.mark.parametrize(
    "name",
    [
        "", "npm", "1A", "A-B", "A B", "A=B", "A\nB", "É", "X" * 65, "PATH", "HOME", "NODE_OPTIONS",
        "BASH_ENV", "LD_PRELOAD", "GIT_SSH_COMMAND", "PYTHONPATH", "PYTHONSTARTUP", "HTTPS_PROXY",
    ],
)  # fmt: skip
def test_names_that_are_none_or_decide_what_runs_are_refused(name: str) -> None:
    with pytest.raises(InvalidCommand):
        checked_variable(name)


def test_a_value_is_something_and_within_bounds() -> None:
    assert checked_value(" canary\n") == "canary"
    for wrong in ("", "  \n", "a\0b", "x" * 3_001):
        with pytest.raises(InvalidCommand) as caught:
            checked_value(wrong)
        assert "x" * 100 not in caught.value.user_text


def test_the_narrowest_scope_wins_by_name() -> None:
    def held(scope: SecretScope, name: str) -> tuple[SecretEntry, str]:
        ref = SecretRef("T1", scope, "x", SecretKind.VARIABLE, name)
        return SecretEntry(ref, True, "U1", 1.0), f"{scope}-{name}"

    found = narrowest(
        [
            held(SecretScope.USER, "A"), held(SecretScope.DEPLOYMENT, "A"),
            held(SecretScope.CHANNEL, "B"), held(SecretScope.REPOSITORY, "B"),
            held(SecretScope.DEPLOYMENT, "C"),
        ]
    )  # fmt: skip
    assert found == {"A": "user-A", "B": "channel-B", "C": "deployment-C"}
