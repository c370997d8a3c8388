import asyncio
from typing import Any

import pytest

from playground.event_feed import EventFeed
from playground.slack.elements import action_of, find_element, input_value
from playground.slack.objects import rich_text
from playground.slack.plain_text import message_text


async def test_a_follower_gets_old_and_new_entries_in_order_until_the_feed_closes() -> None:
    feed = EventFeed()
    feed.record("a", n=1)
    seen: list[int] = []

    async def follow() -> None:
        async for entry in feed.follow():
            seen.append(entry.data["n"])
            if entry.data["n"] == 2:
                feed.close()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(follow())
        feed.record("b", n=2)
    assert seen == [1, 2]
    assert [e.seq for e in feed.entries("b", after=1)] == [2]


async def test_waiting_wakes_at_the_entry_that_matters_and_gives_up_in_time() -> None:
    feed = EventFeed()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(feed.until(lambda: feed.entries("wanted")))
        feed.record("other")
        feed.record("wanted")
    assert waiting.result()[0].seq == 2
    with pytest.raises(TimeoutError):
        await feed.until(lambda: None, 0.01)


def test_a_full_feed_forgets_the_oldest() -> None:
    feed = EventFeed(kept_entries=2)
    for number in range(3):
        feed.record("x", n=number)
    assert [e.seq for e in feed.entries()] == [2, 3]


def test_blocks_become_plain_text() -> None:
    button = {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Stop"}}
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": "Title"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*body*"}, "accessory": button},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "a"}, {"text": "b"}]},
        {"type": "divider"},
        {"type": "actions", "elements": [button, button]},
        {
            "type": "plan",
            "title": "Plan",
            "tasks": [
                {
                    "type": "task_card",
                    "title": "read",
                    "status": "complete",
                    "output": rich_text("done", "b"),
                }
            ],
        },
        rich_text("hi <@U1> there", "b"),
        {"type": "markdown", "text": "**md**"},
        {"type": "new_kind"},
    ]
    assert message_text({"blocks": blocks, "text": "fallback"}).splitlines() == [
        "Title",
        "*body*",
        "[ Stop ]",
        "a b",
        "---",
        "[ Stop ] [ Stop ]",
        "Plan",
        "✓ read",
        "    done",
        "hi <@U1> there",
        "**md**",
    ]
    assert message_text({"text": "only text", "files": [{"name": "x.patch"}]}) == (
        "only text\n[file x.patch]"
    )


def test_a_button_is_found_by_its_value_when_several_share_an_action() -> None:
    buttons = [{"type": "button", "action_id": "a", "value": value} for value in ("1", "2")]
    blocks = [{"type": "actions", "block_id": "b", "elements": buttons}]
    assert find_element(blocks, "a", "2") == (blocks[0], buttons[1])
    assert find_element(blocks, "a", "3") is None
    assert find_element([], "a") is None
    assert action_of(blocks[0], buttons[1], None, "1.0")["value"] == "2"


@pytest.mark.parametrize(
    ("element", "value", "expected"),
    [
        ({"type": "plain_text_input", "initial_value": "x"}, None, {"value": "x"}),
        ({"type": "plain_text_input"}, "y", {"value": "y"}),
        ({"type": "static_select", "options": [{"value": "m"}]}, "m", {"value": "m"}),
        ({"type": "external_select"}, "m", None),
        ({"type": "users_select", "initial_user": "U1"}, None, {"selected_user": "U1"}),
        ({"type": "checkboxes", "options": [{"value": "m"}]}, ["m"], None),
    ],
)
def test_inputs_hold_what_was_typed_or_what_they_began_with(
    element: dict[str, Any], value: object, expected: dict[str, Any] | None
) -> None:
    held = input_value(element, value)
    assert held["type"] == element["type"]
    if "selected_option" in held:
        assert held["selected_option"]["value"] == "m"
    elif "selected_options" in held:
        assert held["selected_options"] == [{"value": "m"}]
    else:
        assert expected is not None
        assert held | expected == held
