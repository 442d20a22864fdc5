"""The filter of every page, as SQL on the view `rows`."""

from typing import Any, Final

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.sessionlog.reading.filters import SessionFilter

NO_LABEL: Final = "none"


class LogFilter(SessionFilter, frozen=True, kw_only=True, omit_defaults=True):
    """A filter of sessions, and what only the index can ask quickly; all that is set must match.

    `text` occurs in the prompt, another message or the output of any attempt; case does not count.
    `metadata` are members with their values. `path` is a finding's, or one whose indices are `*`;
    `value` what was found there, as raw JSON. `code`, `path` and `value` are those of one finding.
    `api_key` is the name of the caller's key. `label` is the newest feedback of the row; `none`
    finds those without. Bounds are inclusive.
    """

    text: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    path: str | None = None
    value: str | None = None
    label: str | None = None
    provider: str | None = None
    api_key: str | None = None
    error_code: str | None = None
    kind_digest: str | None = None
    grounded: bool | None = None
    iterations_min: int | None = None
    iterations_max: int | None = None
    duration_ms_min: int | None = None
    duration_ms_max: int | None = None
    first_shot: bool | None = None


_FIRST_SHOT: Final = "coalesce(verdict = 'accepted' AND accepted_iteration = 0, false)"
_TESTS: Final = {
    "provider": "provider = ?",
    "api_key": "api_key = ?",
    "error_code": "error_code = ?",
    "kind_digest": "kind_digest = ?",
    "grounded": "grounded = ?",
    "iterations_min": "iterations >= ?",
    "iterations_max": "iterations <= ?",
    "duration_ms_min": "duration_ms >= ?",
    "duration_ms_max": "duration_ms <= ?",
    "first_shot": f"{_FIRST_SHOT} = ?",
}


MEMBER: Final = "json_extract_string(metadata, ?::VARCHAR)"
"""A member of the metadata, in SQL; bound to its `pointer`."""


def pointer(name: str) -> str:
    """Return where a member is, as SQL is told."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def folded(text: str) -> str:
    """Return what texts are searched by: case does not count."""
    return text.casefold()


def condition(where: LogFilter) -> tuple[str, list[Any]]:
    """Write a filter as SQL on the view `rows`, each value bound to a `?`.

    The table `hits` has the rows with its text (`Shelf.search`).

    Raises:
        Refusal: `invalid_request`; the text cannot be searched.
    """
    first, bound = where.condition(codes="codes", error_code="error_code")
    tests, values = [first], list[Any](bound)

    def test(sql: str, *bindings: object) -> None:
        tests.append(sql)
        values.extend(bindings)

    for name, sql in _TESTS.items():
        if (value := getattr(where, name)) is not None:
            test(sql, value)
    if where.path is not None or where.value is not None:
        test(*_finding(where))
    if where.label == NO_LABEL:
        test("row_id NOT IN (SELECT row_id FROM labels)")
    elif where.label is not None:
        test("row_id IN (SELECT row_id FROM labels WHERE label = ?)", where.label)
    for name, value in where.metadata.items():
        # The first only rules out quickly: a name may end in a quote and a comma.
        member = f"{_text(name)}:{_text(value)}"
        test("contains(metadata, ?)", member)
        test(f"{MEMBER} = ?", pointer(name), value)
    if where.text:
        if "\0" in where.text:
            raise Refusal(
                "invalid_request", "`text` has a NUL; no text of a session is found by it."
            )
        test("row_key IN (SELECT row_key FROM hits)")
    return " AND ".join(tests), values


def _finding(where: LogFilter) -> tuple[str, *tuple[str, ...]]:
    """Write that one finding has the code, the path and the value, as far as they are set."""
    wanted = {"code": where.code, "got": where.value, "path": where.path}
    named = {name: value for name, value in wanted.items() if value is not None}
    ways = [[*named]]
    if where.path is not None:
        ways.append([*list(named)[:-1], "place"])
    # Structs of findings are compared: a value cannot be bound inside a lambda.
    tests = [
        f"list_contains(list_transform(findings, lambda one: {{{_struct(way, 'one.{}')}}}), "
        f"{{{_struct(way, '?')}}})"
        for way in ways
    ]
    return f"({' OR '.join(tests)})", *(list(named.values()) * len(ways))


def _struct(names: list[str], value: str) -> str:
    return ", ".join(f"'{name}': {value.format(name)}" for name in names)


def _text(value: str) -> str:
    return msgspec.json.encode(value).decode()
