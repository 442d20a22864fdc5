"""Common parts of spans, cached as one template per set of values.

Each function is cached: the same facts return the same `Template`, which `otlp` encodes once. Data
of a single session, such as token counts, is on the span itself.
"""

from functools import lru_cache
from typing import Final, Literal

import msgspec

from lakehouse.core.json_text import NULL
from lakehouse.core.row import Row
from lakehouse.core.session import Attempt, Verdict
from lakehouse.tracing.span import AttributeValue, SpanKind, SpanName, Template

_NULL: Final = bytes(NULL)
_TEMPLATES_MAX: Final = 512  # per function; the oldest is dropped

Codes = tuple[str, ...]


def session(row: Row, *, logged: bool, resent: bool) -> Template:
    """Return the settings and the result of a session."""
    codes = _codes(row.attempts[-1]) if row.attempts else None
    return _session(
        (row.kind, row.model_alias, row.daemon, row.config_digest, row.kind_digest),
        (row.verdict, row.iterations, row.accepted_iteration, row.grounded),
        codes,
        None if row.error is None else row.error.code,
        logged=logged,
        resent=resent,
    )


def generation(iteration: int, row: Row, finish_reason: str | None) -> Template:
    """Return the model that was called, and how; `finish_reason` is null if it did not answer.

    Later attempts may be asked otherwise than the caller set, and no row says how.
    """
    asked: tuple[bytes, int | None] = (_NULL, None)
    if iteration == 0:
        asked = bytes(row.settings.temperature), row.settings.max_tokens
    model = row.model_alias, row.provider, row.model
    return _generation(iteration, model, asked, finish_reason)


class AttemptTemplates(msgspec.Struct, frozen=True):
    """The templates of one judged attempt, and of its checks in their order."""

    attempt: Template
    checks: tuple[Template, ...]


def judged_attempt(
    iteration: int, attempt: Attempt, checks: tuple[SpanName, ...]
) -> AttemptTemplates:
    """Return the result of an attempt and of the `checks` that ran.

    The findings are the last one's.
    """
    return _attempt(iteration, attempt.outcome, _codes(attempt), len(attempt.repairs), checks)


@lru_cache(_TEMPLATES_MAX)
def failed_attempt(iteration: int, code: str | None) -> Template:
    """Return what is known about an attempt that failed before it was judged."""
    return _template(
        "attempt",
        ("langfuse.observation.type", "span"),
        ("lakehouse.iteration", iteration),
        ("error.type", code),
    )


@lru_cache(2)
def log_append(*, logged: bool) -> Template:
    """Return whether the row is durable."""
    return _template(
        "log append", ("langfuse.observation.type", "span"), ("lakehouse.logged", logged)
    )


@lru_cache(_TEMPLATES_MAX)
def request(method: str, route: str, status: int) -> Template:
    """Return the HTTP request, and the status of its response."""
    return _template(
        "request",
        ("langfuse.observation.type", "span"),
        ("http.request.method", method),
        ("http.response.status_code", status),
        ("http.route", route or None),
        ("error.type", str(status) if status >= 500 else None),
        name=f"{method} {route}".strip(),
        kind="server",
    )


@lru_cache(_TEMPLATES_MAX)
def model_call(model: str) -> Template:
    """Return the model that was called, outside any session."""
    return _template(
        "generation",
        ("langfuse.observation.type", "generation"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", model),
        name=f"chat {model}",
        kind="client",
    )


@lru_cache(_TEMPLATES_MAX)
def _attempt(
    iteration: int,
    judged: Literal["accepted", "rejected"],
    codes: Codes,
    repairs: int,
    checks: tuple[SpanName, ...],
) -> AttemptTemplates:
    outcome = _template(
        "attempt",
        ("langfuse.observation.type", "span"),
        ("lakehouse.iteration", iteration),
        ("lakehouse.outcome", judged),
        *_found(codes),
    )
    passed = [_check(part, iteration, (), repairs) for part in checks[:-1]]
    last = _check(checks[-1], iteration, codes, repairs)
    return AttemptTemplates(outcome, (*passed, last))


def _check(part: SpanName, iteration: int, codes: Codes, repairs: int) -> Template:
    """Return the result of one check; for extraction also the number of repairs."""
    extraction = part == "extraction"
    return _template(
        part,
        ("langfuse.observation.type", "span" if extraction else "evaluator"),
        ("lakehouse.iteration", iteration),
        ("lakehouse.passed", not codes),
        ("lakehouse.repairs", repairs if extraction else None),
        *_found(codes),
    )


@lru_cache(_TEMPLATES_MAX)
def _generation(
    iteration: int,
    named: tuple[str, str, str],
    asked: tuple[bytes, int | None],
    finish_reason: str | None,
) -> Template:
    alias, provider, model = named
    temperature, max_tokens = asked
    return _template(
        "generation",
        ("langfuse.observation.type", "generation"),
        ("lakehouse.iteration", iteration),
        ("lakehouse.model_alias", alias),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", provider),
        ("gen_ai.request.model", model),
        ("gen_ai.request.temperature", None if temperature == _NULL else float(temperature)),
        ("gen_ai.request.max_tokens", max_tokens),
        ("gen_ai.response.finish_reasons", None if finish_reason is None else (finish_reason,)),
        name=f"chat {model}",
        kind="client",
    )


@lru_cache(_TEMPLATES_MAX)
def _session(
    setup: tuple[str | None, str, str, str, str],
    outcome: tuple[Verdict, int, int | None, bool | None],
    codes: Codes | None,
    error: str | None,
    *,
    logged: bool,
    resent: bool,
) -> Template:
    kind, alias, daemon, config_digest, kind_digest = setup
    verdict, iterations, accepted_iteration, grounded = outcome
    return _template(
        "session",
        ("langfuse.observation.type", "chain"),
        ("langfuse.trace.name", kind or "iterate"),
        ("lakehouse.kind", kind),
        ("lakehouse.model_alias", alias),
        ("lakehouse.daemon", daemon),
        ("lakehouse.config_digest", config_digest),
        ("lakehouse.kind_digest", kind_digest),
        ("lakehouse.verdict", verdict),
        ("lakehouse.iterations", iterations),
        ("lakehouse.accepted_iteration", accepted_iteration),
        ("lakehouse.grounded", grounded),
        ("lakehouse.finding_codes", codes),
        ("error.type", error),
        ("lakehouse.logged", logged),
        ("lakehouse.resent", resent or None),
    )


def _codes(attempt: Attempt) -> Codes:
    return tuple([finding.code for finding in attempt.findings]) if attempt.findings else ()


def _found(codes: Codes) -> tuple[tuple[str, AttributeValue], ...]:
    if not codes:
        return ()
    return ("langfuse.observation.level", "WARNING"), ("lakehouse.finding_codes", codes)


def _template(
    part: SpanName,
    *pairs: tuple[str, AttributeValue | None],
    name: str | None = None,
    kind: SpanKind = "internal",
) -> Template:
    """Keep the attributes that have a value."""
    valued = tuple((name, value) for name, value in pairs if value is not None)
    return Template(part, name or part, kind, valued)
