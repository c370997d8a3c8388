"""Finds the names that somebody may have meant, in a time that no list and no word decides."""

import difflib
from bisect import bisect_left
from collections.abc import Iterable
from heapq import nlargest

MOST_COMPARED = 2_000
# Longer ones are compared by their beginnings.
_COMPARED_CHARS = 100
# The exact comparison is slow, so that it judges only those that a quick one puts first.
_MOST_JUDGED = 20
NEAREST = 3


def near_names(word: str, names: Iterable[str], cutoff: float, most: int = NEAREST) -> list[str]:
    """Returns at most `most` names like `word`, the nearest first.

    Of more than MOST_COMPARED names only the word's neighbours in their order are compared, which
    begin as it does. The order takes longer with more names: call it in a thread when there are
    many.
    """
    known = list(names)
    if len(known) > MOST_COMPARED:
        known.sort()
        first = max(0, bisect_left(known, word) - MOST_COMPARED // 2)
        known = known[first : first + MOST_COMPARED]
    cut_names: dict[str, str] = {}
    for name in known:
        cut_names.setdefault(name[:_COMPARED_CHARS], name)
    wanted = word[:_COMPARED_CHARS]
    matcher = difflib.SequenceMatcher(autojunk=False, b=wanted)

    def likeness(name: str) -> float:
        matcher.set_seq1(name)
        return matcher.real_quick_ratio() >= cutoff and matcher.quick_ratio()

    judged = nlargest(_MOST_JUDGED, cut_names, key=likeness)
    nearest = difflib.get_close_matches(wanted, judged, most, cutoff)
    return [cut_names[name] for name in nearest]
