"""Flipped sessions: pairs whose sides ended differently."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from lakehouse.comparison.pairs import SessionPair
from lakehouse.comparison.summary import State, state_of

Change = Literal["lost", "gained", "first_shot_lost", "first_shot_gained"]
CHANGE_WORDS: Final[dict[Change, str]] = {
    "lost": "no longer accepted",
    "gained": "newly accepted",
    "first_shot_lost": "no longer at the first attempt",
    "first_shot_gained": "newly at the first attempt",
}
CHANGES: Final = tuple(CHANGE_WORDS)


class Flip(msgspec.Struct, frozen=True):
    """A judged pair whose sides ended differently.

    `lost` and `gained` concern acceptance, the other changes only the first attempt.
    """

    row_id: str
    session_id: str
    kind: str | None
    change: Change
    baseline: State
    candidate: State


def flips(pairs: Sequence[SessionPair]) -> list[tuple[Flip, SessionPair]]:
    """Find the flipped pairs: lost ones first, then by `row_id`."""
    found = []
    for pair in pairs:
        change = _change(pair)
        if change is not None:
            flip = Flip(
                pair.row_id,
                pair.session_id,
                pair.kind,
                change,
                state_of(pair.baseline),
                state_of(pair.candidate),
            )
            found.append((flip, pair))
    return sorted(found, key=lambda one: (CHANGES.index(one[0].change), one[0].row_id))


def _change(pair: SessionPair) -> Change | None:
    if not pair.judged:
        return None
    ours, theirs = pair.baseline, pair.candidate
    if ours.accepted != theirs.accepted:
        return "lost" if ours.accepted else "gained"
    if ours.first_shot != theirs.first_shot:
        return "first_shot_lost" if ours.first_shot else "first_shot_gained"
    return None
