"""The events of a streamed response. The deltas joined equal the unstreamed text."""

from collections.abc import Iterator
from typing import Any

import msgspec

from lakehouse.openai_api.failure import DoorFailure
from lakehouse.openai_api.reply_form import ReplyForm
from lakehouse.openai_api.responses_reply import (
    FailureWord,
    OutputText,
    ResponseFailure,
    ResponseObject,
    output_item,
    response_id,
    response_object,
    response_text,
)
from lakehouse.openai_api.sse import data_event, pieces
from lakehouse.openai_api.told_answer import ToldAnswer, created_s


class ResponsesStream:
    """The events of one stream, in their order: the opening, then one of two ends.

    It counts them, so that each method is called once.
    """

    def __init__(self, form: ReplyForm, *, session_id: str, row_id: str) -> None:
        self._number = -1
        self._response = ResponseObject(
            id=response_id(session_id),
            created_at=created_s(row_id),
            status="in_progress",
            model=form.model,
            text=response_text(form.format),
        )

    def opening(self) -> Iterator[bytes]:
        """Yield the two events that say nothing of the answer."""
        yield self._event("response.created", response=self._response)
        yield self._event("response.in_progress", response=self._response)

    def answered(self, answer: ToldAnswer) -> Iterator[bytes]:
        """Yield the answer and the end of the stream."""
        begun = output_item(answer, begun=True)
        yield self._event("response.output_item.added", output_index=0, item=begun)
        if answer.function is None:
            yield from self._text(answer.text, {"item_id": begun.id, "output_index": 0})
        else:
            yield from self._arguments(answer, {"item_id": begun.id, "output_index": 0})
        ended = output_item(answer)
        yield self._event("response.output_item.done", output_index=0, item=ended)
        response = response_object(answer)
        yield self._event(f"response.{response.status}", response=response)

    def failed(self, failure: DoorFailure) -> Iterator[bytes]:
        """Yield `response.failed`, then `error` in both shapes that clients know."""
        error = ResponseFailure(_word(failure), failure.message)
        response = msgspec.structs.replace(self._response, status="failed", error=error)
        yield self._event("response.failed", response=response)
        member = failure.member(streamed=True)
        yield self._event(
            "error", code=member.code, message=member.message, param=member.param, error=member
        )

    def _text(self, text: str, place: dict[str, Any]) -> Iterator[bytes]:
        place = {**place, "content_index": 0}
        part = OutputText(text="")
        yield self._event("response.content_part.added", **place, part=part)
        for piece in pieces(text):
            yield self._event("response.output_text.delta", **place, delta=piece, logprobs=())
        yield self._event("response.output_text.done", **place, text=text, logprobs=())
        yield self._event("response.content_part.done", **place, part=OutputText(text=text))

    def _arguments(self, answer: ToldAnswer, place: dict[str, Any]) -> Iterator[bytes]:
        kind = "response.function_call_arguments"
        for piece in pieces(answer.text):
            yield self._event(f"{kind}.delta", **place, delta=piece)
        yield self._event(f"{kind}.done", **place, name=answer.function, arguments=answer.text)

    def _event(self, kind: str, **members: object) -> bytes:
        self._number += 1
        return data_event({"type": kind, "sequence_number": self._number, **members}, kind)


def _word(failure: DoorFailure) -> FailureWord:
    """Return the code of OpenAI's list; clients do not repeat after `invalid_prompt`."""
    if not failure.repeat:
        return "invalid_prompt"
    return "rate_limit_exceeded" if failure.status == 429 else "server_error"
