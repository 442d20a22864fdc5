"""Texts of a row as a page shows them: not without end, and cut ones say so."""

from typing import Final

import msgspec

from lakehouse.core.finding import Truncated
from lakehouse.core.wording import counted

TEXT_CHARS_MAX: Final = 65_536  # of one text on a page; its `.json` has the whole row


class ShownText(msgspec.Struct, frozen=True):
    """A text of the row. `left_out_chars` are in the row, but not in `text`.

    `note` says in words what is missing: here, and in the log itself.
    """

    text: str
    left_out_chars: int
    note: str


def shown_text(text: str, truncated: Truncated | msgspec.UnsetType = msgspec.UNSET) -> ShownText:
    """Return a text as a page shows it."""
    left_out = max(len(text) - TEXT_CHARS_MAX, 0)
    notes = [_cut_note(truncated, len(text.encode("utf-8")))]
    if left_out:
        whole = f"{TEXT_CHARS_MAX:,} of {len(text):,} characters"
        notes.append(f"Only the first {whole} are shown here; the raw row has more.")
    return ShownText(text[:TEXT_CHARS_MAX], left_out, " ".join(filter(None, notes)))


def _cut_note(truncated: Truncated | msgspec.UnsetType, kept_bytes: int) -> str:
    if truncated is msgspec.UNSET:
        return ""
    return (
        f"The log has only the first {kept_bytes:,} of {truncated.bytes:,} bytes: the row was too "
        f"long. SHA-256 of the whole: {truncated.sha256}."
    )


def list_note(truncated: Truncated | msgspec.UnsetType, logged: int, shown: int, noun: str) -> str:
    """Say what is missing of a list, here and in the log; empty if nothing is."""
    notes = []
    if truncated is not msgspec.UNSET:
        notes.append(f"The log has only the first {counted(logged, noun)}: the row was too long.")
    if shown < logged:
        whole = f"{shown:,} of {counted(logged, noun)}"
        notes.append(f"Only the first {whole} are shown here; the raw row has more.")
    return " ".join(notes)
