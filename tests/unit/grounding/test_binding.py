"""Members of an answer as typed SQL values, and rules that fail whatever the answer holds."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.errors import InfraError, SetupError, TableUnavailable
from lakehouse.core.json_text import JsonValue, parse
from lakehouse.core.kind import SqlRule
from lakehouse.core.ports import RuleOutcome
from lakehouse.core.shape import RuleInputs
from lakehouse.grounding.binding import quoted
from lakehouse.grounding.preparing import prepare_rules
from lakehouse.grounding.sql import RuleDatabase, RuleRunner
from lakehouse.validation.samples import samples_of
from lakehouse.validation.schema import compile_schema
from lakehouse.validation.shapes import member_shapes

TEXT, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer"}
LINE = {
    "type": "object",
    "properties": {
        "sku": TEXT,
        "amount": NUMBER,
        "price": {"type": "number", "multipleOf": 0.01},
        "count": {"type": ["integer", "null"]},
        "tags": {"type": "array", "items": TEXT},
        "any": {},
    },
}
ORDER = {
    "type": "object",
    "properties": {
        "total": NUMBER,
        "name": TEXT,
        "lines": {"type": "array", "items": LINE},
        "ship": {"type": "object", "properties": {"city": TEXT, "days": INTEGER}},
        "prices": {"type": "object", "additionalProperties": NUMBER},
        "matrix": {"type": "array", "items": {"type": "array", "items": INTEGER}},
        "pet": {
            "anyOf": [
                {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": INTEGER}},
                {"type": "object", "properties": {"kind": {"const": "dog"}, "name": TEXT}},
            ]
        },
        "free": {"type": "array"},
        "either": {"type": ["string", "integer"]},
        "tree": {"$ref": "#/$defs/tree"},
    },
    "$defs": {
        "tree": {"type": "object", "properties": {"v": INTEGER, "next": {"$ref": "#/$defs/tree"}}}
    },
}


def inputs_of(schema: Any) -> RuleInputs:
    compiled = compile_schema(json.dumps(schema).encode())
    return RuleInputs(member_shapes(compiled), samples_of(compiled))


def run(
    sql: str,
    members: Mapping[str, JsonValue],
    schema: Any = ORDER,
    tables: Mapping[str, pa.Table] | None = None,
) -> RuleOutcome:
    """One rule of a schema through preparation, trial, database and runner."""
    tables = tables or {}
    rule = prepare_rules([SqlRule(sql, "m")], tables.keys(), inputs_of(schema))[sql]
    database = RuleDatabase({name: tables[name] for name in rule.tables})
    database.check([rule])
    runner = RuleRunner()
    try:
        return asyncio.run(runner.run([(rule, database)], members))[0]
    finally:
        runner.close()


SUM = "SELECT list_sum([x.amount for x in $lines]) = $total"


@pytest.mark.parametrize(
    ("sql", "answer", "holds"),
    [
        (SUM, '{"total":25,"lines":[{"amount":19.99},{"amount":5.01}]}', True),
        (SUM, '{"total":26,"lines":[{"amount":19.99},{"amount":5.01}]}', False),
        (SUM, '{"total":1,"lines":[{"sku":"a"},{"amount":1}]}', True),
        (SUM, '{"total":1,"lines":[{"amount":null},{"amount":1}]}', True),
        (SUM, '{"total":0,"lines":[]}', False),
        (SUM, '{"total":0}', False),
        (SUM, '{"total":0,"lines":null}', False),
        (
            "SELECT coalesce(list_sum([x.amount for x in $lines]), 0) = $total",
            '{"total":0,"lines":[]}',
            True,
        ),
        ("SELECT len($lines) = 0", '{"lines":[]}', True),
        ("SELECT $lines IS NULL", "{}", True),
        ("SELECT $lines[1].sku = 'a'", '{"lines":[{"sku":"a"}]}', True),
        ("SELECT $lines[9].sku IS NULL", '{"lines":[{"sku":"a"}]}', True),
        (
            "SELECT list_sum([x.price for x in $lines]) = 0.3",
            '{"lines":[{"price":0.1},{"price":0.2}]}',
            True,
        ),
        ("SELECT $lines[1].price = 1.1", '{"lines":[{"price":1.10}]}', True),
        (
            "SELECT list_sum([x.count for x in $lines]) = 18446744073709551616",
            '{"lines":[{"count":9223372036854775808},{"count":9223372036854775808}]}',
            True,
        ),
        ("SELECT $lines[1].count = 3", '{"lines":[{"count":3.0}]}', True),
        ("SELECT range($lines[1].count)[3] = 2", '{"lines":[{"count":5}]}', True),
        (
            "SELECT (SELECT sum(l.amount) FROM (SELECT unnest($lines) AS l)) = 3",
            '{"lines":[{"amount":1},{"amount":2}]}',
            True,
        ),
        ("SELECT list_contains($lines[1].tags, 'new')", '{"lines":[{"tags":["old","new"]}]}', True),
        ("SELECT $lines[1].any->>'deep' = '1'", '{"lines":[{"any":{"deep":1}}]}', True),
        (
            "SELECT $ship.city = 'Oslo' AND $ship.days < 5",
            '{"ship":{"city":"Oslo","days":3,"extra":[]}}',
            True,
        ),
        ("SELECT $ship.city IS NULL", '{"ship":{}}', True),
        ("SELECT $prices['usd'] > 1", '{"prices":{"usd":1.5}}', True),
        ("SELECT cardinality($prices) = 0", '{"prices":{}}', True),
        ("SELECT $matrix[2][1] = 3", '{"matrix":[[1,2],[3]]}', True),
        ("SELECT $pet.kind = 'cat' AND $pet.lives = 9", '{"pet":{"kind":"cat","lives":9}}', True),
        (
            "SELECT $pet.lives IS NULL AND $pet.name = 'Rex'",
            '{"pet":{"kind":"dog","name":"Rex"}}',
            True,
        ),
        (
            "SELECT len($free) = 3 AND $free[1]::INT = 1 AND $free[2]->>'$' = 'x'",
            '{"free":[1,"x",{"a":null}]}',
            True,
        ),
        ("SELECT $either = 5", '{"either":5}', True),
        ("SELECT $either = 'x'", '{"either":"x"}', True),
        ("SELECT $tree.next.v = 2", '{"tree":{"v":1,"next":{"v":2}}}', True),
        (
            "SELECT ($tree.next.next->>'v')::INT = 3",
            '{"tree":{"v":1,"next":{"v":2,"next":{"v":3}}}}',
            True,
        ),
        (
            "/* ü $no */ SELECT '$lines' = '$lines' AND len($lines) + len($lines) = 2 -- $no",
            '{"lines":[{}]}',
            True,
        ),
        ("SELECT $pet.name IS NULL", '{"pet":{"kind":"cat","name":["not","text"]}}', True),
        ("SELECT $pet.lives IS NULL", '{"pet":{"kind":"dog","lives":9.5}}', True),
    ],
)
def test_nested_values_have_the_types_of_the_schema(sql: str, answer: str, *, holds: bool) -> None:
    members = parse(answer)
    assert isinstance(members, dict)
    outcome = run(sql, members)
    assert (outcome.holds, outcome.error) == (holds, None)


@pytest.mark.parametrize(
    ("sql", "answer", "word"),
    [
        ("SELECT $lines[1].sku::DATE < DATE '2030-01-01'", '{"lines":[{"sku":"soon"}]}', "soon"),
        ("SELECT $lines[1].count > 0", f'{{"lines":[{{"count":{2**130}}}]}}', "128 bits"),
        ("SELECT $lines[1].amount > 0", '{"lines":[{"amount":1e400}]}', "$lines[1].amount"),
        ("SELECT $lines[1].price > 0", '{"lines":[{"price":1e40}]}', "decimal"),
        ("SELECT $ship.days // 0 = 1 OR $ship.days IS NULL", '{"ship":{"days":1}}', "Division"),
        ("SELECT $ship.days * 9223372036854775807 > 1", '{"ship":{"days":3}}', "Overflow"),
    ],
)
def test_an_error_of_the_values_is_an_outcome_with_its_text(
    sql: str, answer: str, word: str
) -> None:
    members = parse(answer)
    assert isinstance(members, dict)
    outcome = run(sql, members)
    assert not outcome.holds
    assert word in str(outcome.error)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT $lines + 1 > 0", "+"),
        ("SELECT list_sum([x.amont for x in $lines]) = 1", "amont"),
        ("SELECT list_sum([x.sku for x in $lines]) = 1", "list_sum"),
        ("SELECT $ship.citty = 'Oslo'", "citty"),
        ("SELECT len($ship) = 2", "len"),
        ("SELECT $name + 1 > 0", "+"),
        ("SELECT error('always')::BOOLEAN", "always"),
        ("SELECT 'abc'::INT = $total", "abc"),
        ("SELECT $total > (SELECT 'x'::DATE)", "x"),
        ("SELECT count(*) FROM (SELECT unnest($lines))", "BIGINT"),
        ("SELECT 1", "INTEGER"),
        ("SELECT 'true'", "VARCHAR"),
        ("SELECT NULL", "NULL"),
        ("SELECT $name", "VARCHAR"),
        ("SELECT $total > 0, $name <> ''", "2 columns (BOOLEAN, BOOLEAN)"),
        ("SELECT len($either)", "BIGINT"),
    ],
)
def test_a_rule_that_fails_for_every_answer_is_found_at_the_start(sql: str, word: str) -> None:
    with pytest.raises(SetupError, match="fails for every answer") as caught:
        prepare_rules([SqlRule(sql, "m")], [], inputs_of(ORDER))
    assert sql in caught.value.public or repr(sql) in caught.value.public
    assert word in caught.value.public


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT $name::INT > 0",
        "SELECT $name::DATE < DATE '2030-01-01'",
        "SELECT $name::UUID IS NOT NULL",
        "SELECT json_valid($name)",
        "SELECT 1 // $total::INT = 1",
        "SELECT json_array_length($either) = 2",
        "SELECT error($name)::BOOLEAN",
        "SELECT $either",
        "SELECT true FROM (SELECT unnest($lines)) WHERE $total > 0",
    ],
)
def test_a_rule_that_some_answer_may_pass_is_let_through(sql: str) -> None:
    prepare_rules([SqlRule(sql, "m")], [], inputs_of(ORDER))


def test_a_rule_that_never_ends_is_found_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.grounding.trial.TRIAL_TIMEOUT_MS", 200)
    sql = (
        "SELECT count(*) > 1 FROM range(10000000) a, range(10000000) b "
        "WHERE a.range + b.range = $total"
    )
    with pytest.raises(SetupError, match="longer than 200 ms"):
        prepare_rules([SqlRule(sql, "m")], [], inputs_of(ORDER))


LIMITS = pa.table({"name": ["a", "b"], "most": [10, 20]})
OVER = "SELECT list_max([x.count for x in $lines]) <= (SELECT max(most) FROM limits)"


def test_a_rule_reads_tables_and_nested_values_together() -> None:
    tables = {"limits": LIMITS}
    assert run(OVER, {"lines": [{"count": 20}]}, tables=tables).holds
    assert not run(OVER, {"lines": [{"count": 21}]}, tables=tables).holds


def test_a_cell_that_no_answer_can_help_breaks_the_rule_too() -> None:
    """The optimizer leaves the cell out where the member is null: that run proves nothing."""
    sql = "SELECT $total > (SELECT max(most)::INT FROM limits)"
    with pytest.raises(InfraError, match="twenty"):
        run(sql, {"total": 1}, tables={"limits": pa.table({"most": ["10", "twenty"]})})
    assert run(sql, {"total": 21}, tables={"limits": pa.table({"most": ["10", "20"]})}).holds


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (pa.table({"most": ["ten", "x"]}), "rule_broken"),
        (pa.table({"most": [[1], [2]]}), "rule_broken"),
        (pa.table({"least": [1]}), "table_unavailable"),
    ],
)
def test_a_table_that_makes_the_rule_fail_is_no_fault_of_the_answer(
    table: pa.Table, kind: str
) -> None:
    """A column of another type breaks the rule; one that is gone is the table's trouble."""
    with pytest.raises(InfraError) as caught:
        run(OVER, {"lines": [{"count": 20}]}, tables={"limits": table})
    assert caught.value.code == kind
    assert isinstance(caught.value, TableUnavailable) == (kind == "table_unavailable")
    if kind == "rule_broken":
        assert OVER in caught.value.public
        assert not caught.value.retryable


@settings(max_examples=50)
@given(
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
    | st.sampled_from(['a"b', "a b", "select", "x) AS JSON", '"; DROP TABLE t; --', "$x", "a\0"]),
    value=st.text(st.characters(codec="utf-8"), max_size=12),
)
def test_hostile_names_and_values_stay_names_and_values(name: str, value: str) -> None:
    """Names of the schema stand in the SQL, quoted; values never do."""
    members = {"o": {"type": "object", "properties": {name: TEXT}}, "v": TEXT}
    try:
        sql = f"SELECT ($o).{quoted(name)} = $v"
    except ValueError:
        sql = "SELECT $o IS NOT NULL AND $v IS NOT NULL"
    outcome = run(
        sql,
        {"o": {name: value}, "v": value},
        {"type": "object", "properties": members},
    )
    assert outcome == RuleOutcome(True, ("o", "v"))
