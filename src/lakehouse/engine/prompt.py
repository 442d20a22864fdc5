"""What the model reads: the first conversation, and after a rejection what was wrong with it.

History is last-only: every re-prompt carries the caller's messages, the last answer and its
findings, never the ones before, so that the cost of a session grows linearly. Findings travel as
JSON data with a cap, in a user turn: nothing the model wrote becomes an instruction of ours.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.core.chat import Message
from lakehouse.core.finding import Finding
from lakehouse.core.limits import ECHO_BYTES_MAX, FINDINGS_TOLD_MAX, TOLD_BYTES_MAX

REJECTED: Final = "Your answer was rejected. What is wrong with it, as data:"
REPEATED: Final = (
    "Your answer was rejected before, and you gave the same answer again. Do not repeat it. "
    "What is wrong with it, as data:"
)
AGAIN: Final = "Answer again with one corrected JSON value and nothing else."


def first_messages(system: str | None, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put the system text in force in front of the caller's messages."""
    return messages if system is None else (Message("system", system), *messages)


def told_after(findings: Sequence[Finding], *, repeated: bool) -> str:
    """Write the re-prompt: a fixed opening, the findings as JSON, a fixed request.

    At most `FINDINGS_TOLD_MAX` findings and about `TOLD_BYTES_MAX` bytes; how many were left out
    is said. The same findings give the same bytes.
    """
    lines: list[str] = []
    size = 0
    for finding in findings[:FINDINGS_TOLD_MAX]:
        line = msgspec.json.encode(finding).decode("utf-8")
        size += len(line.encode("utf-8"))
        if lines and size > TOLD_BYTES_MAX:
            break
        lines.append(line)
    left_out = len(findings) - len(lines)
    more = f"\n({left_out} more findings are not shown.)" if left_out else ""
    opening = REPEATED if repeated else REJECTED
    return f"{opening}\n[{', '.join(lines)}]{more}\n{AGAIN}"


def next_messages(
    first: tuple[Message, ...], output: str, told: str, *, echo: bool
) -> tuple[Message, ...]:
    """Build the conversation of the next attempt.

    Args:
        first: The first conversation, unchanged.
        output: The rejected answer.
        told: The re-prompt.
        echo: Whether the model sees its own answer again; not after it repeated itself.
    """
    if not echo or not output:
        return (*first, Message("user", told))
    return (*first, Message("assistant", _cut(output)), Message("user", told))


def _cut(text: str) -> str:
    data = text.encode("utf-8")
    if len(data) <= ECHO_BYTES_MAX:
        return text
    return data[:ECHO_BYTES_MAX].decode("utf-8", "ignore") + " […]"
