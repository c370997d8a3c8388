"""An agent's tools get every variable that can be handed over; the thread names the others."""

from bot.domain.agent import SecretScope
from bot.domain.secrets import (
    MAX_VARIABLES_OF_A_PLACE,
    SecretKind,
    SecretRef,
)
from bridge.protocol import MAX_VARIABLES, WireError
from tests.harness.app import AppHarness


async def put(harness: AppHarness, *names: str, scope: SecretScope = SecretScope.USER) -> None:
    """Store variables as any version of the keyring did, whatever their names."""
    owner = {SecretScope.USER: "UANA", SecretScope.CHANNEL: "C1"}.get(scope, "")
    owner = "acme/api" if scope is SecretScope.REPOSITORY else owner
    for name in names:
        ref = SecretRef("T1", scope, owner, SecretKind.VARIABLE, name)
        sealed = harness.secrets.seal(f"canary-of-{name}")
        await harness.secrets.put(ref, sealed, "UANA", exposed=True)


async def test_a_bridge_that_takes_no_variables_is_told_once_and_the_agent_works(
    harness: AppHarness,
) -> None:
    harness.bridge.refusals["environment"] = WireError(code="not_found", message="No such route.")
    agent = await harness.working("trigger-1")
    assert not [key for key in await harness.shown(agent.id) if "variables" in key]

    await put(harness, "NPM_TOKEN")
    other = await harness.working("trigger-2")
    text = (await harness.shown(other.id))["trouble:variables:0"].text
    assert "variables (1) could not be handed" in text
    assert "`NPM_TOKEN`" in text


async def test_a_stored_name_that_is_reserved_is_left_out_by_name_and_the_others_arrive(
    harness: AppHarness,
) -> None:
    await put(harness, "THREADSMITH_X", "GITHUB_TOKEN", "LDAP_URL")
    agent = await harness.working()
    assert harness.bridge.variables(agent.id) == {
        "GITHUB_TOKEN": "canary-of-GITHUB_TOKEN",
        "LDAP_URL": "canary-of-LDAP_URL",
    }
    shown = await harness.shown(agent.id)
    text = shown["trouble:variables:reserved"].text
    assert "`THREADSMITH_X`: reserved" in text
    assert "GITHUB_TOKEN" not in text
    assert "make image" not in str(list(shown.values()))


async def test_a_name_that_an_older_container_refuses_does_not_cost_the_others(
    harness: AppHarness,
) -> None:
    harness.bridge.refused_names = {"GITHUB_TOKEN"}
    await put(harness, "GITHUB_TOKEN", "NPM_TOKEN", "LDAP_URL")
    agent = await harness.working()
    assert set(harness.bridge.variables(agent.id)) == {"NPM_TOKEN", "LDAP_URL"}
    text = (await harness.shown(agent.id))["trouble:variables:0"].text
    assert "another version: `GITHUB_TOKEN`." in text
    assert "NPM_TOKEN" not in text


async def test_all_that_the_four_places_can_hold_is_handed_over_at_once(
    harness: AppHarness,
) -> None:
    for scope in SecretScope:
        names = (f"{scope.name}_{number}" for number in range(MAX_VARIABLES_OF_A_PLACE))
        await put(harness, *names, scope=scope)
    agent = await harness.working()
    assert len(harness.bridge.variables(agent.id)) == MAX_VARIABLES
    assert len(harness.bridge.bodies("environment")) == 1
