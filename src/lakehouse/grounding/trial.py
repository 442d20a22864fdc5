"""Tries a rule on sample answers from the schema: does it fail for every answer?

A rule that errors for every answer would be reported to the model as its fault every time. So it is
run before the first answer: with all members null, and with sample answers. It is broken if every
run errors, if the types of the schema alone make every sample err, or if a cast of something that
is not of the answer fails in all of them. Errors of single values, such as a text that is no date,
prove nothing: real answers may have valid ones. A result that is not one BOOLEAN, such as a count,
is never TRUE: then the rule is broken too.
"""

import threading
from collections.abc import Mapping
from typing import Final

import duckdb

from lakehouse.core.json_text import JsonValue
from lakehouse.grounding.binding import PreparedRule, bind

Form = tuple[str, ...]
"""The SQL types of a result's columns."""

TRIAL_TIMEOUT_MS: Final = 10_000  # for all runs of one rule
_INTERRUPT_WAIT_S: Final = 0.05
# Errors that only types cause, not values.
_OF_TYPES: Final = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.NotImplementedException,
)
_TRUTH: Final = ("BOOLEAN",)
_NOTHING: Final[Mapping[str, JsonValue]] = {}


def trouble_of(rule: PreparedRule, connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return why a rule fails for every answer; None if it may work. Blocks."""
    done = threading.Event()
    late = threading.Event()

    def watch() -> None:
        if done.wait(TRIAL_TIMEOUT_MS / 1000):
            return
        late.set()
        # An interrupt between two runs is lost.
        connection.interrupt()
        while not done.wait(_INTERRUPT_WAIT_S):
            connection.interrupt()

    watcher = threading.Thread(target=watch, name="lakehouse-trial", daemon=True)
    watcher.start()
    try:
        return _trouble(rule, connection)
    except duckdb.InterruptException:
        if not late.is_set():
            raise
        return f"it takes longer than {TRIAL_TIMEOUT_MS} ms on a sample answer"
    finally:
        done.set()
        watcher.join()


def _trouble(rule: PreparedRule, connection: duckdb.DuckDBPyConnection) -> str | None:
    bare = _run(rule, connection, _NOTHING)
    samples = [_run(rule, connection, sample) for sample in rule.samples]
    forms = [run for run in (bare, *samples) if not isinstance(run, Exception)]
    if not forms:
        return first_line(samples[0] if samples else bare)
    # If a member has no type or several, the sample may have the wrong one.
    typed = all(name in rule.shapes and rule.shapes[name].kind != "json" for name in rule.members)
    if samples and typed and all(isinstance(error, _OF_TYPES) for error in samples):
        return first_line(samples[0])
    # If the members have no type and no sample was tried, the rule is not known to be broken.
    alike = bool(samples) and len(set(forms)) == 1
    if _TRUTH not in forms and (typed or alike):
        return (
            f"it returns {_columns(forms[-1])}, but it must return a single BOOLEAN, as in "
            f"SELECT count(*) = 0"
        )
    # One and the same cast fails in each, and not on a value of the samples: of a table, then.
    texts = {first_line(error) for error in samples}
    if len(texts) == 1 and all(isinstance(error, duckdb.ConversionException) for error in samples):
        [text] = texts
        if not any(_quotes(text, sample) for sample in rule.samples):
            return text
    return None


def _quotes(text: str, value: object) -> bool:
    """Return whether a text quotes one of the scalars in a value."""
    pending: list[object] = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        elif f"'{one}'" in text or f'"{one}"' in text:
            return True
    return False


def _run(
    rule: PreparedRule, connection: duckdb.DuckDBPyConnection, members: Mapping[str, JsonValue]
) -> Form | Exception:
    """Run a rule once; returns the types of its columns, or the error."""
    try:
        bound = bind(rule, members)
        connection.execute(bound.query, bound.values)
        form = tuple(str(column[1]).strip('"') for column in connection.description or ())
        connection.fetchmany(2)
    except duckdb.InterruptException:
        raise
    except (duckdb.Error, ValueError, OverflowError) as error:
        return error
    return form


def _columns(form: Form) -> str:
    return form[0] if len(form) == 1 else f"{len(form)} columns ({', '.join(form)})"


def first_line(error: Form | Exception) -> str:
    """Return DuckDB's message without its drawing of the place."""
    return str(error).partition("\n")[0]
