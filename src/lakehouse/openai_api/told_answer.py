"""What is told of an answer: the one value that whole replies and streams are written from.

It is made of an accepted session (`reply_form.py`) or of a model's unchecked reply
(`unchecked.py`). There are no facts of a rejected session, so none can be told as an answer.
"""

from typing import Final, Literal

import msgspec

from lakehouse.core.chat import ChatReply, Usage
from lakehouse.core.context import CallContext
from lakehouse.openai_api.contract import FormatType

FinishedBy = Literal["stop", "tool_calls", "function_call", "length", "content_filter"]

_CUT: Final[dict[str, FinishedBy]] = {"length": "length", "content_filter": "content_filter"}


class SessionFacts(msgspec.Struct, frozen=True, tag_field="verdict", tag="accepted"):
    """The member `lakehouse` of a checked reply. `model` is the provider's name of the model."""

    session_id: str
    row_id: str
    iterations: int
    accepted_iteration: int | None
    grounded: bool | None
    model: str


class UncheckedFacts(msgspec.Struct, frozen=True, tag_field="verdict", tag="unchecked"):
    """The member `lakehouse` of an unchecked reply, which has no session and no row."""

    session_id: str
    model: str


class ToldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `model` is as the caller wrote it, `function` is the one called.

    `text` has the artifact's own bytes, or is the model's unchecked text; `format` is the type of
    the format that was asked for.
    """

    model: str
    text: str
    function: str | None = None
    format: FormatType = "text"
    finished_by: FinishedBy
    session_id: str
    row_id: str
    usage: Usage
    fingerprint: str | msgspec.UnsetType = msgspec.UNSET
    facts: SessionFacts | UncheckedFacts

    @classmethod
    def unchecked(cls, reply: ChatReply, context: CallContext, model: str) -> "ToldAnswer":
        """Tell a model's reply as it is; one that was cut off or filtered says so."""
        return cls(
            model=model,
            text=reply.text,
            finished_by=_CUT.get(reply.finish_reason, "stop"),
            session_id=context.session_id,
            row_id=context.row_id,
            usage=reply.usage,
            facts=UncheckedFacts(context.session_id, reply.model),
        )

    @property
    def verdict(self) -> Literal["accepted", "unchecked"]:
        return "accepted" if isinstance(self.facts, SessionFacts) else "unchecked"

    @property
    def iterations(self) -> int | None:
        return self.facts.iterations if isinstance(self.facts, SessionFacts) else None

    @property
    def tokens(self) -> tuple[int, int] | None:
        """The tokens of all prompts and of all answers; None unless both are known."""
        usage = self.usage
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        return usage.prompt_tokens, usage.completion_tokens


def created_s(row_id: str) -> int:
    """Return when a session began, in seconds since 1970: its row id is a UUIDv7, which tells.

    So every part of a stream, the whole reply and the one from the log have the same moment.
    """
    return int(row_id[:12], 16) // 1000
