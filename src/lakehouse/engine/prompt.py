"""The message to the model after a rejected answer: what was wrong with it.

The findings are sent as JSON data in one more user turn. The setting `history` of the kind or the
model (core/conversation.py) decides whether rejected answers or artifacts are sent too; by default
they are not, since small models repeat what they see (measured, docs/decisions/0007). A finding
quotes the model's text only as the name of a place or in its message, cut and as a JSON string.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.core.finding import Finding
from lakehouse.core.json_text import ENCODER
from lakehouse.core.limits import (
    FINDINGS_TOLD_MAX,
    TOLD_BYTES_MAX,
    TOLD_EVIDENCE_BYTES_MAX,
    TOLD_MESSAGE_BYTES_MAX,
    TOLD_PATH_BYTES_MAX,
)

REPROMPT: Final = "Your answer was rejected. Answer again with the whole JSON, corrected."
OPENING: Final = "Findings: "


class _Told(msgspec.Struct, frozen=True):
    """One finding as it is sent to the model: the place, and the most helpful text available.

    That is the nearest real values; if there are none, what was expected; otherwise the message. A
    rule with nearest values says both.
    """

    path: str
    nearest: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    expected: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


def told_after(findings: Sequence[Finding], reprompt: str | None = None) -> str:
    """Build the re-prompt: the findings of a rejected answer as a JSON list.

    Identical findings are listed once. The list has at most `FINDINGS_TOLD_MAX` findings and
    `TOLD_BYTES_MAX` bytes; the number of omitted findings is added. `reprompt`, the kind's own
    text, comes first and does not count; if it is None, `REPROMPT`; if it is empty, no text. The
    same findings produce the same bytes.
    """
    lines = list(dict.fromkeys(map(_line, findings)))
    kept: list[bytes] = []
    size = _FRAME_BYTES
    for line in lines[:FINDINGS_TOLD_MAX]:
        size += len(line) + len(", ")
        if size > TOLD_BYTES_MAX:
            break
        kept.append(line)
    left_out = len(lines) - len(kept)
    more = _more(left_out) if left_out else ""
    text = REPROMPT if reprompt is None else reprompt.rstrip()
    opening = f"{text}\n{OPENING}" if text else OPENING
    return f"{opening}[{b', '.join(kept).decode('utf-8')}]{more}"


def _more(left_out: int) -> str:
    return f"\n({left_out} more findings are not shown.)"


_FRAME_BYTES: Final = len(f"{REPROMPT}\n{OPENING}[]{_more(1_000_000)}")


def _line(finding: Finding) -> bytes:
    path = _cut(finding.path, TOLD_PATH_BYTES_MAX)
    nearest, expected = finding.nearest, finding.expected
    if nearest is not msgspec.UNSET and _fits(nearest):
        # A table's column says what is wanted; a check in Python says it in its message.
        why = _cut(finding.message, TOLD_MESSAGE_BYTES_MAX) if finding.code == "rule" else None
        told = _Told(path, nearest=nearest, message=why or msgspec.UNSET)
    elif expected is not msgspec.UNSET and finding.code != "rule" and _fits(expected):
        told = _Told(path, expected=expected)
    else:
        told = _Told(path, message=_cut(finding.message, TOLD_MESSAGE_BYTES_MAX))
    return ENCODER.encode(told)


def _fits(evidence: msgspec.Raw) -> bool:
    return len(bytes(evidence)) <= TOLD_EVIDENCE_BYTES_MAX


def _cut(text: str, bytes_max: int) -> str:
    """Keep the beginning and the end of a text that takes more than `bytes_max` as JSON."""
    if len(text) * 6 <= bytes_max or _json_bytes(text) <= bytes_max:
        return text
    kept = bytes_max // 2 - len("…")
    while _json_bytes(shorter := f"{text[:kept]}…{text[-kept:]}") > bytes_max:
        kept = kept * 3 // 4
    return shorter


def _json_bytes(text: str) -> int:
    return len(ENCODER.encode(text))
