"""docs/architecture.md is drawn from the import contracts."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_drawing_is_that_of_the_contracts() -> None:
    script = ROOT / "scripts" / "architecture.py"
    drawn = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert drawn.returncode == 0, drawn.stderr


def test_each_package_says_what_it_owns() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    for package in ("bot", "bridge", "playground"):
        for init in (ROOT / package).rglob("__init__.py"):
            if init.parent != ROOT / package and "versions" not in init.parts:
                assert f"| `{init.parent.relative_to(ROOT)}/` |" in page
