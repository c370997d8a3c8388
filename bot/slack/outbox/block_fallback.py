"""Chooses the blocks of a message: the best that the workspace takes, its text at the least."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.domain.posts import PostContent

_log = logging.getLogger(__name__)

# Slack takes a little over 13,000 characters in the blocks of one message.
_MOST_CHARS = 12_500
_UNKNOWN_BLOCK = frozenset({"invalid_blocks", "invalid_blocks_format"})
_REFUSED = _UNKNOWN_BLOCK | {"msg_blocks_too_long", "msg_blocks_too_many"}
_NEW_BLOCKS = frozenset({"plan", "task_card"})

Blocks = list[Any]


class BlockFallback:
    """Remembers for this workspace that it takes no blocks of the new kinds."""

    def __init__(self) -> None:
        self.plain = False

    async def send(self, content: PostContent, call: Callable[[Blocks], Awaitable[Any]]) -> Any:  # noqa: ANN401
        """Sends with the first blocks that Slack takes; raises the last error else."""
        refused: SlackApiError | None = None
        new = False
        for blocks in self._choices(content):
            try:
                answer = await call(blocks)
            except SlackApiError as error:
                if not blocks or error_code(error) not in _REFUSED:
                    raise
                _log.warning("Slack refused the blocks of a message (%s)", error_code(error))
                refused = error
                new = error_code(error) in _UNKNOWN_BLOCK and _has_new(blocks)
            else:
                # It was the new blocks only if the same message without them is taken.
                if new and blocks and not _has_new(blocks):
                    _log.warning("plan blocks are not sent to this workspace from now on")
                    self.plain = True
                return answer
        raise refused or ValueError("a message without any content")

    def _choices(self, content: PostContent) -> Iterator[Blocks]:
        """Yields the blocks to try, the best first; those of the shared message go last."""
        parts = (*content.above, content.payload, *content.below)
        shared = len(parts) > 1
        if not self.plain and any(_has_new(_blocks(part)) for part in parts):
            yield _joined([_blocks(part) for part in parts])
        plain = _joined([_plain(part) for part in parts])
        yield plain
        if not plain:
            return
        if shared:
            yield _plain((content.above or (content.payload,))[0])
        yield []


def _joined(parts: Sequence[Blocks]) -> Blocks:
    """Joins the blocks of all parts; too many are cut to head and buttons below the first."""
    first, *others = parts
    if others and _chars(parts) > _MOST_CHARS:
        others = [[*part[:1], *part[1:][-1:]] for part in others]
    return [*first, *(block for part in others for block in part)]


def _blocks(payload: Mapping[str, Any]) -> Blocks:
    return list(payload.get("blocks") or ())


def _plain(payload: Mapping[str, Any]) -> Blocks:
    return list(payload.get("plain") or payload.get("blocks") or ())


def _has_new(blocks: Blocks) -> bool:
    return any(isinstance(block, dict) and block.get("type") in _NEW_BLOCKS for block in blocks)


def _chars(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(_chars, value.values()))
    if isinstance(value, list):
        return sum(map(_chars, value))
    return len(value) if isinstance(value, str) else 0


def error_code(error: SlackApiError) -> str:
    """Returns Slack's code of an error; "" when it has none."""
    data = getattr(error.response, "data", None)
    return str(data.get("error", "")) if isinstance(data, dict) else ""
