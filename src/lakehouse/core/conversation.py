"""Builds the conversation of a later attempt from the attempts before it.

The loop sends it and a trace shows it: both build it here, from the members of the row.
"""

from collections.abc import Mapping, Sequence

import msgspec

from lakehouse.core.chat import ChatRequest, Message, OfferMode
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import ANSWER_SHOWN_BYTES_MAX
from lakehouse.core.metadata import AFTER_MEMBER
from lakehouse.core.row import RowMessage
from lakehouse.core.session import Attempt


def user_texts(
    messages: Sequence[Message | RowMessage], metadata: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what the user wrote: quotes may come from these texts, and the last is the prompt.

    Where a session continues one whose answer checks in Python rejected, its last user turn is
    what the model is told about that answer. It is no text of the user: it repeats words that the
    model invented.
    """
    texts = tuple(message.content for message in messages if message.role == "user")
    return texts[:-1] if AFTER_MEMBER in metadata and len(texts) > 1 else texts


def later_turns(
    attempts: Sequence[Attempt], told: str, history: str | msgspec.UnsetType
) -> tuple[Message, ...]:
    """Return the turns that follow the caller's messages after these rejected attempts.

    `attempts` are all before the next one, oldest first, and `told` is the feedback for the next
    one. An answer without text has no turn: endpoints reject empty turns.
    """
    added = Message("user", told)
    if history in (msgspec.UNSET, "findings"):
        return (added,)
    shown = attempts if history == "full" else attempts[-1:]
    turns: list[Message] = []
    for attempt in shown:
        if attempt.told is not None and history == "full":
            turns.append(Message("user", attempt.told))
        answer = answer_shown(attempt)
        if answer:
            turns.append(Message("assistant", answer))
    return (*turns, added)


def offered_turns(request: ChatRequest, mode: OfferMode | None) -> tuple[Message, ...]:
    """Return a call's conversation as it is sent, by how its offer reaches the model.

    What the offer says in words stands at the end of the last user turn.
    """
    messages = request.messages
    text = "" if request.offer is None else request.offer.text(mode)
    if not text:
        return messages
    at = last_user_turn(messages)
    return (*messages, Message("user", text)) if at < 0 else with_text(messages, at, text)


def last_user_turn(messages: Sequence[Message]) -> int:
    """Return where the user spoke last; -1: nowhere."""
    return max((n for n, turn in enumerate(messages) if turn.role == "user"), default=-1)


def with_text(messages: tuple[Message, ...], at: int, text: str) -> tuple[Message, ...]:
    """Return a conversation with a paragraph more in the turn at `at`."""
    turn = Message(messages[at].role, f"{messages[at].content}\n\n{text}")
    return (*messages[:at], turn, *messages[at + 1 :])


def answer_shown(attempt: Attempt) -> str:
    """Return a rejected answer as the model sees it again.

    The artifact extracted from it, else its whole text; cut to `ANSWER_SHOWN_BYTES_MAX`.
    """
    taken = attempt.artifact != NULL
    text = bytes(attempt.artifact).decode("utf-8") if taken else attempt.output.strip()
    data = text.encode("utf-8")
    if len(data) <= ANSWER_SHOWN_BYTES_MAX:
        return text
    return data[:ANSWER_SHOWN_BYTES_MAX].decode("utf-8", "ignore") + "…"
