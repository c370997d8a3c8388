import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.process.command import SHORT, CommandResult, Limit, StartError, environment, run

ESCAPE = """
import os, sys, time
def escape(clear):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if clear:
        os.execve(sys.executable, [sys.executable, "-c", SLEEP], {})
    os.execv(sys.executable, [sys.executable, "-c", SLEEP])
SLEEP = "import os, time; open(os.path.join(%r, str(os.getpid())), 'w').close(); time.sleep(60)"
for clear in (False, True):
    escape(clear)
while len(os.listdir(%r)) < 2:
    time.sleep(0.01)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


async def call(
    argv: list[str],
    tmp_path: Path,
    *,
    timeout_seconds: float = 20,
    limit: Limit = SHORT,
    on_output: Callable[[str], None] | None = None,
    separate_stderr: bool = False,
) -> CommandResult:
    return await run(
        argv,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout_seconds=timeout_seconds,
        limit=limit,
        on_output=on_output,
        separate_stderr=separate_stderr,
    )


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_output_and_exit_code_are_given(tmp_path: Path) -> None:
    finished = await call(["sh", "-c", "echo out; echo err >&2; exit 3"], tmp_path)
    assert (finished.exit_code, finished.stdout.text) == (3, "out\nerr\n")


async def test_stderr_comes_apart_when_asked_for(tmp_path: Path) -> None:
    finished = await call(["sh", "-c", "echo out; echo err >&2"], tmp_path, separate_stderr=True)
    assert (finished.stdout.text, finished.stderr.text) == ("out\n", "err\n")


async def test_nothing_is_read_from_stdin(tmp_path: Path) -> None:
    assert (await call(["cat"], tmp_path)).stdout.text == ""


@pytest.mark.parametrize("argv", [[], [""], ["no-such-program"], ["./none"], ["echo", "a\0b"]])
async def test_a_program_that_cannot_start_is_an_error(argv: list[str], tmp_path: Path) -> None:
    with pytest.raises(StartError):
        await call(argv, tmp_path)


@pytest.mark.parametrize("argument", ["\ud800", "x" * 300_000])
async def test_an_argument_the_system_refuses_is_an_error(argument: str, tmp_path: Path) -> None:
    with pytest.raises(StartError):
        await call(["echo", argument], tmp_path)


async def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError):
        await call(["true"], tmp_path / "none")


async def test_head_and_tail_of_long_output_are_kept_and_the_cut_is_marked(tmp_path: Path) -> None:
    finished = await call(
        python("print('A' * 100 + 'x' * 10_000_000 + 'Z' * 100, end='')"),
        tmp_path,
        limit=Limit(100, 100),
    )
    assert finished.stdout.text == f"{'A' * 100}\n… 10000000 bytes cut …\n{'Z' * 100}"


async def test_undecodable_output_is_replaced(tmp_path: Path) -> None:
    finished = await call(python("import os; os.write(1, b'a\\xffb')"), tmp_path)
    assert finished.stdout.text == "a\ufffdb"


async def test_running_output_arrives_before_the_end_and_characters_are_whole(
    tmp_path: Path,
) -> None:
    heard: list[str] = []
    code = (
        "import os, pathlib, time\n"
        "os.write(1, b'\\xe2\\x82')\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.005)\n"
        "os.write(1, b'\\xacend')\n"
    )

    def on_output(text: str) -> None:
        heard.append(text)

    async def release() -> None:
        (tmp_path / "go").touch()

    async with asyncio.TaskGroup() as group:
        group.create_task(call(python(code), tmp_path, on_output=on_output))
        group.create_task(release())
    assert "".join(heard) == "€end"


async def test_running_output_is_bounded(tmp_path: Path) -> None:
    heard: list[str] = []
    await call(python("print('x' * 3_000_000)"), tmp_path, on_output=heard.append)
    assert sum(map(len, heard)) < 600_000


async def test_the_environment_holds_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "canary-key")
    monkeypatch.setenv("GIT_TOKEN", "canary-token")
    monkeypatch.setenv("PIP_CERT", "/certificates")
    seen = (await call(["env"], tmp_path)).stdout.text
    assert "canary" not in seen
    names = {line.partition("=")[0] for line in seen.splitlines()}
    assert {"PATH", "HOME", "LANG", "TERM", "CI", "GIT_TERMINAL_PROMPT", "PIP_CERT"} <= names


async def test_a_command_goes_first_when_memory_runs_out(tmp_path: Path) -> None:
    finished = await call(["cat", "/proc/self/oom_score_adj"], tmp_path)
    assert finished.stdout.text == "1000\n"


async def test_a_timeout_kills_the_whole_tree(tmp_path: Path) -> None:
    finished = await call(
        ["sh", "-c", "sleep 60 & echo $!; echo $$; wait"], tmp_path, timeout_seconds=0.3
    )
    assert finished.timed_out
    assert finished.duration_seconds < 5
    assert not any(alive(int(pid)) for pid in finished.stdout.text.split())


async def test_a_background_child_holding_the_pipe_delays_the_end_only_briefly(
    tmp_path: Path,
) -> None:
    finished = await call(["sh", "-c", "sleep 60 & echo $!"], tmp_path)
    assert finished.exit_code == 0
    assert finished.duration_seconds < 3
    assert not alive(int(finished.stdout.text))


async def test_processes_that_left_session_and_parent_and_environment_are_killed(
    tmp_path: Path,
) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    code = ESCAPE % (str(pids), str(pids))
    finished = await call(python(code), tmp_path)
    assert finished.exit_code == 0, finished.stdout.text
    assert len(list(pids.iterdir())) == 2
    assert not any(alive(int(path.name)) for path in pids.iterdir())


async def test_a_cancelled_call_leaves_nothing(tmp_path: Path) -> None:
    heard = asyncio.Event()
    pids: list[int] = []

    def on_output(text: str) -> None:
        pids.extend(map(int, text.split()))
        heard.set()

    task = asyncio.create_task(
        call(["sh", "-c", "sleep 60 & echo $! $$; wait"], tmp_path, on_output=on_output)
    )
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pids
    assert not any(map(alive, pids))


async def test_the_end_of_one_call_spares_the_processes_of_another(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    (pids / "none").touch()
    code = "import os, time\n" + ESCAPE.split("\n", 2)[2] % (str(pids), str(pids))
    code = code.replace("(False, True)", "(False,)").replace(
        "import os, time\n", "import os, sys, time\n", 1
    )
    code += "\nprint('up', flush=True)\ntime.sleep(60)"
    up = asyncio.Event()
    task = asyncio.create_task(call(python(code), tmp_path, on_output=lambda _text: up.set()))
    await up.wait()
    for _ in range(5):
        await call(["true"], tmp_path)
    (escaped,) = (int(path.name) for path in pids.iterdir() if path.name.isdigit())
    assert alive(escaped)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(escaped)


async def test_a_process_that_was_there_before_is_spared(tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    try:
        await call(["true"], tmp_path)
        assert bystander.returncode is None
        assert alive(bystander.pid)
    finally:
        bystander.kill()
        await bystander.wait()


async def test_many_calls_at_once_each_get_their_own_output(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(["echo", str(i)], tmp_path)) for i in range(20)]
    assert [task.result().stdout.text for task in tasks] == [f"{i}\n" for i in range(20)]
    assert all(task.result().exit_code == 0 for task in tasks)


async def test_death_by_a_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    finished = await call(["sh", "-c", "kill -TERM $$"], tmp_path)
    assert finished.exit_code == -signal.SIGTERM


async def test_a_flood_of_output_stops_at_the_timeout(tmp_path: Path) -> None:
    began = time.monotonic()
    finished = await call(["yes"], tmp_path, timeout_seconds=0.3)
    assert finished.timed_out
    assert finished.stdout.cut_bytes > 0
    assert time.monotonic() - began < 5
