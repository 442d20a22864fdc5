"""Tables that come with a request: what is wrong with them is the caller's to mend."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import INLINE_TABLES_BYTES_MAX
from lakehouse.core.ports import TableSnapshot
from lakehouse.grounding.inline import InlineTables
from support.grounding import ground, kind_of

RULE = GroundingRule(path="/a", column="t.x")


def cells(*texts: str) -> list[dict[str, msgspec.Raw]]:
    return [{"x": msgspec.Raw(text.encode())} for text in texts]


def snapshot(
    tables: Mapping[str, Sequence[Mapping[str, msgspec.Raw]]], *rules: GroundingRule
) -> TableSnapshot:
    return asyncio.run(InlineTables(tables).snapshot(kind_of(rules)))


def refused(
    tables: Mapping[str, Sequence[Mapping[str, msgspec.Raw]]], *rules: GroundingRule
) -> str:
    with pytest.raises(Refusal) as caught:
        snapshot(tables, *rules)
    assert caught.value.code == "invalid_request"
    return caught.value.public


@pytest.mark.parametrize(
    ("texts", "holds"),
    [
        (("1", "2.5", "null"), "number"),
        (('"a"', "null"), "text"),
        (("1e400", "18446744073709551617"), "number"),
    ],
)
def test_a_column_of_one_type_is_that_type(texts: tuple[str, ...], holds: str) -> None:
    assert snapshot({"t": cells(*texts)}, RULE).columns["t.x"].holds == holds


@pytest.mark.parametrize(
    "texts", [('"a"', "1"), ("true", "false"), ("true", "1"), ("[1]",), ("{}", "null")]
)
def test_a_column_of_several_or_other_types_is_refused_by_name(texts: tuple[str, ...]) -> None:
    assert "'t.x'" in refused({"t": cells(*texts)}, RULE)


def test_such_a_column_does_no_harm_while_no_rule_names_it() -> None:
    rows = [{"x": msgspec.Raw(b'"a"'), "y": msgspec.Raw(b"true")}]
    assert len(snapshot({"t": rows}, RULE).columns["t.x"].rows("a", "exact", None)) == 1


def test_a_member_absent_from_some_rows_is_null_there() -> None:
    column = snapshot({"t": [{}, *cells('"a"'), {"y": msgspec.Raw(b"1")}]}, RULE).columns["t.x"]
    assert list(column.rows("a", "exact", None)) == [1]


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', r'"\ud800"', "NaN", "1 2", ""])
def test_a_cell_that_is_not_strict_json_is_refused_with_its_place(text: str) -> None:
    assert "tables.t[1].x" in refused({"t": cells("1", text)}, RULE)


def test_missing_tables_and_columns_are_named_with_those_there_are() -> None:
    message = refused({"u": cells("1")}, RULE)
    assert "'t'" in message
    assert "u" in message
    message = refused({"t": [{"y": msgspec.Raw(b"1")}]}, RULE)
    assert "'t.x'" in message
    assert "columns are y" in message


def test_a_table_without_rows_has_every_column_and_grounds_nothing() -> None:
    rules = [
        GroundingRule(path="/a", column="t.x"),
        GroundingRule(path="/b", column="t.y", match="within", tolerance=1.0),
        GroundingRule(path="/c", column="t.z", match="casefold"),
    ]
    result = ground(rules, b'{"a":"q","b":1,"c":"q"}', {"t": []})
    assert [finding.path for finding in result.findings] == ["/a", "/b", "/c"]
    assert all(finding.nearest is msgspec.UNSET for finding in result.findings)


def test_a_rule_with_a_fault_is_refused_with_its_path() -> None:
    message = refused({"t": cells("1")}, GroundingRule(path="/a", column="t.x", match="within"))
    assert "'/a'" in message
    assert "tolerance" in message


def test_tables_over_64_kib_are_refused() -> None:
    rows = cells(*['"' + "x" * 1000 + '"'] * 70)
    assert str(INLINE_TABLES_BYTES_MAX) in refused({"t": rows}, RULE)


def test_digests_differ_with_the_content() -> None:
    digests = [snapshot({"t": cells(text)}, RULE).digests["t"] for text in ("1", "1", "1.0")]
    assert digests[0] == digests[1] != digests[2]
