"""The windows on an agent's results, opened and turned by real clicks."""

from typing import Any

from bot.domain.agent import Agent, AgentStatus
from bot.domain.saved_state import SavedState
from bot.slack.ephemeral import TOO_LATE
from bot.slack.views.modal import POST, TURN
from bot.slack.views.task_card import DETAILS, DIFF, PULL, PUSH
from bridge.protocol import (
    Check,
    CheckKind,
    Evidence,
    Pushed,
    StepStarted,
    ToolFinished,
    ToolStarted,
)
from playground.slack.plain_text import message_text
from playground.slack.user_client import UserClient
from tests.harness.app import KNOWN_SECRET
from tests.integration.handlers.conftest import Office

SMALL = b"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old <!channel>\n+new\n"
LONG = (
    b"diff --git a/long.txt b/long.txt\nnew file mode 100644\n--- /dev/null\n+++ b/long.txt\n"
    b"@@ -0,0 +1,2000 @@\n" + b"".join(b"+line %d\n" % number for number in range(2_000))
)


def seen(person: UserClient) -> str:
    """What the person reads in the top window."""
    shown: dict[str, Any] = {"text": "", "blocks": person.views()[-1].spec["blocks"]}
    return message_text(shown)


async def button_posted(
    office: Office, agent: Agent, root: str, action: str, task_id: str = ""
) -> None:
    """Post a message with this button into the thread."""
    value = f"{agent.id}:{task_id or agent.first_task_id}"
    label = {"type": "plain_text", "text": "Look"}
    element = {"type": "button", "text": label, "action_id": action, "value": value}
    blocks = [{"type": "actions", "elements": [element]}]
    await office.client.chat_postMessage(
        channel=agent.channel, thread_ts=root, text="Look", blocks=blocks
    )


async def pressed(office: Office, action: str, patch: bytes = b"") -> tuple[Agent, UserClient]:
    """Lets @ana press a button of her agent, whose work is this patch."""
    agent, root = await office.in_thread()
    ana = office.person("ana")
    office.harness.bridge.patch_bytes = patch or office.harness.bridge.patch_bytes
    await button_posted(office, agent, root, action)
    assert (await ana.click(action, "general")).ok
    return agent, ana


async def works(office: Office, agent: Agent, calls: int) -> None:
    task = agent.first_task_id
    for n in range(1, calls + 1):
        tool = {"at": 1.0, "task_id": task, "call_id": f"c{n}", "tool": "run_command"}
        office.harness.bridge.push(
            agent.id,
            StepStarted(at=1.0, task_id=task, step=n, max_steps=15),
            ToolStarted(**tool, target=f"make {n}", arguments=f'{{"command": "make {n}"}}'),
            ToolFinished(
                **tool, target=f"make {n}", ok=n != 1, summary="exit 1", duration_seconds=1.0,
                result=f"output {n} <!channel>\n" + "x" * 7_000,
            ),
        )  # fmt: skip

    async def look() -> bool | None:
        stored = await office.harness.store.events(agent.id, task)
        return True if sum(isinstance(e, ToolFinished) for e in stored) == calls else None

    await office.harness.changes.found(look)


async def test_the_steps_are_read_page_by_page_and_anew(office: Office) -> None:
    agent, ana = await pressed(office, DETAILS)
    await ana.wait_for_view("No tool was called so far")
    await works(office, agent, 5)
    await ana.click_view(f"{TURN}:refresh")
    await ana.wait_for_view("output 1")
    first = seen(ana)
    assert "5 steps · 5 tool calls · at work" in first
    assert '{"command": "make 1"}' in first
    assert "exit 1 · 1.0 s · step 1" in first
    assert "Page 1 of 5" in first
    await ana.click_view(f"{TURN}:next")
    await ana.wait_for_view("output 2")
    await ana.click_view(f"{TURN}:next")
    await ana.wait_for_view("output 3")
    await ana.click_view(f"{TURN}:previous")
    await ana.wait_for_view("output 2")


