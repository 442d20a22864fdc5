"""A filter of sessions as SQL on the log's views: the query that `lakehouse query` takes."""

import sys
from functools import cache
from typing import Final

from lakehouse.sessionlog.index.filters import NO_LABEL, LogFilter, folded
from lakehouse.sql.quoting import quoted_text

_TESTS: Final = {
    "provider": "provider = {}",
    "api_key": "json_extract_string(metadata, '/api_key') = {}",
    "error_code": "error.code = {}",
    "kind_digest": "kind_digest = {}",
    "grounded": "grounded = {}",
    "iterations_min": "iterations >= {}",
    "iterations_max": "iterations <= {}",
    "duration_ms_min": "duration_ms >= {}",
    "duration_ms_max": "duration_ms <= {}",
    "first_shot": "coalesce(verdict = 'accepted' AND accepted_iteration = 0, false) = {}",
}
# An index in a path, to be replaced twice: one pass takes every second of a row of them.
_INDEX: Final = r"'/[0-9]+(/|\n?$)', '/*\1', 'g'"
_LABELS: Final = (
    "(SELECT row_id, arg_max(label, (timestamp, feedback_id)) AS label FROM feedback GROUP BY 1)"
)
_TEXTS: Final = (
    "[prompt] || coalesce(CAST(json_extract_string(messages, '$[*].content') AS VARCHAR[]), []) "
    "|| coalesce(CAST(json_extract_string(attempts, '$[*].output') AS VARCHAR[]), [])"
)
# As the view `findings`, which does not tell a value that is null from none.
_FINDINGS: Final = (
    "(SELECT row_id, one->>'$.code' AS code, one->>'$.path' AS path, one->'$.got' AS got "
    "FROM (SELECT row_id, unnest(CAST(findings AS JSON[])) AS one FROM attempts))"
)


def filter_sql(where: LogFilter) -> str:
    """Write the query for all sessions of a filter, newest first.

    Its rows are those that the pages show; but numbers of a `value` are compared by their value,
    and not as they are written. Newest feedback is the one with the latest time.

    Cost: 0.2 s for the first filter with a text: call it from a thread.
    """
    tests = [where.quoted_condition()]
    for name, test in _TESTS.items():
        if (value := getattr(where, name)) is not None:
            literal = quoted_text(value) if isinstance(value, str) else str(value).lower()
            tests.append(test.format(literal))
    for name, value in where.metadata.items():
        pointer = quoted_text("/" + name.replace("~", "~0").replace("/", "~1"))
        tests.append(f"json_extract_string(metadata, {pointer}) = {quoted_text(value)}")
    if where.path is not None or where.value is not None:
        tests.append(_has_finding(where))
    if where.label == NO_LABEL:
        tests.append("row_id NOT IN (SELECT row_id FROM feedback)")
    elif where.label is not None:
        label = quoted_text(where.label)
        tests.append(f"row_id IN (SELECT row_id FROM {_LABELS} WHERE label = {label})")  # noqa: S608 - quoted
    if where.text:
        tests.append(_has_text(folded(where.text)))
    lines = "\n  AND ".join(tests)
    return f"SELECT * FROM sessions\nWHERE {lines}\nORDER BY timestamp DESC NULLS LAST, row_id DESC"  # noqa: S608 - quoted


def _has_finding(where: LogFilter) -> str:
    """Test for one finding with the code, the path and the value, as far as they are set."""
    tests = []
    if where.code is not None:
        tests.append(f"code = {quoted_text(where.code)}")
    if where.path is not None:
        path = quoted_text(where.path)
        place = f"regexp_replace(regexp_replace(path, {_INDEX}), {_INDEX})"
        tests.append(f"(path = {path} OR {place} = {path})")
    if where.value is not None:
        # Both written by DuckDB, which writes 1.10 as 1.1.
        value = f"json_extract({quoted_text(where.value)}::JSON, '$')"
        tests.append(f"got::VARCHAR = {value}::VARCHAR")
    source = "findings" if where.value is None else _FINDINGS
    return f"row_id IN (SELECT row_id FROM {source} WHERE {' AND '.join(tests)})"  # noqa: S608 - quoted


def _has_text(needle: str) -> str:
    """Test for a text whatever its case, as Python folds it and DuckDB does not."""
    text = "text"
    for char in sorted({char for wanted in needle for char in _folding_to().get(wanted, ())}):
        text = f"replace({text}, {quoted_text(char)}, {quoted_text(folded(char))})"
    found = f"contains(lower({text}), {quoted_text(needle)})"
    return f"len(list_filter({_TEXTS}, lambda text: {found})) > 0"


@cache
def _folding_to() -> dict[str, set[str]]:
    """Return, for each character, those beyond ASCII whose folded form has it.

    Cost: 0.2 s, once.
    """
    found: dict[str, set[str]] = {}
    for point in range(128, sys.maxunicode + 1):
        char = chr(point)
        if (form := char.casefold()) != char:
            for one in form:
                found.setdefault(one, set()).add(char)
    return found
