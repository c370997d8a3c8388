"""`python -m playground.chat`: act as a person in the workspace and follow the thread live."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from playground.slack.plain_text import message_text
from playground.slack.slack_state import BOT_USER_ID

Json = dict[str, Any]

ENDINGS = ("⚠", "⏸", "⏹", "❓", "🔐")
SHOWN = frozenset({"message", "message_changed", "message_deleted", "ephemeral", "dispatch_failed"})


class PlaygroundRefused(Exception):
    """The playground refused a request; the text is for the person."""


class Chat:
    """Acts as one person at the control API. `thread_ts` is set once the root message is there."""

    def __init__(self, session: aiohttp.ClientSession, name: str, channel: str) -> None:
        self._session = session
        self._name = name
        self._channel = channel
        self._channel_id = ""
        self._user_id = ""
        self.thread_ts: str | None = None

    async def begin(self) -> int:
        """Look up the person and the channel; returns the feed's number from which to follow."""
        state = await self._get("/playground/state")
        wanted = self._channel.removeprefix("#")
        users = {user["name"]: user["id"] for user in state["users"]}
        channels = {c.get("name", c["id"]): c["id"] for c in state["channels"]}
        if self._name not in users or wanted not in channels:
            raise PlaygroundRefused(f"There is no @{self._name} or no #{wanted}.")
        self._user_id, self._channel_id = users[self._name], channels[wanted]
        return int(state["last_seq"])

    async def act(self, act: str, **arguments: object) -> Json:
        url = f"/playground/people/{self._name}/{act}"
        async with self._session.post(url, json=arguments) as response:
            body: Json = await response.json()
        if not response.ok:
            raise PlaygroundRefused(str(body.get("error")))
        return body

    async def send(self, text: str) -> None:
        """Send a command, or a message when the text does not begin with a slash."""
        if not text.startswith("/"):
            answer = await self.act(
                "say", text=text, channel=self._channel, thread_ts=self.thread_ts
            )
            self.thread_ts = self.thread_ts or answer["result"]
            return
        command, _, arguments = text.partition(" ")
        answer = await self.act("slash", command=command, text=arguments, channel=self._channel)
        if error := answer["result"]["error"]:
            raise PlaygroundRefused(
                f"{command} failed with the error “{error}”. Is the bot running?"
            )

    async def stop(self) -> None:
        await self.act("react", channel=self._channel, ts=self.thread_ts, name="octagonal_sign")

    async def follow(self, after: int) -> AsyncIterator[str]:
        """Yield what the person sees, line blocks ready to print, until the final answer."""
        async for entry in self._entries(after):
            data = entry["data"]
            if entry["kind"] == "dispatch_failed" and data["user"] == self._user_id:
                return
            if data.get("channel") != self._channel_id:
                continue
            if entry["kind"] == "ephemeral":
                if data["user"] == self._user_id:
                    yield f"(only you) {message_text(data)}"
                    if self.thread_ts is None:
                        return
                continue
            if (shown := self._of_thread(data["message"])) is None:
                continue
            mark = {"message": "", "message_changed": "~ ", "message_deleted": "(deleted) "}
            yield f"{mark[entry['kind']]}{shown}"
            if entry["kind"] == "message" and self._is_final(data["message"]):
                return

    def _of_thread(self, message: Json) -> str | None:
        """The message as text when it belongs here; the bot's first one opens the thread."""
        if self.thread_ts is None and message["user"] == BOT_USER_ID:
            self.thread_ts = message.get("thread_ts") or message["ts"]
        if self.thread_ts not in (message.get("thread_ts"), message["ts"]):
            return None
        author = "bot" if message["user"] == BOT_USER_ID else f"@{self._name}"
        if message["user"] not in (BOT_USER_ID, self._user_id):
            author = message["user"]
        return f"{author}: {message_text(message)}"

    def _is_final(self, message: Json) -> bool:
        """Check whether a new message ends the turn: a markdown answer, or a state that waits."""
        if message["user"] != BOT_USER_ID or message["ts"] == self.thread_ts:
            return False
        blocks = message.get("blocks", [])
        if any(block["type"] == "markdown" for block in blocks):
            return True
        return message_text(message).startswith(ENDINGS)

    async def _entries(self, after: int) -> AsyncIterator[Json]:
        async with self._session.get("/playground/feed", params={"after": str(after)}) as feed:
            async for line in feed.content:
                if line.startswith(b"data: "):
                    entry: Json = json.loads(line.removeprefix(b"data: "))
                    if entry["kind"] in SHOWN:
                        yield entry

    async def _get(self, path: str) -> Json:
        async with self._session.get(path) as response:
            body: Json = await response.json()
        return body


async def converse(arguments: argparse.Namespace) -> int:
    """Run the command line; returns the exit status."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(
        arguments.url, timeout=timeout, read_bufsize=16 * 1024 * 1024
    ) as session:
        chat = Chat(session, arguments.user.removeprefix("@"), arguments.channel)
        try:
            after = await chat.begin()
            chat.thread_ts = arguments.thread
            if arguments.stop:
                await chat.stop()
            else:
                await chat.send(arguments.reply or arguments.text)
            async with asyncio.timeout(arguments.timeout):
                async for shown in chat.follow(after):
                    sys.stdout.write(f"{shown}\n\n")
                    sys.stdout.flush()
        except PlaygroundRefused as refusal:
            sys.stderr.write(f"{refusal}\n")
            return 1
        except aiohttp.ClientConnectionError:
            sys.stderr.write(f"No playground answers at {arguments.url}.\n")
            return 1
        except TimeoutError:
            sys.stderr.write("No final answer in time.\n")
            return 2
        if chat.thread_ts:
            sys.stdout.write(f'To go on: --thread {chat.thread_ts} --reply "…", or --stop\n')
    return 0


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m playground.chat")
    parser.add_argument("text", nargs="?", default="/agent help")
    parser.add_argument("--url", default="http://127.0.0.1:8400")
    parser.add_argument("--as", dest="user", default="ana")
    parser.add_argument("--channel", default="general")
    parser.add_argument("--thread", help="the ts of the thread's first message")
    parser.add_argument("--reply", help="what to say in the thread")
    parser.add_argument("--stop", action="store_true", help="stop the agent of the thread")
    parser.add_argument("--timeout", type=float, default=1_800.0, help="seconds")
    arguments = parser.parse_args(argv)
    if (arguments.stop or arguments.reply) and not arguments.thread:
        parser.error("--reply and --stop need --thread")
    return arguments


def main() -> None:
    try:
        sys.exit(asyncio.run(converse(parse())))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