async def test_a_window_left_open_shows_the_end_of_its_task(office: Office) -> None:
    agent, ana = await pressed(office, DETAILS)
    await ana.wait_for_view("at work")
    office.harness.bridge.finish(agent.id, "Done.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await ana.click_view(f"{TURN}:refresh")
    await ana.wait_for_view("completed")


async def test_a_diff_is_read_file_by_file_while_the_agent_works(office: Office) -> None:
    agent, ana = await pressed(office, DIFF, SMALL + LONG)
    await ana.wait_for_view("a.py")
    assert "2 files, +2001 \u22121" in seen(ana)
    assert "As it is now." in seen(ana)
    await ana.click_view(f"{TURN}:read")
    await ana.wait_for_view("-old <!channel>")
    await ana.click_view(f"{TURN}:files")
    view = await ana.wait_for_view("long.txt")
    values = [block["accessory"]["value"] for block in view.spec["blocks"] if "accessory" in block]
    await ana.click_view(f"{TURN}:read", values[1])
    await ana.wait_for_view("+line 5")
    assert "Page 1 of 3" in seen(ana)
    await ana.click_view(POST)
    await ana.wait_for_view("follows in the thread as a file")
    shown = await office.harness.shown(agent.id)
    [filed] = [post for key, post in shown.items() if key.startswith("patch:")]
    assert filed.payload["name"] == f"{agent.id}.patch"


async def test_a_file_that_is_changed_back_meanwhile_is_named_so(office: Office) -> None:
    _, ana = await pressed(office, DIFF, SMALL + LONG)
    await ana.wait_for_view("a.py")
    office.harness.bridge.patch_bytes = LONG
    await ana.click_view(f"{TURN}:read")
    await ana.wait_for_view("That file is not changed any more.")
    office.harness.bridge.patch_bytes = b""
    await ana.click_view(f"{TURN}:refresh")
    await ana.wait_for_view("No file is changed")


async def test_the_diff_of_an_agent_that_is_gone_is_what_the_host_kept(office: Office) -> None:
    agent, root = await office.in_thread()
    ana = office.person("ana")
    await button_posted(office, agent, root, DIFF)
    await office.handlers.buttons.stop_agent(agent, "U00000ANA")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    await ana.click(DIFF, "general")
    await ana.wait_for_view("No file is changed")
    secret = SMALL.replace(b"+new", b"+new " + KNOWN_SECRET.encode())
    async with office.harness.store.transaction() as tx:
        await tx.save_state(agent.id, SavedState(b"[]", secret, 1, 1_795_700_000.0))
    await ana.close_view()
    await ana.click(DIFF, "general")
    await ana.wait_for_view("As it was kept on the host at 2026-11-26")
    await ana.click_view(f"{TURN}:read")
    await ana.wait_for_view("+new [redacted]")


async def test_a_click_that_comes_too_late_is_told_so(office: Office) -> None:
    agent, root = await office.in_thread()
    ana = office.person("ana")
    await button_posted(office, agent, root, DIFF)
    office.slack.faults.fail("views.open", "error", code="expired_trigger_id")
    await ana.click(DIFF, "general")
    await ana.wait_for_ephemeral(TOO_LATE)
    await office.settle()
    assert not ana.views()


async def test_a_guest_reads_nothing_and_a_closed_window_is_no_fault(office: Office) -> None:
    agent, root = await office.in_thread()
    await button_posted(office, agent, root, DIFF)
    eve, ana = office.person("eve"), office.person("ana")
    await eve.click(DIFF, "general")
    await eve.wait_for_ephemeral("Guests cannot use agents here")
    assert not eve.views()
    office.slack.faults.fail("views.update", "error", code="not_found")
    await ana.click(DIFF, "general")
    await office.settle()
    assert not ana.ephemerals()


async def test_steps_that_are_not_kept_any_more_are_told_so(office: Office) -> None:
    agent, root = await office.in_thread()
    ana = office.person("ana")
    await button_posted(office, agent, root, DETAILS, f"{agent.id}-99")
    await ana.click(DETAILS, "general")
    await ana.wait_for_view("are not kept any more")


async def test_a_pull_request_names_who_took_part_and_the_thread_hears_of_it(
    office: Office,
) -> None:
    agent, root = await office.in_thread()
    ana, ben = office.person("ana"), office.person("ben")
    office.harness.gateway.pushes = True
    office.harness.bridge.pushed = Pushed(commit="c0ffee")
    await button_posted(office, agent, root, PULL)
    await ben.click(PULL, "general")
    await ben.wait_for_ephemeral("The agent is at work")
    office.harness.bridge.finish(agent.id, "Done.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await ben.click(PULL, "general")
    await office.harness.changes.until(lambda: bool(office.harness.pulls.bodies))
    await office.settle()
    [body] = office.harness.pulls.bodies
    ana_name, ben_name = ana.user.real_name, ben.user.real_name
    assert f"Asked for by {ana_name} with {ben_name}" in body
    assert f"archives/{agent.channel}/p{root.replace('.', '')}" in body
    shown = await office.harness.shown(agent.id)
    [said] = [post.text for key, post in shown.items() if key.startswith("notice:pull:")]
    assert "|#1>* opened by <@U00000BEN>: fix it" in said
    await ana.slash("/agent", f"status {agent.id}")
    await ana.wait_for_ephemeral("|#1> open")


async def test_a_pull_request_says_which_checks_were_recorded_in_the_newest_work(
    office: Office,
) -> None:
    agent, root = await office.in_thread()
    office.harness.gateway.pushes = True
    office.harness.bridge.pushed = Pushed(commit="c0ffee")
    check = Check(
        command="pytest -q `@ana`",
        kind=CheckKind.TESTS,
        exit_code=1,
        duration_seconds=14.2,
        passed=211,
        failed=1,
        stale=True,
    )
    evidence = Evidence(checks=(check,), changed=True)
    office.harness.bridge.finish(agent.id, "Done.", evidence=evidence)
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    # A task that changed nothing and ran nothing says nothing about the work.
    await office.person("ana").say("what did you change?", "general", root)
    await office.harness.reaches(agent.id, AgentStatus.WORKING)
    office.harness.bridge.finish(agent.id, "One line.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await button_posted(office, agent, root, PULL)
    await office.person("ana").click(PULL, "general")
    await office.harness.changes.until(lambda: bool(office.harness.pulls.bodies))
    await office.settle()
    [body] = office.harness.pulls.bodies
    assert body.endswith(
        "Checks (recorded, not claimed): `pytest -q '@ana'` exit 1, 1 failed, 211 passed, 14 s — "
        "**before the last edit**."
    )


async def test_a_branch_is_pushed_and_its_page_is_linked(office: Office) -> None:
    agent, root = await office.in_thread()
    ana = office.person("ana")
    office.harness.bridge.finish(agent.id, "Done.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await button_posted(office, agent, root, PUSH)
    await ana.click(PUSH, "general")
    await ana.wait_for_ephemeral("no token here that may push")
    office.harness.gateway.pushes = True
    office.harness.bridge.pushed = Pushed(commit="c0ffee")
    await ana.click(PUSH, "general")
    await office.settle()
    shown = await office.harness.shown(agent.id)
    [said] = [post.text for key, post in shown.items() if key.startswith("notice:push:")]
    assert f"/tree/{agent.target_branch}|{agent.target_branch}>" in said
    assert not office.harness.pulls.bodies
