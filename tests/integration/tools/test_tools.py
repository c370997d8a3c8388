import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings, strategies as st

from bridge.errors import ToolError
from bridge.tools import default_tools
from bridge.tools.base import Tool, ToolContext, ToolResult
from bridge.workspace.filesystem import Workspace

TOOLS = {tool.name: tool for tool in default_tools()}


def test_the_tools_are_these() -> None:
    assert list(TOOLS) == [
        "read_file", "write_file", "edit_file", "list_directory", "search_files",
        "git_status", "git_diff", "git_log", "run_command", "start_process", "read_process",
        "stop_process", "update_plan", "ask_user",
    ]  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_every_schema_is_valid_and_described(tool: Tool[Any]) -> None:
    schema = tool.schema()
    assert schema["type"] == "function"
    assert schema["function"]["description"]
    jsonschema.Draft202012Validator.check_schema(schema["function"]["parameters"])


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "null", '"x"', "1", '{"path": 1}', '{"path": "a", "extra": 1}',
        '{"path": "a", "\\ud800": 1}', "[" * 100_000,
        '{"path": "a", "start_line": ' + "9" * 5_000 + "}", '{"path": "a", "start_line": NaN}',
        '{"path": "a", "start_line": 0}',
    ],
)  # fmt: skip
def test_bad_arguments_are_an_error_the_model_can_read(text: str) -> None:
    with pytest.raises(ToolError) as caught:
        TOOLS["read_file"].parse(text)
    str(caught.value).encode()


def test_no_arguments_are_an_empty_object() -> None:
    TOOLS["git_status"].parse("")


hostile = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["..", ".", "/", "\0", "\ud800", "\udcff", "-x", "--", "a" * 5_000, "d", "f", "loop",
         "pipe", "d/..", "d/f/g", "\n", "*", "[", "{", "(?i", "\\", ".git"]
    ),
)  # fmt: skip
arguments = {
    "read_file": st.fixed_dictionaries({"path": hostile, "start_line": st.integers(-1, 2**70)}),
    "write_file": st.fixed_dictionaries({"path": hostile, "content": hostile}),
    "edit_file": st.fixed_dictionaries({"path": hostile, "old_text": hostile, "new_text": hostile}),
    "list_directory": st.fixed_dictionaries({"path": hostile, "depth": st.integers(0, 6)}),
    "search_files": st.fixed_dictionaries(
        {"pattern": hostile, "path": hostile, "glob": hostile, "context_lines": st.integers(0, 11)}
    ),
    "git_diff": st.fixed_dictionaries({"path": hostile}),
    "git_log": st.fixed_dictionaries({"path": hostile, "limit": st.integers(0, 300)}),
    "run_command": st.fixed_dictionaries(
        {
            "command": st.one_of(hostile, st.lists(hostile, max_size=3)),
            "working_directory": hostile,
            "timeout_seconds": st.floats(),
        }
    ),
}


@pytest.mark.parametrize("name", arguments)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
async def test_no_input_gives_anything_but_a_result_or_a_tool_error(
    name: str, data: st.DataObject
) -> None:
    values = data.draw(arguments[name])
    tool = TOOLS[name]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        (root / "d").mkdir(parents=True)
        (root / "f").write_text("text\n")
        (root / "loop").symlink_to("loop")
        context = ToolContext(Workspace(root), "0" * 40, 10.0, frozenset(), Path(directory))
        try:
            parsed = tool.parse(json.dumps(values))
            tool.target(parsed).encode()
            result = await tool.run(context, parsed)
        except ToolError as error:
            str(error).encode()
        else:
            assert isinstance(result, ToolResult)
            result.text.encode()
            result.summary.encode()
