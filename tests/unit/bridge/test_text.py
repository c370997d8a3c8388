import json

import pytest

from bridge.text import clean, cut_middle


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_joined() -> None:
    high, low = json.loads('"\\ud83d"'), json.loads('"\\ude00"')
    assert clean(high + "x") == "\ufffdx"
    assert clean(high + low) == "\U0001f600"


@pytest.mark.parametrize("limit", [0, 5, 40, 99, 100])
def test_a_cut_text_keeps_head_and_tail_within_the_limit(limit: int) -> None:
    text = "a" * 50 + "b" * 50
    assert len(cut_middle(text, limit)) <= limit
    if limit == 99:
        assert cut_middle(text, limit).startswith("a")
        assert cut_middle(text, limit).endswith("b")
