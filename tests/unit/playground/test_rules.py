from typing import Any

import pytest

from playground.slack.arguments import CallArguments
from playground.slack.errors import SlackError
from playground.slack.methods.chat_methods import read_content
from playground.slack.rules import check_blocks, check_metadata, check_view


def mrkdwn(length: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": "x" * length}


def plain(length: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": "x" * length}


def section(length: int) -> dict[str, Any]:
    return {"type": "section", "text": mrkdwn(length)}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": "a", "text": plain(5), **changes}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def card(**changes: Any) -> dict[str, Any]:
    return {"type": "task_card", "task_id": "t", "title": "Read", "status": "complete", **changes}


DIVIDER = {"type": "divider"}
MARKDOWN = {"type": "markdown", "text": "x" * 6000}


def refusal(blocks: Any) -> str:
    with pytest.raises(SlackError) as caught:
        check_blocks(blocks)
    return caught.value.code


@pytest.mark.parametrize(
    "block",
    [
        section(3000),
        {"type": "section", "fields": [mrkdwn(1000)] * 10},
        {"type": "section", "text": mrkdwn(1), "accessory": button()},
        {"type": "header", "text": plain(150)},
        {"type": "context", "elements": [mrkdwn(1)] * 10},
        actions(*(button(action_id=str(n)) for n in range(25))),
        actions(button(style="danger", value="v" * 2000)),
        {"type": "markdown", "text": "x" * 12_000},
        {"type": "plan", "title": "Task 1", "tasks": [card(), card(task_id="u", status="error")]},
        card(details={"type": "rich_text", "elements": []}),
        {"type": "image", "image_url": "https://example.com/x.png", "alt_text": "x"},
        {"type": "context_actions", "elements": [{"type": "feedback_buttons"}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]},
    ],
)
def test_blocks_at_their_limits_are_accepted(block: dict[str, Any]) -> None:
    assert check_blocks([block]) == [block]


@pytest.mark.parametrize(
    "block",
    [
        section(3001),
        section(0),
        {"type": "section"},
        {"type": "section", "fields": [mrkdwn(1)] * 11},
        {"type": "section", "fields": [mrkdwn(2001)]},
        {"type": "section", "text": {"type": "markdown", "text": "x"}},
        {"type": "header", "text": plain(151)},
        {"type": "header", "text": mrkdwn(5)},
        {"type": "context", "elements": [mrkdwn(1)] * 11},
        {"type": "context", "elements": []},
        actions(),
        actions(*(button(action_id=str(n)) for n in range(26))),
        actions(button(), button()),
        actions(button(text=plain(76))),
        actions(button(text=mrkdwn(5))),
        actions(button(value="v" * 2001)),
        actions(button(url="u" * 3001)),
        actions(button(action_id="a" * 256)),
        actions(button(style="loud")),
        {**DIVIDER, "block_id": "b" * 256},
        {"type": "markdown", "text": ""},
        {"type": "markdown"},
        card(status="done"),
        card(title=""),
        card(details={"type": "section"}),
        {"type": "plan", "title": "", "tasks": []},
        {"type": "context_actions", "elements": [{"type": "icon_button"}] * 6},
        {"type": "image", "image_url": "https://example.com/x.png"},
        {"type": "carousel"},
        {"type": "input"},
        {"type": None},
        {},
        "text",
        None,
    ],
)
def test_blocks_beyond_their_limits_are_invalid(block: Any) -> None:
    assert refusal([block]) == "invalid_blocks"


def test_fifty_blocks_are_the_most() -> None:
    assert len(check_blocks([DIVIDER] * 50)) == 50
    assert refusal([DIVIDER] * 51) == "invalid_blocks"


def test_markdown_counts_over_all_blocks_of_a_message() -> None:
    assert check_blocks([MARKDOWN, MARKDOWN])
    assert refusal([MARKDOWN, MARKDOWN, {"type": "markdown", "text": "x"}]) == (
        "msg_blocks_too_long"
    )


def test_all_text_of_a_message_is_bounded() -> None:
    assert check_blocks([section(3000)] * 4)
    assert refusal([section(3000)] * 5) == "msg_blocks_too_long"


def test_block_ids_are_unique() -> None:
    assert refusal([{**DIVIDER, "block_id": "x"}] * 2) == "invalid_blocks"


@pytest.mark.parametrize("blocks", ["text", {}, 7])
def test_blocks_that_are_no_list_have_a_wrong_format(blocks: Any) -> None:
    assert refusal(blocks) == "invalid_blocks_format"


def content_refusal(**values: Any) -> str:
    with pytest.raises(SlackError) as caught:
        read_content(CallArguments(values))
    return caught.value.code


def test_markdown_text_stands_alone_and_is_bounded() -> None:
    assert read_content(CallArguments({"markdown_text": "**x**"})).blocks == [
        {"type": "markdown", "text": "**x**"}
    ]
    assert content_refusal(markdown_text="x", text="y") == "markdown_text_conflict"
    assert content_refusal(markdown_text="x" * 12_001) == "msg_too_long"


def test_broken_json_in_a_form_is_named() -> None:
    assert content_refusal(blocks="[{") == "invalid_blocks_format"
    assert content_refusal(attachments='{"a": 1}') == "invalid_attachments"


@pytest.mark.parametrize("metadata", [{}, {"event_type": "x"}, "text", 7, []])
def test_metadata_needs_a_type_and_a_payload(metadata: Any) -> None:
    with pytest.raises(SlackError, match="invalid_metadata_format"):
        check_metadata(metadata)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "window"},
        {"title": plain(25)},
        {"title": None},
        {"submit": plain(25)},
        {"private_metadata": "x" * 3001},
        {"callback_id": "x" * 256},
        {"blocks": [DIVIDER] * 101},
        {"blocks": [{"type": "markdown", "text": "x"}]},
        {"blocks": None},
        {
            "blocks": [
                {
                    "type": "input",
                    "label": plain(1),
                    "element": {"type": "plain_text_input", "action_id": "a"},
                }
            ]
        },
    ],
)
def test_views_beyond_the_rules_are_refused(changes: dict[str, Any]) -> None:
    view: dict[str, Any] = {"type": "modal", "title": plain(24), "blocks": [DIVIDER]}
    assert check_view(view) == view
    with pytest.raises(SlackError):
        check_view(view | changes)


def test_a_huge_view_is_too_large() -> None:
    view = {"type": "home", "blocks": [section(2999)] * 90}
    with pytest.raises(SlackError, match="view_too_large"):
        check_view(view)
