"""What the product needs from the place where people's files lie."""

from typing import Protocol


class Files(Protocol):
    """The files that people shared."""

    async def fetch(self, file_id: str, limit_bytes: int) -> bytes:
        """The content; raises FileUnavailable with a sentence for the person."""
