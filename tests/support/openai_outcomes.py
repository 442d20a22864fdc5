"""What requests of OpenAI's routes end as, other than accepted, in the stack of `openai_door`."""

from typing import Any

import msgspec


class Case(msgspec.Struct, frozen=True):
    """One failed request, and what its caller must see."""

    model: str
    prompt: str
    status: int
    code: str
    repeat: bool = False
    members: dict[str, Any] = {}
    verdict: str | None = None
    iterations: int | None = None
    retry_after: str | None = None
    param: str | None = None

    def model_for(self, route: str, *, streamed: bool) -> str:
        """The model asked: a case may have one of its own for each way to ask."""
        return self.model.format(route=route, way="streamed" if streamed else "whole")

    @property
    def kind(self) -> str:
        if self.status == 400 or self.status == 404 or self.status == 413:
            return "invalid_request_error"
        return {401: "authentication_error", 429: "rate_limit_error"}.get(
            self.status, "server_error"
        )


def _infra(
    model: str, prompt: str, status: int, code: str, *, repeat: bool = False, **more: Any
) -> Case:
    return Case(model, prompt, status, code, repeat, verdict="infra_error", iterations=0, **more)


_SPENT: dict[str, Any] = {"verdict": "max_iter_exhausted", "iterations": 3}
_BRIEF = {"lakehouse": {"deadline_ms": 400}}
SESSIONS = {
    "exhausted": Case("event", "prose", 400, "max_iter_exhausted", **_SPENT),
    "truncated": Case("event", "cut off", 400, "max_iter_exhausted", **_SPENT),
    "refused": Case("event@far", "content filter", 400, "content_filter", **_SPENT),
    "too long": _infra("event@far", "too long", 400, "context_length_exceeded"),
    "quota": _infra("event@far", "quota", 502, "insufficient_quota"),
    "missing": _infra("event@far", "no such model", 502, "model_missing"),
    "malformed": _infra("event", "malformed", 502, "upstream_malformed"),
    "connect": _infra("event@dead", "x", 502, "connect", repeat=True),
    "loading": _infra("event@lazy", "x", 504, "model_loading", repeat=True),
    "timeout": _infra("event", "very long", 504, "timeout", members=_BRIEF),
    "overloaded": _infra(
        *("event@busy-{route}-{way}", "x", 503, "overloaded"),
        repeat=True,
        members=_BRIEF,
        retry_after="30",
    ),
}
REFUSED = {
    "no contract": Case("small", "x", 400, "no_contract"),
    "unknown kind": Case("evnt", "x", 404, "model_not_found", param="model"),
    "unknown alias": Case("event@smal", "x", 404, "model_not_found", param="model"),
    "too large": Case("event", "x" * (1 << 20), 413, "too_large"),
    "number": Case(*("event", "x", 400, "invalid_value"), members={"top_p": 2}, param="top_p"),
    "our number": Case(
        *("event", "x", 400, "invalid_value"),
        members={"lakehouse": {"max_iterations": 11}},
        param="lakehouse.max_iterations",
    ),
    "unknown member": Case(
        *("event", "x", 400, "unknown_parameter"), members={"temprature": 1}, param="temprature"
    ),
    "ours in metadata": Case(
        *("event", "x", 400, "invalid_value"),
        members={"metadata": {"door": "mine"}},
        param="metadata.door",
    ),
    "background": Case(
        *("event", "x", 400, "unsupported_content"),
        members={"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    ),
}
