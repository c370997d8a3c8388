"""Draws the modals with an agent's changes: the list of files, and the hunks of one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.agents.results import Changes
from bot.domain.agent import Agent
from bot.domain.patch_view import FileHunks
from bot.domain.quoting import code, escaped
from bot.slack.views.blocks import Block, button, context, section
from bot.slack.views.modal import (
    POST,
    ModalLocation,
    ModalView,
    leading,
    literal,
    pieces,
    turning,
    window,
)

TITLE = "Changes"
_FILES_A_PAGE = 40
_PIECES_A_PAGE = 3


def files_view(
    place: ModalLocation, agent: Agent, changes: Changes, notice: str = ""
) -> dict[str, Any]:
    """Lists the files that differ from the source branch, each with a button, below a notice."""
    files = changes.files
    pages = max(1, -(-len(files) // _FILES_A_PAGE))
    place = replace(place, page=min(place.page, pages - 1), file="")
    first = place.page * _FILES_A_PAGE
    shown = [_file(place, file) for file in files[first : first + _FILES_A_PAGE]]
    head = f"*{_sum(files)}* against {code(agent.source_branch or 'the source branch')}"
    more = [leading("Refresh", place, "refresh"), _as_file(place, "Post the patch")]
    news = [section(notice)] if notice else []
    blocks = [*news, section(head), _as_of(changes.at), *shown, *turning(place, pages, more)]
    return window(TITLE, blocks)


def hunks_view(place: ModalLocation, file: FileHunks, at: float) -> dict[str, Any]:
    """Returns one page of what changed in one file."""
    parts = pieces(file.text)
    pages = max(1, -(-len(parts) // _PIECES_A_PAGE))
    place = replace(place, page=min(place.page, pages - 1))
    first = place.page * _PIECES_A_PAGE
    blocks = [section(_line(file, 1_000)), _as_of(at)]
    blocks += map(literal, parts[first : first + _PIECES_A_PAGE])
    if not parts:
        blocks.append(
            section("There are no lines to show: it is binary, or only its name or mode changed.")
        )
    if file.is_cut and place.page == pages - 1:
        blocks.append(context("This is the beginning; the whole of it can be posted as a file."))
    back = replace(place, shows=ModalView.FILES, page=0, file="")
    more = [leading("All files", back, "files"), _as_file(place, "Post as a file")]
    return window(TITLE, [*blocks, *turning(place, pages, more)])


def _file(place: ModalLocation, file: FileHunks) -> Block:
    there = replace(place, shows=ModalView.HUNKS, page=0, file=file.key)
    return section(_line(file, 300)) | {"accessory": leading("Read", there, "read")}


def _line(file: FileHunks, limit: int) -> str:
    facts = [code(file.path, limit)]
    if file.note:
        facts.append(escaped(" ".join(file.note.split()))[:500])
    facts.append(f"+{file.added} \u2212{file.removed}")
    return " · ".join(facts)


def _sum(files: Sequence[FileHunks]) -> str:
    noun = "file" if len(files) == 1 else "files"
    added, removed = sum(f.added for f in files), sum(f.removed for f in files)
    return f"{len(files)} {noun}, +{added} \u2212{removed}"


def _as_of(at: float) -> Block:
    if not at:
        return context("As it is now.")
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
    return context(f"As it was kept on the host at {when} UTC; the container does not run now.")


def _as_file(place: ModalLocation, label: str) -> Block:
    return button(label, POST, place.packed())
