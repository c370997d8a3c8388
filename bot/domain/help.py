"""Writes the text of `help` from the table of commands, and the welcome of a first mention."""

from bot.domain.commands import COMMANDS, HelpSection
from bot.domain.start_command import EXAMPLE

_START = f"""*Start an agent*
`/agent owner/repo[@branch] [--model M] [--steps N] [--budget 2.00] task…`   for example `{EXAMPLE}`
`/agent` alone opens a form. `@bot owner/repo task…` does the same, inside a thread too: what was \
said there and the files in it go along. So does "Start an agent" in the menu of any message.
`/agent task…` takes the repository that is set for the channel, or yours. `/agent - task…` takes \
none: an empty workspace."""

_THREAD = """*In its thread*
Reply to steer or continue, no mention needed. `queue: …` waits for the end of the task; \
`!…` interrupts it and is done next; `aside: …` is not for the agent.
`pause` waits before the next step, a reply goes on. `mute` leaves the thread to people, \
until `unmute`.
`model: NAME` changes the model from the next step on; the conversation goes on.
`verbosity: quiet`, `normal` or `verbose` changes how much the thread shows.
Images and text files that you attach reach the agent.
:octagonal_sign: on any message, the button, or the word `stop` stops it; \
:black_square_for_stop: only interrupts its task, :double_vertical_bar: pauses it."""

_HOME_TAB = "the Home tab of the app"

WELCOME = f"""I start a coding agent for each thread: it works in a container of its own, and you \
see each step here.
Say what to do: `{EXAMPLE}`, or mention me with a repository and a task.
Reply in its thread to steer it, :octagonal_sign: stops it. `/agent help` shows the rest."""


def _section(section: HelpSection) -> str:
    texts = [row.help for row in COMMANDS if row.section is section]
    bare = [text for text in texts if text.endswith("`")]
    if section is HelpSection.LOOK:
        bare.append(_HOME_TAB)
    joined = [" · ".join(bare)] if bare else []
    explained = [text for text in texts if not text.endswith("`")]
    return "\n".join([f"*{section.value}*", *joined, *explained])


HELP = "\n".join([_START, _THREAD, *map(_section, HelpSection)])
