"""Names the deadlines of the bridge, from the inside out: each caller waits longer.

None of them is how long a thing takes, but when the bridge itself gives it up and says so.
"""

TOOL_DEATH_SECONDS = 4.5  # from an interruption to the death of the last tool
LAST_LOOK_SECONDS = 1.0  # at the files of a task that was interrupted
_SYNC_SECONDS = 1.0
# The look is a tool's work too, and may have to be ended like one.
INTERRUPT_SECONDS = TOOL_DEATH_SECONDS + LAST_LOOK_SECONDS + TOOL_DEATH_SECONDS + _SYNC_SECONDS

BODY_SECONDS = 30.0  # a request's body, from its first byte to its last
RUNNER_SECONDS = 15.0  # for a runner to be there
GIT_COMMAND_SECONDS = 60.0
# A look compares twice at the most, by three commands of git each.
GIT_OPERATION_SECONDS = 6 * GIT_COMMAND_SECONDS
# A look at the workspace, such as a diff or a patch, is one operation.
READ_SECONDS = RUNNER_SECONDS + GIT_OPERATION_SECONDS
_MOST_OPERATIONS = 5  # of one request that changes the workspace
CHANGE_SECONDS = BODY_SECONDS + _MOST_OPERATIONS * READ_SECONDS
PUSH_COMMAND_SECONDS = 120.0
# A commit and a look at HEAD go before it, and the repository that pushes is made.
PUSH_SECONDS = 2 * READ_SECONDS + GIT_COMMAND_SECONDS + PUSH_COMMAND_SECONDS
