"""Extraction from one answer."""

from collections.abc import Callable

from lakehouse.core.chat import FinishReason
from lakehouse.core.json_text import JsonValue
from lakehouse.validation.extract import Extraction, extract


def take(
    text: str,
    *,
    finish_reason: FinishReason = "stop",
    accepts: Callable[[JsonValue], bool] = lambda value: True,
    repair: bool = False,
) -> Extraction:
    return extract(text, finish_reason=finish_reason, accepts=accepts, repair=repair)


def artifact(found: Extraction) -> str | None:
    return None if found.artifact is None else bytes(found.artifact).decode()
