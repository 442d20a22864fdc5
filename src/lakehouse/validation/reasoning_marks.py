"""The marks that model families put around their reasoning, and how to find them in a text.

The list is part of the contract (`spec/v1/reasoning_marks.json`), copied here and in the other
runtimes; tests compare them. ASCII letters of a mark match in either case.

Harmony (gpt-oss) has messages with headers instead of pairs. The header of the channel `final`
begins the answer; a message of any other channel is reasoning, up to the next mark of the format.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal, NamedTuple

MarkKind = Literal["open", "close", "answer", "token"]


class Pair(NamedTuple):
    """What a family writes before and after its reasoning.

    `open_alone`: an opening mark counts without a closing one (the text was cut off).
    `close_alone`: a closing mark counts although nothing opened. Marks that are plain words count
    only together.
    """

    open: str
    close: str
    open_alone: bool = True
    close_alone: bool = True


PAIRS: Final = (
    Pair("<think>", "</think>"),
    Pair("<thinking>", "</thinking>"),
    Pair("<reasoning>", "</reasoning>"),
    Pair("<reason>", "</reason>"),
    Pair("<thought>", "</thought>"),
    Pair("<thoughts>", "</thoughts>"),
    Pair("<reflection>", "</reflection>"),
    Pair("<scratchpad>", "</scratchpad>"),
    Pair("<antThinking>", "</antThinking>"),
    Pair("<seed:think>", "</seed:think>"),
    Pair("<longcat_think>", "</longcat_think>"),
    Pair("[THINK]", "[/THINK]"),
    Pair("[REASONING]", "[/REASONING]"),
    Pair("◁think▷", "◁/think▷"),
    Pair("<|START_THINKING|>", "<|END_THINKING|>"),
    Pair("<|begin_of_thought|>", "<|end_of_thought|>"),
    Pair("<|inner_prefix|>", "<|inner_suffix|>"),
    Pair("<|think|>", "<|content|>", close_alone=False),
    Pair("<|channel>thought", "<channel|>"),
    Pair("<unused94>thought", "<unused95>"),
    Pair("assistantanalysis", "assistantfinal"),
    Pair(
        "Here is my thought process:", "Here is my response:", open_alone=False, close_alone=False
    ),
    Pair("Here's my thought process:", "Here's my response:", open_alone=False, close_alone=False),
    Pair("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]", open_alone=False),
)

HARMONY: Final = "harmony"
MARK_CHARS_MIN: Final = 3  # of a model's own mark: a bracket or two would take JSON apart
MARK_CHARS_MAX: Final = 64

_WORDS: Final = r"[^<\n]{0,100}+"
# Without the bracket they all begin with: a header up to `<|message|>`, the beginning of one
# that lacks it, and the tokens that stand alone.
_HARMONY: Final = (
    rf"\|(?:start\|>{_WORDS}(?:<\|channel\|>{_WORDS})?|channel\|>{_WORDS})"
    rf"(?:<\|constrain\|>{_WORDS})?<\|message\|>"
    r"|\|(?:start|channel)\|>[ \t]*+[a-z]*+"
    r"|\|(?:end|call|return|message)\|>"
)
_CHANNEL = re.compile(r"(?ai)<\|channel\|>[ \t]*+([a-z]*+)")
_ASSISTANT = re.compile(r"(?ai)<\|start\|>[ \t]*+assistant(?![a-z])")
_LOWERED: Final = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def pair_fault(opening: str, closing: str) -> str | None:
    """Return why two texts cannot be a model's own pair of marks; None if they can."""
    for mark in (opening, closing):
        if not MARK_CHARS_MIN <= len(mark) <= MARK_CHARS_MAX:
            return (
                f"{mark!r} has {len(mark)} characters; "
                f"allowed are {MARK_CHARS_MIN} to {MARK_CHARS_MAX}"
            )
        if mark[0].isspace() or mark[0] in '{"`~' or "\n" in mark:
            return f'{mark!r} must not begin with white space, {{, ", ` or ~, nor have a line break'
    if opening.translate(_LOWERED) == closing.translate(_LOWERED):
        return "the opening and the closing mark must differ in more than the case of letters"
    return None


