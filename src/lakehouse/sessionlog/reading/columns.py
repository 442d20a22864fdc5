"""The columns of every view and of the compacted table, as DuckDB types.

Their names and order are the members of the rows (contract sections 4 and 6).
"""

from typing import Final

USAGE: Final = "STRUCT(prompt_tokens BIGINT, completion_tokens BIGINT)"
TIME: Final = "TIMESTAMP"  # in UTC; Python needs a package more to be given a TIMESTAMPTZ

Columns = dict[str, str]

SESSION_COLUMNS: Final[Columns] = {
    "schema": "VARCHAR",
    "session_id": "VARCHAR",
    "trace_id": "VARCHAR",
    "row_id": "VARCHAR",
    "timestamp": TIME,
    "daemon": "VARCHAR",
    "kind": "VARCHAR",
    "model": "VARCHAR",
    "model_alias": "VARCHAR",
    "provider": "VARCHAR",
    "prompt": "VARCHAR",
    "prompt_truncated": "JSON",
    "messages": "JSON",
    "system": "VARCHAR",
    "system_truncated": "JSON",
    "max_iterations": "BIGINT",
    "settings": "JSON",
    "inline_schema": "JSON",
    "verdict": "VARCHAR",
    "iterations": "BIGINT",
    "accepted_iteration": "BIGINT",
    "grounded": "BOOLEAN",
    "artifact": "JSON",
    "attempts": "JSON",
    "error": "STRUCT(code VARCHAR, message VARCHAR, detail VARCHAR)",
    "usage": USAGE,
    "duration_ms": "BIGINT",
    "conversation_id": "VARCHAR",
    "metadata": "JSON",
    "trace_id_replaced": "BOOLEAN",
    "config_digest": "VARCHAR",
    "kind_digest": "VARCHAR",
    "tables": "JSON",
    "crc": "VARCHAR",
}
ATTEMPT_COLUMNS: Final[Columns] = {
    "iteration": "BIGINT",
    "outcome": "VARCHAR",
    "findings": "JSON",
    "findings_truncated": "JSON",
    "told": "VARCHAR",
    "told_truncated": "JSON",
    "output": "VARCHAR",
    "output_truncated": "JSON",
    "thinking": "VARCHAR",
    "thinking_truncated": "JSON",
    "artifact": "JSON",
    "artifact_truncated": "JSON",
    "repairs": "JSON",
    "repairs_truncated": "JSON",
    "finish_reason": "VARCHAR",
    "usage": USAGE,
    "duration_ms": "BIGINT",
    "span_id": "VARCHAR",
    "narrowed": "JSON",
}
FINDING_COLUMNS: Final[Columns] = {
    "code": "VARCHAR",
    "path": "VARCHAR",
    "message": "VARCHAR",
    "message_truncated": "JSON",
    "got": "JSON",
    "expected": "JSON",
    "nearest": "JSON",
}
_OUTCOME: Final = (
    "STRUCT(model VARCHAR, verdict VARCHAR, iterations BIGINT, accepted_iteration BIGINT, "
    f"grounded BOOLEAN, usage {USAGE}, duration_ms BIGINT)"
)
REPLAY_COLUMNS: Final[Columns] = {
    "schema": "VARCHAR",
    "run_id": "VARCHAR",
    "session_id": "VARCHAR",
    "row_id": "VARCHAR",
    "replay_row_id": "VARCHAR",
    "timestamp": TIME,
    "daemon": "VARCHAR",
    "kind": "VARCHAR",
    "baseline": _OUTCOME,
    "candidate": _OUTCOME,
    "artifact_equal": "BOOLEAN",
    "metadata": "JSON",
    "crc": "VARCHAR",
}
FEEDBACK_COLUMNS: Final[Columns] = {
    "schema": "VARCHAR",
    "feedback_id": "VARCHAR",
    "session_id": "VARCHAR",
    "row_id": "VARCHAR",
    "timestamp": TIME,
    "label": "VARCHAR",
    "artifact": "JSON",
    "comment": "VARCHAR",
    "author": "VARCHAR",
    "crc": "VARCHAR",
}
BAD_LINE_COLUMNS: Final = 'file VARCHAR, line BIGINT, "offset" BIGINT, bytes BIGINT, reason VARCHAR'
