"""What the model reads: the first conversation, and after a rejection what was wrong.

History is last-only: every attempt gets the caller's messages and the findings of the answer
before, as JSON data in one more user turn, never the answers themselves. The cost of a session
grows linearly, nothing a model wrote comes back as text it might copy or obey, and small models
do better: they repeat what they see (measured, docs/decisions/0007).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.core.chat import Message
from lakehouse.core.finding import Finding
from lakehouse.core.limits import FINDINGS_TOLD_MAX, TOLD_BYTES_MAX

OPENING: Final = "Findings: "


class _Told(msgspec.Struct, frozen=True):
    """One finding as the model reads it: the place, and the most helpful thing there is to say.

    The nearest real values where there are any, else what was expected, else the message.
    """

    path: str
    nearest: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    expected: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


def first_messages(system: str | None, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put the system text in force in front of the caller's messages."""
    return messages if system is None else (Message("system", system), *messages)


def told_after(findings: Sequence[Finding]) -> str:
    """Write the re-prompt: the findings of a rejected answer as a JSON list.

    Findings that would read alike are told once. At most `FINDINGS_TOLD_MAX` findings and about
    `TOLD_BYTES_MAX` bytes; how many were left out is said. The same findings give the same bytes.
    """
    lines = list(dict.fromkeys(map(_line, findings)))
    kept: list[str] = []
    size = 0
    for line in lines[:FINDINGS_TOLD_MAX]:
        size += len(line.encode("utf-8"))
        if kept and size > TOLD_BYTES_MAX:
            break
        kept.append(line)
    left_out = len(lines) - len(kept)
    more = f"\n({left_out} more findings are not shown.)" if left_out else ""
    return f"{OPENING}[{', '.join(kept)}]{more}"


def next_messages(first: tuple[Message, ...], told: str) -> tuple[Message, ...]:
    """Build the conversation of the next attempt: the first one, and what is to be told."""
    return (*first, Message("user", told))


def _line(finding: Finding) -> str:
    if finding.nearest is not msgspec.UNSET:
        told = _Told(finding.path, nearest=finding.nearest)
    elif finding.code != "rule" and finding.expected is not msgspec.UNSET:
        told = _Told(finding.path, expected=finding.expected)
    else:
        told = _Told(finding.path, message=finding.message)
    return msgspec.json.encode(told).decode("utf-8")
