"""What `help` says, and the three lines that a first mention gets, as mrkdwn."""

EXAMPLE = "/agent acme/api fix the flaky test in test_orders"

HELP = f"""*Start an agent*
`/agent owner/repo[@branch] [--model M] [--steps N] [--budget 2.00] task…`   for example `{EXAMPLE}`
`/agent` alone opens a form. `@bot owner/repo task…` does the same, inside a thread too: what was \
said there and the files in it go along. So does "Start an agent" in the menu of any message.
`/agent task…` takes the repository that is set for the channel, or yours. `/agent - task…` takes \
none: an empty workspace.
*In its thread*
Reply to steer or continue, no mention needed. `queue: …` waits for the end of the task; \
`!…` interrupts it and is done next; `aside: …` is not for the agent.
`pause` waits before the next step, a reply goes on. `mute` leaves the thread to people, \
until `unmute`.
`model: NAME` changes the model from the next step on; the conversation goes on.
`verbosity: quiet`, `normal` or `verbose` changes how much the thread shows.
Images and text files that you attach reach the agent.
:octagonal_sign: on any message, the button, or the word `stop` stops it; \
:black_square_for_stop: only interrupts its task, :double_vertical_bar: pauses it.
*Look around*
`/agent list` · `/agent status [id]` · `/agent stop id` · `/agent help` · the Home tab of the app
`/agent models [search]` shows the models with price and context
`/agent usage [me|channel|all] [days] [chart|csv]` shows what model calls cost
*Yours*
`/agent me` shows your repository and model; `/agent me repo owner/name` and \
`/agent me model NAME` set them.
*Keys and rules*
`/agent secrets` stores your model key, Git tokens and variables, in a form.
`/agent set` shows what applies here; admins change it: `/agent set stop owner`, \
`/agent set repo owner/name`, `/agent set model NAME`, `/agent set verbosity quiet`.
`/agent doctor` tells admins what of Threadsmith works, and what to do about the rest."""

WELCOME = f"""I start a coding agent for each thread: it works in a container of its own, and you \
see each step here.
Say what to do: `{EXAMPLE}`, or mention me with a repository and a task.
Reply in its thread to steer it, :octagonal_sign: stops it. `/agent help` shows the rest."""
