"""The headers of every reply of OpenAI's API, errors and streams too.

The server itself adds `X-Lakehouse-Trace-Id` and `traceparent`.
"""

import math
from typing import Literal

import msgspec

from lakehouse.core.session import Verdict
from lakehouse.openai_api.told_answer import ToldAnswer

Fields = tuple[tuple[bytes, bytes], ...]


class ReplyHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers say; None: it is not known, and its header is left out.

    `repeat` is `x-should-retry`, which the official clients obey. `processing_ms` runs from the
    request's first byte to the reply's.
    """

    session_id: str
    repeat: bool = False
    processing_ms: float | None = None
    verdict: Verdict | Literal["unchecked"] | None = None
    iterations: int | None = None
    retry_after_s: float | None = None

    @classmethod
    def of(cls, answer: ToldAnswer, processing_ms: float | None) -> "ReplyHeaders":
        return cls(
            session_id=answer.session_id,
            processing_ms=processing_ms,
            verdict=answer.verdict,
            iterations=answer.iterations,
        )

    def fields(self) -> Fields:
        fields = [
            (b"x-request-id", self.session_id.encode()),
            (b"x-should-retry", b"true" if self.repeat else b"false"),
        ]
        if self.processing_ms is not None:
            fields.append((b"openai-processing-ms", _whole(self.processing_ms)))
        if self.verdict is not None:
            fields.append((b"x-lakehouse-verdict", self.verdict.encode()))
        if self.iterations is not None:
            fields.append((b"x-lakehouse-iterations", _whole(self.iterations)))
        if self.retry_after_s is not None:
            fields.append((b"retry-after-ms", _whole(self.retry_after_s * 1000)))
            fields.append((b"retry-after", _whole(self.retry_after_s)))
        return tuple(fields)


def _whole(number: float) -> bytes:
    return b"%d" % math.ceil(number)
