"""Files fetched from a playground's Slack keep the contract of `FetchFile`."""

import pytest

from tests.contracts.people import FetchBench, FetchFileContract
from tests.integration.slack.test_files import FilesBench, bench

__all__ = ["bench"]


class TestSlackFiles(FetchFileContract):
    @pytest.fixture
    def fetch_bench(self, bench: FilesBench) -> FetchBench:
        async def share(content: bytes) -> str:
            return await bench.upload("a.txt", content)

        return FetchBench(bench.files.fetch, share)
