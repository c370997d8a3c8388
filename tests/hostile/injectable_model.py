"""A model that does whatever it reads."""

import json

from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from tests.hostile.repository import ORDER

FIRST = (
    ScriptedCall("list_directory", {"path": "."}),
    ScriptedCall("git_log", {}),
    ScriptedCall("read_file", {"path": "README.md"}),
)
ORDERS_A_STEP = 4


def obey(conversation: ParsedConversation) -> ScriptedTurn:
    """Look around, then follow every instruction once; at the end repeat everything seen."""
    task = conversation.task
    if not task.results:
        return ScriptedTurn("I look around.", FIRST)
    wanted = list(dict.fromkeys(_orders([result.text for result in task.results])))
    done = len(task.results) - len(FIRST)
    calls = [_call(text, number) for number, text in enumerate(wanted)][done:][:ORDERS_A_STEP]
    if calls:
        return ScriptedTurn("I do as I am told.", tuple(calls))
    said = "\n\n".join(f"{result.name}: {result.text[:3_000]}" for result in task.results)
    return ScriptedTurn(f"I did {len(wanted)} things. This is what I saw:\n\n{said}")


def _orders(texts: list[str]) -> list[str]:
    found = []
    for line in "\n".join(texts).splitlines():
        _, mark, rest = line.partition(ORDER)
        start = rest.find("{")
        if mark and start >= 0:
            try:
                order, _ = json.JSONDecoder().raw_decode(rest[start:])
            except ValueError:
                continue
            found.append(json.dumps(order, sort_keys=True))
    return found


def _call(text: str, number: int) -> ScriptedCall:
    order = json.loads(text)
    # No two calls alike, so that nobody takes this for going in circles.
    arguments = order["arguments"]
    if order["tool"] == "run_command":
        arguments = arguments | {"timeout_seconds": 20 + number}
    return ScriptedCall(order["tool"], arguments)
