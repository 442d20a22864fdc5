"""The records of a session: each member of the started line and the row is the session's own."""

from functools import reduce
from operator import add

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.chat import ModelName, Usage
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.json_text import NULL
from lakehouse.core.row import LoggedError, Row
from lakehouse.engine.run import Run
from support.generated_rows import rows, texts
from support.rows import make_started
from support.sessions import clock, task_of

TASK = task_of()


def run_of(row: Row, error: InfraError | None) -> Run:
    """Give a session that has ended, whose facts are those of a row."""
    context = CallContext(
        row.session_id, row.trace_id, row.row_id, "0" * 16, trace_id_replaced=row.trace_id_replaced
    )
    task = msgspec.structs.replace(
        TASK,
        context=context,
        kind=msgspec.structs.replace(TASK.kind, name=row.kind, digest=row.kind_digest),
        model=ModelName(row.model_alias, row.model, row.provider),
        system=row.system,
        prompt=row.prompt,
        row_messages=row.messages,
        max_iterations=row.max_iterations,
        settings=row.settings,
        conversation_id=row.conversation_id,
        metadata=row.metadata,
        config_digest=row.config_digest,
        inline_schema=row.inline_schema,
    )
    time = clock()
    run = Run(task, time)
    for attempt in row.attempts:
        run.add(attempt, grounded=row.grounded)
    run.grounded = row.grounded
    run.tables = row.tables
    time.advance_ms(row.duration_ms)
    run.end(row.verdict, error)
    return run


errors = st.builds(
    lambda message, detail: InfraError("timeout", message, internal=detail), texts, texts
)


@given(rows, st.none() | errors, st.integers(0, 2**40))
def test_records_have_every_member_of_their_session(row, error, duration_ms):
    """Whatever it is: a member that is not set would be null, or what a session before it had."""
    attempts = row.attempts
    accepted = bool(attempts) and row.verdict == "accepted"
    wanted = msgspec.structs.replace(
        row,
        prompt_truncated=msgspec.UNSET,
        system_truncated=msgspec.UNSET,
        iterations=len(attempts),
        accepted_iteration=attempts[-1].iteration if accepted else None,
        artifact=attempts[-1].artifact if attempts else NULL,
        error=None if error is None else LoggedError(error.code, error.public, error.detail),
        usage=reduce(add, [one.usage for one in attempts]) if attempts else Usage(),
        duration_ms=duration_ms,
    )
    run = run_of(wanted, error)
    time = run.clock.timestamp()
    wanted = msgspec.structs.replace(wanted, timestamp=time)
    assert run.started(daemon=row.daemon) == make_started(wanted)
    assert run.row(daemon=row.daemon) == wanted
