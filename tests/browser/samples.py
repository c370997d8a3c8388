"""Blocks of every kind that an app may send, and words that would like to be more than words."""

from typing import Any

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def option(value: str) -> Json:
    return {"text": plain(value.title()), "value": value}


def rich(*elements: Json) -> Json:
    return {"type": "rich_text", "elements": list(elements)}


def words(text: str, **style: bool) -> Json:
    return {"type": "text", "text": text, "style": style}


def button(text: str, action_id: str, **more: object) -> Json:
    return {"type": "button", "text": plain(text), "action_id": action_id, "value": "v", **more}


MARKDOWN = """\
# A heading
Some **strong**, _slanted_ and ~~struck~~ words, `code`, and [a link](https://example.org/x).

| file | lines |
|:-----|------:|
| a.py | 12 |

```python
def answer() -> int:
    return 42
```

- [x] done
- [ ] open
1. first
> quoted
"""
TASKS = [
    {"task_id": "1", "title": "Read the code", "status": "complete"},
    {"task_id": "2", "title": "Write the test", "status": "in_progress"},
    {"task_id": "3", "title": "Push", "status": "error"},
]
QUESTION = {
    "title": plain("Sure?"),
    "text": plain("It is gone then."),
    "confirm": plain("Stop it"),
    "deny": plain("Keep it"),
}
MESSAGE_BLOCKS: list[Json] = [
    {"type": "header", "text": plain("The header")},
    {
        "type": "section",
        "text": mrkdwn("*bold* _slanted_ `code` <https://example.org|named> :tada:\n> quoted"),
        "fields": [mrkdwn("*Left*"), mrkdwn("right field")],
        "accessory": button("Beside", "beside"),
    },
    {"type": "divider"},
    {
        "type": "context",
        "elements": [
            mrkdwn("quiet words"),
            {"type": "image", "image_url": "https://example.org/a.png", "alt_text": "far picture"},
        ],
    },
    {
        "type": "actions",
        "elements": [
            button("Go on", "go", style="primary"),
            button("Stop", "stop", style="danger", confirm=QUESTION),
            {"type": "overflow", "action_id": "menu", "options": [option("later")]},
            {"type": "static_select", "action_id": "pick", "options": [option("fast")]},
        ],
    },
    {"type": "image", "image_url": "https://example.org/b.png", "alt_text": "picture far away"},
    {"type": "plan", "title": "The plan", "tasks": TASKS},
    {"type": "task_card", "task_id": "9", "title": "A task alone", "status": "complete"},
    rich(
        {"type": "rich_text_section", "elements": [words("rich bold", bold=True)]},
        {
            "type": "rich_text_list",
            "style": "bullet",
            "elements": [{"type": "rich_text_section", "elements": [words("rich item")]}],
        },
        {"type": "rich_text_preformatted", "elements": [words("rich code")]},
        {"type": "rich_text_quote", "elements": [words("rich quote")]},
    ),
]
# Each kind of block, as the page marks it: what must be seen in it.
SEEN = {
    ".header h3": "The header",
    ".section strong": "bold",
    ".section a[href='https://example.org/']": "named",
    ".section blockquote": "quoted",
    ".section .fields": "right field",
    ".section .accessory button": "Beside",
    ".context": "quiet words",
    ".context a": "far picture",
    ".actions .primary": "Go on",
    ".actions .danger": "Stop",
    ".actions select": "Later",
    ".image a": "picture far away",
    ".plan summary": "The plan",
    ".plan .complete": "Read the code",
    ".plan .error": "Push",
    ".task_card": "A task alone",
    ".rich_text strong": "rich bold",
    ".rich_text li": "rich item",
    ".rich_text pre": "rich code",
    ".rich_text blockquote": "rich quote",
}
SEEN_IN_MARKDOWN = {
    ".markdown h3": "A heading",
    ".markdown strong": "strong",
    ".markdown em": "slanted",
    ".markdown s": "struck",
    ".markdown th": "file",
    ".markdown td.right": "12",
    ".markdown pre[data-language=python]": "return 42",
    ".markdown li.task": "done",
    ".markdown ol li": "first",
    ".markdown blockquote": "quoted",
}
FIELDS: list[tuple[str, Json]] = [
    ("Words", {"type": "plain_text_input", "action_id": "words"}),
    ("Number", {"type": "number_input", "action_id": "number", "is_decimal_allowed": False}),
    ("One of", {"type": "static_select", "action_id": "one", "options": [option("red")]}),
    ("Some", {"type": "checkboxes", "action_id": "some", "options": [option("a"), option("b")]}),
    ("Either", {"type": "radio_buttons", "action_id": "either", "options": [option("y")]}),
    ("Whom", {"type": "users_select", "action_id": "whom"}),
    ("When", {"type": "datepicker", "action_id": "when", "initial_date": "2030-01-02"}),
]
MODAL: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Every field"),
    "submit": plain("Send"),
    "blocks": [
        {"type": "input", "block_id": label, "label": plain(label), "element": element}
        for label, element in FIELDS
    ],
}
HOSTILE = "<script>window.taken = 1</script><img src=x onerror='window.taken = 1'>"
HOSTILE_LINKS = "<javascript:window.taken=1|press> [press](javascript:window.taken=1)"
