import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from bot.domain.agent import SecretScope
from bot.domain.secrets import (
    MAX_VALUE_CHARS,
    MAX_VARIABLES_OF_A_PLACE,
    SecretEntry,
    SecretKind,
    SecretRef,
    checked_value,
    checked_variable,
    narrowest,
)
from bot.errors import InvalidCommand
from bridge.container import is_reserved_variable
from bridge.protocol import MAX_VARIABLES, ToolEnvironment


@pytest.mark.parametrize(
    "name",
    [
        "NPM_TOKEN", "_X", "A1", "X" * 64, "GITHUB_TOKEN", "GITLAB_TOKEN", "GITEA_URL", "LDAP_URL",
        "PYTHON_VERSION", "PYTHONUNBUFFERED", "OPENROUTER_API_KEY", "LD", "GIT",
    ],
)  # fmt: skip
def test_a_variable_has_a_name_of_capitals(name: str) -> None:
    assert checked_variable(f" {name} ") == name


@pytest.mark.parametrize(
    "name",
    [
        "", "npm", "1A", "A-B", "A B", "A=B", "A\nB", "É", "X" * 65, "PATH", "HOME", "NODE_OPTIONS",
        "BASH_ENV", "LD_PRELOAD", "GIT_SSH_COMMAND", "PYTHONPATH", "PYTHONSTARTUP", "HTTPS_PROXY",
        "THREADSMITH_X", "BRIDGE_TOKEN", "SOCKET_GID", "CI", "SSL_CERT_FILE",
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


# Names of the form's alphabet, many of which begin as a reserved one does.
names = st.builds(
    lambda start, rest: (start + rest)[:64],
    st.sampled_from(
        ["", "LD", "LD_", "GIT", "GIT_", "PYTHON", "THREADSMITH", "DYLD", "HTTP", "PATH"]
    ),
    st.from_regex(r"[A-Z_][A-Z0-9_]{0,60}", fullmatch=True),
)


@given(names)
def test_the_bridge_takes_every_name_that_the_form_takes_and_no_other(name: str) -> None:
    if is_reserved_variable(name):
        with pytest.raises(InvalidCommand, match=f"{name} is reserved"):
            checked_variable(name)
        with pytest.raises(ValidationError, match=f"{name} is reserved"):
            ToolEnvironment(variables={name: "x"})
    else:
        assert checked_variable(name) == name
        assert ToolEnvironment(variables={name: "x" * MAX_VALUE_CHARS}).variables


def test_an_agents_tools_may_have_all_variables_of_its_places() -> None:
    assert len(SecretScope) * MAX_VARIABLES_OF_A_PLACE == MAX_VARIABLES
