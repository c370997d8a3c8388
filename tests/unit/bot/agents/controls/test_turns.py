import asyncio

from bot.agents.controls.turns import Turns


async def test_turns_come_in_the_order_in_which_they_were_taken() -> None:
    turns, done = Turns(), list[str]()
    with (
        turns.take_turn("a") as first,
        turns.take_turn("a") as second,
        turns.take_turn("b") as other,
    ):

        async def late() -> None:
            await second.wait()
            done.append("second")

        async with asyncio.TaskGroup() as group:
            group.create_task(late())
            await other.wait()
            done.append("other")
            await first.wait()
            done.append("first")
            first.end()
            first.end()
    assert done == ["other", "first", "second"]
    assert not turns._lines


async def test_who_gives_up_while_waiting_lets_the_others_pass_in_order() -> None:
    turns, done = Turns(), list[int]()

    async def waits(number: int) -> None:
        with turns.take_turn("a") as turn:
            await turn.wait()
            done.append(number)

    with turns.take_turn("a") as first:
        await first.wait()
        tasks = [asyncio.create_task(waits(number)) for number in range(3)]
        given_up = asyncio.create_task(waits(9))
        last = asyncio.create_task(waits(3))
        while len(turns._lines["a"]) < 6:
            await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert done == []
    await asyncio.gather(*tasks, last)
    assert done == [0, 1, 2, 3]
    assert not turns._lines
