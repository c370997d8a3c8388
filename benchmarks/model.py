"""The playground's scripted model as a process of its own, with a story of mixed tool steps.

It is not in the process that measures, because that one also reads events and makes the floor's
requests: they would wait for each other on one loop.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from benchmarks.floor import serve
from playground.event_feed import EventFeed
from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.model.server import MAX_BODY_BYTES, ModelSettings, ScriptedModel

KEY = "canary-benchmark-key"
QUIET = "scripted/mixed-steps"
TALKING = "scripted/mixed-steps-with-text"
# In 20 files of 200, a line each.
PATTERN = r"def function_7_of_3\b"
KINDS = ("read", "list", "status", "write", "search")


def call_of(step: int) -> ScriptedCall:
    """The tool call of one step, counted from 0: the five kinds in turn."""
    match KINDS[step % len(KINDS)]:
        case "read":
            return ScriptedCall("read_file", {"path": "README.md"})
        case "list":
            return ScriptedCall("list_directory", {"path": "src"})
        case "status":
            return ScriptedCall("git_status", {})
        case "write":
            content = f"# note {step}\n" + "a line of text\n" * 20
            return ScriptedCall("write_file", {"path": f"notes/note_{step}.md", "content": content})
        case _:
            return ScriptedCall("search_files", {"pattern": PATTERN})


def _story(*, talks: bool) -> Callable[[ParsedConversation], ScriptedTurn]:
    """As many tool steps as the task's text says, then an answer."""

    def turn(conversation: ParsedConversation) -> ScriptedTurn:
        if conversation.turn >= int(conversation.task.text.split()[0]):
            return ScriptedTurn("All steps are done.")
        text = f"Step {conversation.turn + 1}: I go on with the next file." if talks else ""
        return ScriptedTurn(text, (call_of(conversation.turn),))

    return turn


def main() -> None:
    model = ScriptedModel(ModelSettings(api_key=KEY), EventFeed(kept_entries=1))
    times: list[tuple[float, float]] = []
    for name, talks in ((QUIET, False), (TALKING, True)):
        model.scenarios.add(name.removeprefix("scripted/"), _story(talks=talks))

    @web.middleware
    async def timed(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Note when a question began to arrive, and when its answer was out."""
        began = time.monotonic()
        response = await handler(request)
        if request.path.endswith("/completions"):
            times.append((began, time.monotonic()))
        return response

    async def take(_request: web.Request) -> web.Response:
        """What was asked since the last call, and when (CLOCK_MONOTONIC, one for the machine)."""
        taken = {"times": list(times), "bodies": [made.body for made in model.requests]}
        times.clear()
        model.requests.clear()
        return web.json_response(taken)

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[timed])
    model.add_routes(app)
    app.router.add_post("/take", take)
    asyncio.run(serve(app))


if __name__ == "__main__":
    main()
