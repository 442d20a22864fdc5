"""Texts without end of one thing: to search one takes no longer than to search any other."""

import time
from decimal import Decimal

import pytest

from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import CANDIDATES_CHARS_MAX
from lakehouse.grounding.index import index_numbers, index_texts
from support.candidates import CITY, of, ready

QUOTE = GroundingRule(path="/q", match="quote")
COLUMNS = {
    "t.city": ready(index_texts(["York", "New York", "Jean", "東京", "£££", "C++"])),
    "t.n": ready(index_numbers([Decimal(n) for n in range(2_000)])),
}
NUMBER = GroundingRule(path="/n", column="t.n")
CPU_S_MAX = 5.0  # each takes a tenth of it or less; where the time grew with the square, minutes


SIGNS = [" ", ".", "!", "-", "(", " -", "\n ", "7", "000 ", "1,", "1'", "£££ ", "e\u0301"]
WORDS = ["A ", "東京", "York ", "York-", "x-York York ", "Jean-Luc York ", "C++ "]


@pytest.mark.parametrize("part", [*SIGNS, *WORDS])
def test_a_text_of_one_thing_is_searched_in_time(part: str) -> None:
    text = part * (CANDIDATES_CHARS_MAX // len(part) - 1) + "a"
    began = time.process_time()
    for rule in (CITY, NUMBER, QUOTE):
        of(rule, COLUMNS, text)
    assert time.process_time() - began < CPU_S_MAX
