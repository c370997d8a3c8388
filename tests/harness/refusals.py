"""What a person reads when something is refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bot.errors import UserError


@contextmanager
def refused(kind: type[UserError], says: str) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """The block must be refused with these words for the person."""
    with pytest.raises(kind) as caught:
        yield caught
    assert says in caught.value.user_text
