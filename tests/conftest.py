"""The order of the tests: the slowest modules begin, so that no worker is left with one alone."""

import pytest

# Their assertions show values too, though they are no test modules.
pytest.register_assert_rewrite("tests.contracts", "tests.harness")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by the seconds of the marker `slow`; within a module the order stays."""
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    return float(marker.args[0]) if marker else 0.0
