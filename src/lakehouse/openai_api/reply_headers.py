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
        wait_s = self.retry_after_s
        values = (
            ("x-request-id", self.session_id),
            ("x-should-retry", "true" if self.repeat else "false"),
            ("openai-processing-ms", _whole(self.processing_ms)),
            ("x-lakehouse-verdict", self.verdict),
            ("x-lakehouse-iterations", _whole(self.iterations)),
            ("retry-after-ms", None if wait_s is None else _whole(wait_s * 1000)),
            ("retry-after", _whole(wait_s)),
        )
        return tuple((name.encode(), text.encode()) for name, text in values if text is not None)


def _whole(number: float | None) -> str | None:
    return None if number is None else str(math.ceil(number))
