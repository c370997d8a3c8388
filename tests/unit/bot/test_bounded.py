from hypothesis import given, strategies as st

from bot.bounded import BoundedDict


def test_a_new_entry_takes_the_place_of_the_longest_unused() -> None:
    entries: BoundedDict[str, int] = BoundedDict(2)
    entries["a"], entries["b"] = 1, 2
    assert entries["a"] == 1
    entries["c"] = 3
    assert dict(entries) == {"a": 1, "c": 3}
    assert entries.get("b") is None
    assert entries.setdefault("a", 7) == 1
    del entries["a"]
    assert list(entries) == ["c"]


@given(st.integers(1, 5), st.lists(st.integers(0, 9)))
def test_it_holds_the_newest_keys_and_never_more(most: int, keys: list[int]) -> None:
    entries: BoundedDict[int, int] = BoundedDict(most)
    for number, key in enumerate(keys):
        entries[key] = number
    newest = list(dict.fromkeys(reversed(keys)))[:most]
    assert list(entries) == newest[::-1]
    assert all(keys[entries[key]] == key for key in newest)
