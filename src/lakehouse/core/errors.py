"""The tree of all errors, each with a stable code and a hint.

    LakehouseError
    ├── Refusal            the request was rejected: an RFC 9457 problem, no row
    ├── InfraError         the session could not be judged: verdict `infra_error`
    │   ├── TableUnavailable
    │   │   └── ColumnUnfit
    │   └── LogUnavailable
    └── SetupError         configuration or command line: printed, exit code 2

`public` is what a caller may see. `internal` is for the operator, in our own log and in the row's
`error.detail`, and may hold paths and causes. An `InfraError` redacts both when it is created:
neither contains anything that looks like a key. Keys that do not look like one are removed by the
code that knows them.
"""

from typing import Any, ClassVar, Final, Literal

from lakehouse.core.redaction import redact

ProblemCode = Literal[
    "invalid_request",
    "unknown_kind",
    "unknown_model",
    "invalid_schema",
    "invalid_config",
    "unauthorized",
    "not_found",
    "method_not_allowed",
    "ambiguous_session",
    "idempotency_key_reuse",
    "too_large",
    "unsupported_media_type",
    "rate_limited",
    "log_unavailable",
]

PROBLEM_STATUS: Final[dict[ProblemCode, int]] = {
    "invalid_request": 400,
    "unknown_kind": 400,
    "unknown_model": 400,
    "invalid_schema": 400,
    "invalid_config": 422,
    "unauthorized": 401,
    "not_found": 404,
    "method_not_allowed": 405,
    "ambiguous_session": 409,
    "idempotency_key_reuse": 400,
    "too_large": 413,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "log_unavailable": 503,
}

InfraCode = Literal[
    "connect",
    "upstream_malformed",
    "upstream_status",
    "model_missing",
    "overloaded",
    "timeout",
    "model_loading",
    "table_unavailable",
    "rule_broken",
    "log_unavailable",
    "shutdown",
    "crashed",
]

INFRA_STATUS: Final[dict[InfraCode, int]] = {
    "connect": 502,
    "upstream_malformed": 502,
    "upstream_status": 502,
    "model_missing": 502,
    "overloaded": 503,
    "timeout": 504,
    "model_loading": 504,
    "table_unavailable": 503,
    "rule_broken": 503,
    "log_unavailable": 503,
    "shutdown": 503,
    "crashed": 502,
}

_LATER_STATUS: Final = 502

INFRA_HINT: Final[dict[InfraCode, str]] = {
    "connect": "Check that the endpoint is up and reachable: `lakehouse doctor`.",
    "upstream_malformed": "The model's endpoint returned something that is not a chat "
    "completion; check its base_url.",
    "upstream_status": "Check the endpoint's own log for this status.",
    "model_missing": "Pull or serve the model at its endpoint, or correct `model` in the "
    "configuration: `lakehouse doctor`.",
    "overloaded": "Send fewer requests at once, and retry later.",
    "timeout": "Raise deadline_ms, or ask for a shorter answer.",
    "model_loading": "The model is still loading: retry shortly.",
    "table_unavailable": "Check the table's path and columns: `lakehouse doctor`.",
    "rule_broken": "Correct the rule in the configuration: it fails for every artifact.",
    "log_unavailable": "Check the disk behind the session log: `lakehouse doctor`.",
    "shutdown": "The daemon was stopping: send the request again.",
    "crashed": "Check the daemon's log; if there is a row, the row_id finds it.",
}

_NOT_RETRYABLE: Final[frozenset[InfraCode]] = frozenset(
    {"model_missing", "rule_broken", "upstream_status", "upstream_malformed"}
)


def infra_status(code: str) -> int:
    """Return the HTTP status of an infra code; 502 for one that a later version added."""
    return next((status for known, status in INFRA_STATUS.items() if known == code), _LATER_STATUS)


class LakehouseError(Exception):
    """Root of the tree. `hint` says what to do next, with a command if there is one."""

    def __init__(self, public: str, *, hint: str = "", internal: str = "") -> None:
        super().__init__(public)
        self.public = public
        self.hint = hint
        self.internal = internal or public

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class, as errors are by default: each takes arguments of its own.
        return _copied, (type(self), self.args), self.__dict__


class Refusal(LakehouseError):
    """A rejected request: answered as an RFC 9457 problem, without a row.

    `code` is part of the contract and never renamed. `retry_after_s` becomes `Retry-After`.
    """

    def __init__(
        self, code: ProblemCode, public: str, *, hint: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(public, hint=hint)
        self.code: ProblemCode = code
        self.status = PROBLEM_STATUS[code]
        self.retryable = code in {"rate_limited", "log_unavailable"}
        self.retry_after_s = retry_after_s


class InfraError(LakehouseError):
    """A failure that is not the answer's fault: it ends the session as `infra_error`.

    It never uses up an iteration and never counts in a rate. `retry_after_s` is the wait that the
    provider asked for, if any. `session_id` is known where a session has ended with it.
    """

    def __init__(
        self,
        code: InfraCode,
        public: str,
        *,
        hint: str = "",
        internal: str = "",
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            redact(public),
            hint=hint or INFRA_HINT.get(code, ""),
            internal=redact(internal or public),
        )
        self.code: InfraCode = code
        self.status = infra_status(code)
        self.retryable = code not in _NOT_RETRYABLE if retryable is None else retryable
        self.retry_after_s = retry_after_s
        self.session_id: str | None = None

    @property
    def told(self) -> str:
        """The whole error as one line for the daemon's log."""
        return f"{self.code}: {self.public}" + (f" [{self.detail}]" if self.detail else "")

    @property
    def detail(self) -> str | None:
        """The cause for the operator; None if it adds nothing to the message."""
        return None if self.internal == self.public else self.internal


class TableUnavailable(InfraError):
    """A grounding table, or a column a rule names, could not be read. Retryable."""

    def __init__(self, table: str, cause: str, *, hint: str = "") -> None:
        super().__init__(
            "table_unavailable",
            f"Table {table!r} is unavailable.",
            hint=hint,
            internal=f"{table}: {cause}",
        )
        self.table = table


class ColumnUnfit(TableUnavailable):
    """A column is not there, or cannot support a rule: `fault` says why, without a path."""

    def __init__(self, table: str, column: str, fault: str) -> None:
        super().__init__(table, f"column {column!r}: {fault}")
        self.reference = f"{table}.{column}"
        self.fault = fault


class LogUnavailable(InfraError):
    """A row could not be made durable; `trouble` is for our own log."""

    def __init__(self, trouble: str, *, hint: str = "") -> None:
        super().__init__(
            "log_unavailable",
            "The session log cannot be written.",
            hint=hint,
            internal=f"session log: {trouble}",
        )


class SetupError(LakehouseError):
    """The configuration, a type, a check or a command line cannot be used: nothing starts.

    A command ends with exit code 2.
    """

    exit_code: ClassVar[int] = 2


def _copied(error_class: type[LakehouseError], args: tuple[object, ...]) -> LakehouseError:
    return error_class.__new__(error_class, *args)
