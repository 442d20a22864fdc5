"""The events of a streamed chat completion. The pieces joined equal the unstreamed content."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from lakehouse.openai_api.chat_reply import (
    CompletionUsage,
    call_id,
    completion_id,
    completion_usage,
)
from lakehouse.openai_api.failure import DoorFailure
from lakehouse.openai_api.reply_form import ReplyForm
from lakehouse.openai_api.sse import DONE, data_event, pieces
from lakehouse.openai_api.told_answer import (
    FinishedBy,
    SessionFacts,
    ToldAnswer,
    UncheckedFacts,
    created_s,
)


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More of the arguments; the first one has the name."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    arguments: str


class CallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More of the tool call; the first one has `id` and `type`."""

    index: int = 0
    id: str | msgspec.UnsetType = msgspec.UNSET
    type: Literal["function"] | msgspec.UnsetType = msgspec.UNSET
    function: FunctionDelta


class ChunkDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What one chunk adds to the message."""

    role: Literal["assistant"] | msgspec.UnsetType = msgspec.UNSET
    content: str | msgspec.UnsetType | None = msgspec.UNSET
    tool_calls: tuple[CallDelta, ...] | msgspec.UnsetType = msgspec.UNSET
    function_call: FunctionDelta | msgspec.UnsetType = msgspec.UNSET


class ChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The only choice, in one chunk."""

    index: int = 0
    delta: ChunkDelta
    finish_reason: FinishedBy | None = None


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk. `usage` is null before the last one, and left out unless it was asked for.

    `system_fingerprint` is not known before the answer is.
    """

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str | msgspec.UnsetType = msgspec.UNSET
    choices: tuple[ChunkChoice, ...]
    usage: CompletionUsage | msgspec.UnsetType | None = msgspec.UNSET
    lakehouse: SessionFacts | UncheckedFacts | msgspec.UnsetType = msgspec.UNSET


class ChatStream:
    """The events of one stream, in their order: the opening, then one of two ends."""

    def __init__(
        self, form: ReplyForm, *, session_id: str, row_id: str, include_usage: bool
    ) -> None:
        self._form = form
        self._chunk = ChatChunk(
            id=completion_id(session_id),
            created=created_s(row_id),
            model=form.model,
            choices=(),
            usage=None if include_usage else msgspec.UNSET,
        )

    def opening(self) -> Iterator[bytes]:
        """Yield the chunk with the role, which says nothing of the answer."""
        content = "" if self._form.function is None else None
        yield self._event(ChunkDelta(role="assistant", content=content))

    def answered(self, answer: ToldAnswer) -> Iterator[bytes]:
        """Yield the answer and the end of the stream."""
        self._chunk = msgspec.structs.replace(self._chunk, system_fingerprint=answer.fingerprint)
        if answer.function is None:
            for piece in pieces(answer.text):
                yield self._event(ChunkDelta(content=piece))
        else:
            yield self._called(FunctionDelta(name=answer.function, arguments=""), answer.row_id)
            for piece in pieces(answer.text):
                yield self._called(FunctionDelta(arguments=piece))
        ending = ChunkChoice(delta=ChunkDelta(), finish_reason=answer.finished_by)
        yield data_event(
            msgspec.structs.replace(self._chunk, choices=(ending,), lakehouse=answer.facts)
        )
        usage = completion_usage(answer)
        if self._chunk.usage is None and usage is not msgspec.UNSET:
            yield data_event(msgspec.structs.replace(self._chunk, usage=usage))
        yield DONE

    def failed(self, failure: DoorFailure) -> Iterator[bytes]:
        """Yield the one error event; no `finish_reason` and no `[DONE]` may follow."""
        yield data_event({"error": failure.member(streamed=True)})

    def _called(self, function: FunctionDelta, row_id: str | None = None) -> bytes:
        """Write a piece of the call; the first one has the row's id."""
        if self._form.legacy:
            return self._event(ChunkDelta(function_call=function))
        call = CallDelta(function=function)
        if row_id is not None:
            call = CallDelta(id=call_id(row_id), type="function", function=function)
        return self._event(ChunkDelta(tool_calls=(call,)))

    def _event(self, delta: ChunkDelta) -> bytes:
        choice = ChunkChoice(delta=delta)
        return data_event(msgspec.structs.replace(self._chunk, choices=(choice,)))