class Mark(NamedTuple):
    """One mark in a text, in characters.

    `answer` begins the answer, whatever came before; a `token` only separates. `name` connects an
    opening mark and its end: the closing mark in lower case, or `HARMONY`.
    """

    start: int
    end: int
    kind: MarkKind
    name: str


class Marks:
    """The marks of one text, in its order: found from left to right, the longest at each place.

    Falsy if empty. Cost: one pass over the text, then a bisection per lookup.
    """

    def __init__(self, text: str, own_pairs: tuple[tuple[str, str], ...] = ()) -> None:
        pattern, pairs = _compiled(own_pairs)
        found = [_read(match, pairs) for match in pattern.finditer(text)]
        self._ends: dict[str, list[Mark]] = {}
        for mark, _ in found:
            if mark.kind != "open" or mark.name == HARMONY:
                self._ends.setdefault(mark.name, []).append(mark)
        self._end_starts = {name: [end.start for end in ends] for name, ends in self._ends.items()}
        self._marks = [mark for mark, pair in found if self._counts(mark, pair, len(text))]
        self._starts = [mark.start for mark in self._marks]

    def __bool__(self) -> bool:
        """Whether there is a mark that counts."""
        return bool(self._marks)

    def within(self, start: int, end: int) -> Iterator[Mark]:
        for index in range(bisect_left(self._starts, start), len(self._marks)):
            mark = self._marks[index]
            if mark.end > end:
                return
            yield mark

    def first(self, start: int, end: int) -> Mark | None:
        return next(self.within(start, end), None)

    def end_of(self, mark: Mark, limit: int) -> tuple[int, int] | None:
        """Return where the reasoning after a mark ends, and where the text continues.

        None: it does not end before `limit`. A harmony message ends at the next mark of its format;
        if that is a header, the text continues with it.
        """
        starts = self._end_starts.get(mark.name, [])
        index = bisect_left(starts, mark.end)
        if index == len(starts):
            return None
        end = self._ends[mark.name][index]
        if end.end > limit:
            return None
        header = mark.name == HARMONY and end.kind != "token"
        return end.start, end.start if header else end.end

    def _counts(self, mark: Mark, pair: Pair | None, length: int) -> bool:
        if pair is None:
            return True
        if mark.kind == "close":
            return pair.close_alone
        return pair.open_alone or self.end_of(mark, length) is not None


def _read(
    match: re.Match[str], pairs: dict[str, tuple[MarkKind, Pair]]
) -> tuple[Mark, Pair | None]:
    text = match[0]
    known = pairs.get(text) or pairs.get(text.translate(_LOWERED))
    if known is not None:
        kind, pair = known
        return Mark(match.start(), match.end(), kind, pair.close.translate(_LOWERED)), pair
    return Mark(match.start(), match.end(), _kind(text), HARMONY), None


def _kind(harmony: str) -> MarkKind:
    channel = _CHANNEL.search(harmony)
    if channel is not None:
        return "answer" if channel[1].translate(_LOWERED) == "final" else "open"
    if not harmony.translate(_LOWERED).startswith("<|start|>"):
        return "token"
    if _ASSISTANT.match(harmony) is None:
        return "open"
    return "answer" if harmony.endswith(">") and len(harmony) > len("<|start|>") else "token"


@lru_cache(maxsize=64)  # one entry a model at most: the pairs are the operator's
def _compiled(
    own_pairs: tuple[tuple[str, str], ...],
) -> tuple[re.Pattern[str], dict[str, tuple[MarkKind, Pair]]]:
    """Make one pattern of all marks, and say for each in lower case what it is."""
    known: dict[str, tuple[MarkKind, Pair]] = {}
    for pair in (*PAIRS, *(Pair(*own) for own in own_pairs)):
        known[pair.open.translate(_LOWERED)] = ("open", pair)
        known[pair.close.translate(_LOWERED)] = ("close", pair)
    by_first: dict[str, list[str]] = {}
    for mark in sorted(known, key=len, reverse=True):
        by_first.setdefault(mark[0], []).append(re.escape(mark[1:]))
    by_first["<"].append(_HARMONY)
    # The first character stands apart, so that the engine skips to one of a few.
    ways = [
        f"[{re.escape(first)}{re.escape(first.upper() if first.isascii() else first)}]"
        f"(?ai:{'|'.join(rests)})"
        for first, rests in by_first.items()
    ]
    return re.compile("|".join(ways)), known
