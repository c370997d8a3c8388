"""Every window on an agent's results, by name: from ordinary words, and from hostile ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.agents.results import Changes
from bot.domain.agent import Agent, RepoRef
from bot.domain.patch_view import MAX_HUNKS_CHARS, FileHunks
from bot.domain.steps import TaskSteps, ToolStep
from bot.slack.views.changes import files_view, hunks_view
from bot.slack.views.details import details_view
from bot.slack.views.modal import ModalLocation, ModalView, sentence
from bot.slack.views.models import model_form
from bridge.protocol import Outcome
from tests.unit.bot.slack.posts import Words

STEPS = ModalLocation(ModalView.STEPS, "k3f9ab", "k3f9ab-1")
FILES = replace(STEPS, shows=ModalView.FILES)
HUNKS = replace(STEPS, shows=ModalView.HUNKS, file="0" * 16)
HUNK = "@@ -1,2 +1,2 @@ def order():\n a\n-b < c\n+b <= c && `d`\n"


def windows(words: Words) -> Mapping[str, dict[str, Any]]:
    """Every window in every shape."""
    agent = Agent(
        id="k3f9ab", team="T1", channel="C1", thread_ts="1000.000001",
        repo=RepoRef("acme", "api"), source_branch=words.branch, target_branch="agent/k3f9ab",
        title=words.title, model=words.model, max_steps=15, started_by="UANA", created_at=1_000.0,
    )  # fmt: skip
    ran = ToolStep(
        1, "c1", words.tool[:64], words.short[:300], f'{{"command": "{words.short[:7_000]}"}}',
        ok=False, summary=words.summary[:300], result=words.answer[:8_000], seconds=6.2,
    )  # fmt: skip
    runs = ToolStep(2, "c2", words.tool[:64], words.path[:300], "{}")
    working = TaskSteps((ran, runs), steps=2, at=1_000.0)
    ended = TaskSteps((ran,) * 40, steps=40, outcome=Outcome.STEP_LIMIT, at=1_000.0)
    file = FileHunks(
        "0" * 16, words.path[:4_000], 1, 1, f"{HUNK}+{words.answer[:MAX_HUNKS_CHARS]}\n"
    )
    renamed = FileHunks(
        "1" * 16, "b.png", 0, 0, "", note=f"renamed from {words.path[:4_000]}, binary"
    )
    cut = replace(file, text=HUNK * 300, is_cut=True)
    kept = Changes((file, renamed), 1_795_700_000.0)
    return {
        "details_of_nothing": details_view(STEPS, TaskSteps()),
        "details_at_work": details_view(STEPS, working),
        "details_of_one_alive": details_view(STEPS, working, words.model),
        "details_ended": details_view(replace(STEPS, page=2), ended),
        "details_beyond_the_end": details_view(replace(STEPS, page=9_000), ended),
        "changes": files_view(FILES, agent, Changes((file,))),
        "changes_kept": files_view(FILES, agent, kept, "That file is not changed any more."),
        "changes_many": files_view(replace(FILES, page=1), agent, Changes((file,) * 5_000)),
        "hunks": hunks_view(HUNKS, file, 0.0),
        "hunks_of_a_picture": hunks_view(HUNKS, renamed, 1_795_700_000.0),
        "hunks_of_a_long_file": hunks_view(replace(HUNKS, page=1), cut, 0.0),
        "hunks_at_the_end": hunks_view(replace(HUNKS, page=9_000), cut, 0.0),
        "model_form": model_form(STEPS, words.model),
        "window_of_a_sentence": sentence("Changes", "No file is changed."),
    }
