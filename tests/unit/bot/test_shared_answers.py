import asyncio

import pytest

from bot.shared_answers import SharedAnswers


class Host:
    """Answers when it is told to; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def ask(self) -> int:
        self.asked += 1
        await self.go_on.wait()
        if self.error:
            raise self.error
        return self.asked


async def waiting(shared: SharedAnswers[str, int], host: Host) -> list[asyncio.Task[int]]:
    """Three who want the same; the first of them asks."""
    tasks = [asyncio.create_task(shared.get("a", host.ask)) for _ in range(3)]
    while not host.asked:
        await asyncio.sleep(0)
    return tasks


async def test_one_answer_is_for_all_who_wait_and_the_next_one_asks_anew() -> None:
    shared, host = SharedAnswers[str, int](), Host()
    tasks = await waiting(shared, host)
    host.go_on.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert await shared.get("a", host.ask) == 2


async def test_one_failure_is_for_all_who_wait_and_costs_one_deadline() -> None:
    shared, host = SharedAnswers[str, int](), Host()
    tasks = await waiting(shared, host)
    host.error = ValueError("silent")
    host.go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results, host.asked) == ([host.error] * 3, 1)


async def test_other_keys_are_asked_for_meanwhile() -> None:
    shared, silent, quick = SharedAnswers[str, int](), Host(), Host()
    tasks = await waiting(shared, silent)
    quick.go_on.set()
    assert await shared.get("b", quick.ask) == 1
    silent.go_on.set()
    await asyncio.gather(*tasks)


async def test_who_asks_and_is_cancelled_leaves_the_question_to_the_next() -> None:
    shared, host = SharedAnswers[str, int](), Host()
    first, *others = await waiting(shared, host)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    while host.asked < 2:
        await asyncio.sleep(0)
    host.go_on.set()
    assert await asyncio.gather(*others) == [2, 2]


async def test_who_waits_and_is_cancelled_disturbs_nobody() -> None:
    shared, host = SharedAnswers[str, int](), Host()
    first, second, third = await waiting(shared, host)
    second.cancel()
    host.go_on.set()
    assert (await first, await third, host.asked) == (1, 1, 1)
    assert second.cancelled()
