"""Checks of the runtime, the bridge and the gateway."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import pytest
from pydantic import SecretStr

from bot.agents.ports.sandbox import Bridge, Gateway, Runtime
from bot.domain.agent import RepoRef
from bot.domain.container import BridgeAddress, ContainerSpec
from bot.errors import BridgeRefused, BridgeUnreachable, RepositoryError
from bridge.protocol import (
    AgentEvent,
    ChatRequest,
    Disposition,
    ExecuteRequest,
    Outcome,
    PushRequest,
    SessionStatus,
    TaskFinished,
    TaskStarted,
    WorkspaceRequest,
)

AWAY = BridgeAddress("http://127.0.0.1:1", SecretStr("canary"))


class RuntimeContract:
    """Fixtures: `runtime`, and `spec` of a container that keeps running."""

    async def test_a_container_is_found_while_it_lives(
        self, runtime: Runtime, spec: ContainerSpec
    ) -> None:
        assert await runtime.find(spec.agent_id) is None
        made = await runtime.start(spec)
        assert made.running
        assert made.endpoint
        assert made.agent_id == spec.agent_id
        assert await runtime.find(spec.agent_id) == made
        assert list(await runtime.list()) == [made]
        await runtime.remove(spec.agent_id)
        assert await runtime.find(spec.agent_id) is None
        assert not await runtime.list()

    async def test_what_is_gone_is_removed_with_success(
        self, runtime: Runtime, spec: ContainerSpec
    ) -> None:
        await runtime.remove(spec.agent_id)
        await runtime.start(spec)
        await asyncio.gather(*(runtime.remove(spec.agent_id) for _ in range(2)))
        assert not await runtime.list()

    async def test_a_second_start_gives_the_container_that_runs(
        self, runtime: Runtime, spec: ContainerSpec
    ) -> None:
        first = await runtime.start(spec)
        assert await runtime.start(spec) == first
        assert len(await runtime.list()) == 1
        await runtime.remove(spec.agent_id)

    async def test_files_are_listed_as_long_as_they_are_kept(
        self, runtime: Runtime, spec: ContainerSpec
    ) -> None:
        assert not await runtime.files()
        before = time.time()
        await runtime.start(spec)
        await runtime.remove(spec.agent_id, keep_files=True)
        [(agent_id, made)] = (await runtime.files()).items()
        assert agent_id == spec.agent_id
        # Engines give whole seconds.
        assert before - 1 <= made <= time.time() + 1
        await runtime.remove(spec.agent_id)
        assert not await runtime.files()

    async def test_each_agent_has_a_container_of_its_own(
        self, runtime: Runtime, spec: ContainerSpec
    ) -> None:
        one = await runtime.start(spec)
        two = await runtime.start(replace(spec, agent_id="p7qdxy"))
        assert one.id != two.id
        assert one.endpoint != two.endpoint
        await runtime.remove(spec.agent_id)
        assert list(await runtime.list()) == [two]
        await runtime.remove("p7qdxy")


class GatewayContract:
    """Fixtures: `gateway`, and `repo`, whose default branch is main."""

    def test_access_is_the_same_each_time_and_not_the_same_for_another(
        self, gateway: Gateway, repo: RepoRef
    ) -> None:
        access = gateway.access("k3f9ab", repo)
        assert gateway.access("k3f9ab", repo) == access
        assert gateway.access("p7qdxy", repo).token != access.token
        assert str(repo) in access.clone_url
        assert access.token.get_secret_value() not in access.clone_url + access.model_base_url

    async def test_opening_and_closing_may_be_repeated(
        self, gateway: Gateway, repo: RepoRef
    ) -> None:
        for _ in range(2):
            await gateway.open("p7qdxy", repo)
        for _ in range(2):
            await gateway.close("p7qdxy")
        await gateway.close("never")

    async def test_the_branch_to_start_from(self, gateway: Gateway, repo: RepoRef) -> None:
        assert await gateway.check_repository(repo, None) == "main"
        assert await gateway.check_repository(repo, "main") == "main"

    async def test_what_is_not_there_is_refused_with_words(
        self, gateway: Gateway, missing: RepoRef
    ) -> None:
        with pytest.raises(RepositoryError) as caught:
            await gateway.check_repository(missing, None)
        assert caught.value.user_text

    async def test_a_model_that_may_exist_is_let_through(self, gateway: Gateway) -> None:
        await gateway.check_model("acme/unheard-of")


@dataclass
class BridgeBench:
    """A fresh bridge. `finish` lets the model call that runs end, with an answer of one word."""

    bridge: Bridge
    address: BridgeAddress
    workspace: WorkspaceRequest
    finish: Callable[[], Awaitable[None]]

    async def heard(self, *, tasks: int, after: int = 0) -> Sequence[AgentEvent]:
        """The events after `after`, until so many tasks have ended."""
        found: list[AgentEvent] = []
        async with asyncio.timeout(15):
            async with aclosing(self.bridge.events(self.address, after)) as events:
                async for event in events:
                    found.append(event)
                    if sum(isinstance(e, TaskFinished) for e in found) == tasks:
                        break
        return found


EXECUTE = ExecuteRequest(task_id="t1", text="do it", model="acme/model")


class BridgeContract:
    """Fixture: `bench`."""

    async def test_a_bridge_that_answers_is_ready_and_one_that_does_not_is_unreachable(
        self, bench: BridgeBench
    ) -> None:
        await bench.bridge.wait_ready(bench.address, 5)
        assert (await bench.bridge.status(bench.address)).status is SessionStatus.EMPTY

    async def test_the_workspace_is_made_once(self, bench: BridgeBench) -> None:
        first = await bench.bridge.prepare(bench.address, bench.workspace)
        again = await bench.bridge.prepare(bench.address, bench.workspace)
        assert (first.already_there, again.already_there) == (False, True)
        assert first.base_commit == again.base_commit
        assert first.target_branch == bench.workspace.target_branch
        assert not (await bench.bridge.diff(bench.address)).files
        assert await bench.bridge.patch(bench.address) == b""
        wish = PushRequest(clone_url=bench.workspace.clone_url)
        assert (await bench.bridge.push_branch(bench.address, wish)).commit is None

    async def test_variables_are_taken_all_together_or_not_at_all(self, bench: BridgeBench) -> None:
        await bench.bridge.set_environment(bench.address, {"GITHUB_TOKEN": "x", "LDAP_URL": "y"})
        with pytest.raises(BridgeRefused) as caught:
            await bench.bridge.set_environment(bench.address, {"A": "x", "THREADSMITH_X": "y"})
        assert caught.value.error.code == "invalid_request"

    async def test_without_a_workspace_nothing_is_executed(self, bench: BridgeBench) -> None:
        with pytest.raises(BridgeRefused) as caught:
            await bench.bridge.execute(bench.address, EXECUTE)
        assert caught.value.error.code == "workspace_missing"

    async def test_a_task_sent_twice_runs_once_and_its_events_have_no_gap(
        self, bench: BridgeBench
    ) -> None:
        await bench.bridge.prepare(bench.address, bench.workspace)
        for _ in range(2):
            accepted = await bench.bridge.execute(bench.address, EXECUTE)
            assert accepted.task_id == "t1"
        await bench.finish()
        events = [event for event in await bench.heard(tasks=1) if event.seq]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert sum(isinstance(event, TaskStarted) for event in events) == 1
        assert isinstance(events[-1], TaskFinished)
        assert events[-1].outcome is Outcome.COMPLETED
        later = [event for event in await bench.heard(tasks=1, after=2) if event.seq]
        assert later == events[2:]

    async def test_a_message_joins_the_running_task_and_starts_the_next_when_there_is_none(
        self, bench: BridgeBench
    ) -> None:
        await bench.bridge.prepare(bench.address, bench.workspace)
        await bench.bridge.execute(bench.address, EXECUTE)
        request = ChatRequest(message_id="m1", task_id="t2", text="and this")
        joined = await bench.bridge.chat(bench.address, request)
        assert joined.disposition is Disposition.STEERING

    async def test_a_message_to_an_idle_bridge_starts_a_task(self, bench: BridgeBench) -> None:
        await bench.bridge.prepare(bench.address, bench.workspace)
        request = ChatRequest(message_id="m1", task_id="t2", text="this", model="acme/model")
        for _ in range(2):
            accepted = await bench.bridge.chat(bench.address, request)
            assert (accepted.disposition, accepted.task_id) == (Disposition.STARTED, "t2")
        await bench.finish()
        started = [e for e in await bench.heard(tasks=1) if isinstance(e, TaskStarted)]
        assert [event.message_id for event in started] == ["m1"]

    async def test_an_interrupt_ends_the_task_and_leaves_the_session(
        self, bench: BridgeBench
    ) -> None:
        await bench.bridge.prepare(bench.address, bench.workspace)
        await bench.bridge.execute(bench.address, EXECUTE)
        assert (await bench.bridge.status(bench.address)).status is SessionStatus.WORKING
        await bench.bridge.interrupt(bench.address, 5)
        await bench.bridge.interrupt(bench.address, 5)
        finished = (await bench.heard(tasks=1))[-1]
        assert isinstance(finished, TaskFinished)
        assert finished.outcome is Outcome.INTERRUPTED
        assert (await bench.bridge.status(bench.address)).status is SessionStatus.IDLE

    async def test_a_bridge_that_is_away_is_unreachable_in_every_way(
        self, bench: BridgeBench, away: BridgeAddress
    ) -> None:
        bridge = bench.bridge
        for call in (
            bridge.wait_ready(away, 0.1),
            bridge.execute(away, EXECUTE),
            bridge.status(away),
            bridge.diff(away),
            bridge.patch(away),
            bridge.push_branch(away, PushRequest(clone_url="https://x.invalid/a")),
            bridge.interrupt(away, 1),
        ):
            with pytest.raises(BridgeUnreachable):
                await call
        with pytest.raises(BridgeUnreachable):
            async for _ in bridge.events(away, 0):
                pass
