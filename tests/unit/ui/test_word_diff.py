"""Differences of texts: they say both texts whole, find the words, and end in time."""

import time

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ui.word_diff import Piece, difference, folded

_words = st.lists(st.sampled_from(["a", "b ", "ä", "\n", "  ", "c,", '"1.10"', "\u202e"])).map(
    "".join
)


@given(_words, _words)
def test_both_texts_can_be_read_from_the_pieces(before, after):
    """Nothing is lost or invented, and equal texts have no change."""
    found = difference(before, after)
    assert "".join(one.text for one in found.pieces if one.change != "added") == before
    assert "".join(one.text for one in found.pieces if one.change != "removed") == after
    assert found.equal == (before == after)
    assert all(one.text for one in found.pieces)


def test_only_the_words_that_changed_are_marked():
    """A changed word is one piece, and so are two with a space between them."""
    found = difference("the cat sat down, here", "the dog lay down, here")
    assert found.pieces == (
        Piece("same", "the "),
        Piece("removed", "cat sat"),
        Piece("added", "dog lay"),
        Piece("same", " down, here"),
    )
    assert found.grain == "words"


def test_long_texts_are_compared_by_lines_and_then_by_words():
    """More words than can be compared: the lines are, and in those that changed the words."""
    before = [f"line {n} " + "word " * 20 for n in range(4_000)]
    after = list(before)
    for n in range(0, 4_000, 40):
        after[n] = after[n].replace("line", "LINE", 1)
    found = difference("\n".join(before), "\n".join(after))
    assert found.grain == "lines"
    assert [one.text for one in found.pieces if one.change == "added"] == ["LINE"] * 100


def test_the_longest_texts_end_in_time():
    """1 MiB that have nothing in common, with many lines and with one."""
    for separator in ("\n", " "):
        before = separator.join(f"a{n}" for n in range(150_000))
        after = separator.join(f"b{n}" for n in range(150_000))
        began_s = time.process_time()
        found = difference(before, after)
        assert time.process_time() - began_s < 5
        assert found.grain == "whole"
        assert [one.change for one in found.pieces] == ["removed", "added"]


def test_long_pieces_are_folded():
    """The middle of a long part is left out, and its length said."""
    found = difference("x" + " same" * 1_000, "y" + " same" * 1_000)
    changed = (Piece("removed", "x"), Piece("added", "y"))
    kept = 400
    whole = " same" * 1_000
    assert folded(found) == (
        *changed,
        Piece("same", whole[:kept]),
        Piece("same", "", len(whole) - 2 * kept),
        Piece("same", whole[-kept:]),
    )
