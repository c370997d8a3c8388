from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import ToolError
from bridge.tools.base import ToolContext
from bridge.tools.shell import RUN_COMMAND, RunCommand
from tests.integration.tools.conftest import Call


async def test_a_command_gives_exit_code_and_output(call: Call) -> None:
    result = await call("run_command", command="python3 -c 'print(1); raise SystemExit(3)'")
    assert (result.ok, result.exit_code, result.summary) == (False, 3, "exit 3")
    head, _, output = result.text.partition("\n")
    assert head.startswith("Exit code 3 after 0.")
    assert output == "1"


async def test_a_list_is_taken_as_it_is(call: Call) -> None:
    result = await call("run_command", command=["echo", "a b", "$HOME", "|", "*"])
    assert result.text.endswith("\na b $HOME | *")
    assert result.ok


async def test_quoted_operators_are_text(call: Call) -> None:
    result = await call("run_command", command="echo 'a|b' \"c;d\" e\\&f")
    assert result.text.endswith("\na|b c;d e&f")


@pytest.mark.parametrize(
    "command",
    [
        "echo a | cat", "echo a; ls", "echo a && ls", "echo a > f", "cat < f", "echo $(ls)",
        "echo `ls`", "echo a\nls", "echo a &", "(ls)", "echo 'open", "", "   ", [], [""],
        "bash -c ls", "sh x", "curl http://localhost", "env", "xargs ls", "FOO=1 pytest",
        "cd src", "./x.sh", "/bin/ls", "../.venv/bin/python", "sudo ls", "python\0",
    ],
)  # fmt: skip
async def test_what_needs_a_shell_or_is_not_allowed_is_refused(
    call: Call, root: Path, command: str | list[str]
) -> None:
    with pytest.raises(ToolError):
        await call("run_command", command=command)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        "git push", "git remote -v", "git config user.name x", "git -c core.pager=x log",
        "git -C / status", "git diff --ext-diff", "git diff --ext", "git log --output=f",
        "git log --outp=f", "git rebase --exec=ls", "git fetch --upload-pack=x", "git clone x",
        "find . -exec ls ;", "find . -delete", "find / -name x", "rg --pre=./p x",
        "rg --pre ./p x", "rg x /etc", "cat /etc/passwd", "cat ../x", "rm -rf /", "rm -rf ~",
        "cp a ../b", "npm publish", "cargo publish", "ls a/../../b", "grep --file=/etc/passwd x",
        "sed -n p /etc/passwd",
    ],
)  # fmt: skip
async def test_options_and_subcommands_that_a_task_never_needs_are_refused(
    call: Call, command: str
) -> None:
    with pytest.raises(ToolError, match=r"not allowed|outside|not understood"):
        await call("run_command", command=command)


async def test_sed_cannot_run_commands(call: Call, root: Path) -> None:
    (root / "f").write_text("a\n")
    assert not (await call("run_command", command=["sed", "1e touch executed", "f"])).ok
    assert not (root / "executed").exists()
    assert (await call("run_command", command="sed -i s/a/b/ f")).ok
    assert (root / "f").read_text() == "b\n"


async def test_a_refusal_names_what_is_allowed(call: Call) -> None:
    with pytest.raises(ToolError, match=r"wget is not allowed(?s:.*)Allowed: .*pytest"):
        await call("run_command", command="wget x")


async def test_further_programs_can_be_allowed(context: ToolContext, root: Path) -> None:
    more = replace(context, command_allow=frozenset({"env", "./x.sh"}))
    (root / "x.sh").write_text("#!/bin/sh\necho ran\n")
    (root / "x.sh").chmod(0o755)
    seen = await RUN_COMMAND.run(more, RunCommand(command="env"))
    assert f"HOME={context.home}" in seen.text
    assert (await RUN_COMMAND.run(more, RunCommand(command="./x.sh"))).text.endswith("ran")


async def test_a_repositorys_own_programs_come_first(call: Call, root: Path) -> None:
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/pytest").write_text("#!/bin/sh\necho own pytest\n")
    (root / ".venv/bin/pytest").chmod(0o755)
    for command in ("pytest", ".venv/bin/pytest"):
        assert "own pytest" in (await call("run_command", command=command)).text


async def test_a_working_directory_must_be_inside(call: Call, root: Path) -> None:
    (root / "src").mkdir()
    (root / "out").symlink_to("/etc")
    result = await call("run_command", command="pwd", working_directory="src")
    assert result.text.endswith(f"\n{root}/src")
    for directory in ("out", "..", "none", "/etc"):
        with pytest.raises(ToolError):
            await call("run_command", command="pwd", working_directory=directory)


async def test_a_timeout_is_a_result_with_the_output_so_far(call: Call) -> None:
    result = await call(
        "run_command",
        command=["python3", "-c", "import time; print('so far', flush=True); time.sleep(60)"],
        timeout_seconds=0.5,
    )
    assert (result.ok, result.exit_code, result.summary) == (False, None, "timed out after 0.5 s")
    assert result.text.endswith("so far")


async def test_long_output_is_cut_in_the_middle(call: Call) -> None:
    result = await call("run_command", command=["python3", "-c", "print('x' * 1_000_000)"])
    assert len(result.text) < 620_000
    assert "bytes cut" in result.text


async def test_running_output_is_passed_on(context: ToolContext) -> None:
    heard: list[str] = []
    await RUN_COMMAND.run(replace(context, on_output=heard.append), RunCommand(command="echo hi"))
    assert "".join(heard) == "hi\n"


@pytest.mark.parametrize(
    ("last", "summary"),
    [
        ("=== 1 failed, 11 passed in 6.2s ===", "exit 0 · 1 failed, 11 passed"),
        ("212 passed in 14.00s", "exit 0 · 212 passed"),
        ("Tests:       1 failed, 2 passed, 3 total", "exit 0 · 1 failed, 2 passed, 3 total"),
        ("nothing counted", "exit 0"),
    ],
)
async def test_test_counts_are_in_the_summary(call: Call, last: str, summary: str) -> None:
    assert (await call("run_command", command=["echo", last])).summary == summary


async def test_terminal_escapes_and_progress_are_removed(call: Call) -> None:
    code = r"print('\x1b[31mred\x1b[0m'); print('10%\r50%\r100%')"
    assert (await call("run_command", command=["python3", "-c", code])).text.endswith("red\n100%")
