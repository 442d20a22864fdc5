"""Maps the endpoints' finish reasons to ours."""

from typing import Final

from lakehouse.core.chat import FinishReason

_MEANING: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length",
         "model_length", "context_length", "model_context_window_exceeded", "token_limit"),
        "length",
    ),
    **dict.fromkeys(("tool_calls", "function_call"), "tool_calls"),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "refusal", "safety", "recitation", "blocklist",
         "prohibited_content", "spii", "image_safety", "image_prohibited_content",
         "image_recitation", "sensitive", "error_toxic", "guardrail_intervened",
         "blocked"),
        "content_filter",
    ),
}  # fmt: skip

# The endpoint failed amid the answer: as a status, where it does not say more.
_FAILED: Final[dict[str, int]] = {
    **dict.fromkeys(("error", "engine_error", "internal_error", "server_error"), 500),
    **dict.fromkeys(("network_error", "upstream_error", "provider_error"), 502),
    **dict.fromkeys(("abort", "aborted", "cancelled", "insufficient_system_resource"), 503),
    **dict.fromkeys(("timeout", "error_limit"), 504),
}


def finish_reason(value: object) -> FinishReason:
    """Map a provider's word for why it stopped; unknown and absent words are `other`.

    In any letter case, with the prefixes of an enumeration (`FinishReason.SAFETY`), and with a
    reason behind a colon (`content_filter: RECITATION`).
    """
    if isinstance(value, str) and value in _MEANING:  # as nearly every endpoint writes it
        return _MEANING[value]
    return next((_MEANING[word] for word in _words(value) if word in _MEANING), "other")


def failure_status(value: object) -> int | None:
    """Return the status of a finish word that means a failure; None for others."""
    return next((_FAILED[word] for word in _words(value) if word in _FAILED), None)


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, str):
        return ()
    word = value.partition(":")[0].strip().rpartition(".")[2].lower()
    return (word, word.removeprefix("finish_reason_"))
