"""SQL rules: bound values, three-valued truth, and nothing outside reached."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.errors import InfraError, SetupError, TableUnavailable
from lakehouse.core.json_text import JsonScalar
from lakehouse.core.kind import SqlRule
from lakehouse.core.ports import RuleOutcome
from lakehouse.grounding.preparing import prepare_rules
from lakehouse.grounding.sql import RuleDatabase, RuleRunner
from support.waiting import WAIT_S

AIRPORTS = pa.table({"iata": ["ZRH", "BSL", None], "runways": [3, 2, 1]})


def run(
    sql: str, members: Mapping[str, JsonScalar], tables: Mapping[str, pa.Table] | None = None
) -> RuleOutcome:
    """One rule through preparation, its database and the runner."""
    tables = tables or {}
    rule = prepare_rules([SqlRule(sql, "m")], tables.keys())[sql]
    database = RuleDatabase({name: tables[name] for name in rule.tables})
    database.check([rule])
    runner = RuleRunner()
    try:
        return asyncio.run(runner.run([(rule, database)], members))[0]
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("sql", "members", "holds"),
    [
        ("SELECT $n BETWEEN 0 AND 1440", {"n": 5}, True),
        ("SELECT $n BETWEEN 0 AND 1440", {"n": 1441}, False),
        ("SELECT $n BETWEEN 0 AND 1440", {}, False),
        ("SELECT $n BETWEEN 0 AND 1440", {"n": None}, False),
        ("SELECT $n IS NULL", {}, True),
        ("SELECT true WHERE false", {}, False),
        ("SELECT true UNION ALL SELECT true", {}, False),
        ("VALUES (true)", {}, True),
        ("SELECT true;", {}, True),
        ("SELECT $ok", {"ok": True}, True),
        ("SELECT $n = 18446744073709551617", {"n": 2**64 + 1}, True),
        ("SELECT $n = 18446744073709551616", {"n": 2**64 + 1}, False),
        ("SELECT $n = -170141183460469231731687303715884105727", {"n": 1 - 2**127}, True),
        ("SELECT length($n) = 41", {"n": 10**40}, True),
        ("SELECT $n = '1E+400'", {"n": Decimal("1e400")}, True),
        ("SELECT json_array_length($a) = 2", {"a": "[1,2]"}, True),
        ("SELECT $Delay = 1", {"Delay": 1, "delay": 2}, True),
    ],
)  # fmt: skip
def test_only_true_holds(sql: str, members: dict[str, JsonScalar], *, holds: bool) -> None:
    outcome = run(sql, members)
    assert (outcome.holds, outcome.error) == (holds, None)


@pytest.mark.parametrize(
    ("sql", "members"),
    [
        ("SELECT $n BETWEEN 0 AND 1440", {"n": "soon"}),
        ("SELECT $n < 5", {"n": 10**40}),
        ("SELECT $n::DATE < DATE '2030-01-01'", {"n": "not a date"}),
        ("SELECT $a + $b < 5", {"a": 2**127 - 1, "b": 2**127 - 1}),
        ("SELECT error($a)::BOOLEAN", {"a": "boom"}),
    ],
)
def test_an_error_of_the_values_is_an_outcome(sql: str, members: dict[str, JsonScalar]) -> None:
    outcome = run(sql, members)
    assert not outcome.holds
    assert outcome.error


def test_members_are_those_the_rule_binds_sorted() -> None:
    assert run("SELECT $b < $a OR $b = 1", {"a": 2, "b": 1, "c": 3}).members == ("a", "b")
    assert run("SELECT '$x' = '$x' -- $y", {}).members == ()


def test_rules_read_their_tables() -> None:
    sql = "SELECT $code IN (SELECT iata FROM Airports WHERE iata IS NOT NULL)"
    tables = {"airports": AIRPORTS}
    assert run(sql, {"code": "ZRH"}, tables).holds
    assert not run(sql, {"code": "ZRX"}, tables).holds
    cte = "WITH big AS (SELECT * FROM airports WHERE runways > $n) SELECT count(*) = 1 FROM big"
    assert run(cte, {"n": 2}, tables).holds


@settings(max_examples=60)
@given(
    st.text(max_size=30) | st.sampled_from(["'; DROP TABLE airports; --", '"; DROP', "\0", "a\0b"])
)
def test_hostile_values_stay_values(value: str) -> None:
    table = pa.table({"v": [value, "other"]})
    sql = "SELECT (SELECT count(*) FROM t WHERE v = $v) >= 1 AND (SELECT count(*) FROM t) = 2"
    assert run(sql, {"v": value}, {"t": table}).holds


@settings(max_examples=60)
@given(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20)
    | st.sampled_from(['"', '"; DROP TABLE x; --', "a b", "select", "temp.incoming", "incoming"])
)
def test_hostile_table_and_column_names_are_only_names(name: str) -> None:
    database = RuleDatabase({name: pa.table({name: [1, 2]})})
    quoted = '"' + name.replace('"', '""') + '"'
    assert database.take().execute(f"SELECT sum({quoted}) FROM main.{quoted}").fetchone() == (3,)


def test_a_name_with_nul_makes_the_table_unavailable() -> None:
    with pytest.raises(TableUnavailable):
        RuleDatabase({"a\0b": pa.table({"x": [1]})})


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELEC 1", "not SQL"),
        ("", "one SELECT"),
        ("SELECT true; SELECT true", "one SELECT"),
        ("DROP TABLE airports", "one SELECT"),
        ("INSERT INTO airports VALUES ('x', 1) RETURNING true", "one SELECT"),
        ("COPY airports TO 'x.csv'", "one SELECT"),
        ("SET threads = 8", "one SELECT"),
        ("EXPLAIN SELECT true", "one SELECT"),
        ("SELECT count(*) > 0 FROM airprots", "'airprots'"),
        ("SELECT nonsense($a)", "nonsense"),
        ("SELECT column_of_nothing", "column_of_nothing"),
        ("SELECT $a = 1 AND $A = 2", "case"),
        ("SELECT count(*) > 0 FROM read_text('pyproject.toml')", "only read"),
        ("WITH x AS (COPY (SELECT 1) TO 'x.csv') SELECT count(*) > 0 FROM x", "COPY does not"),
        ("WITH x AS (DELETE FROM airports RETURNING 1) SELECT true FROM x", "DELETE does not"),
        ("SELECT count(*) > 0 FROM query('SELECT 1')", "may not call query"),
    ],
)
def test_a_rule_that_can_never_work_is_told_at_start(sql: str, word: str) -> None:
    with pytest.raises(SetupError, match=word):
        prepare_rules([SqlRule(sql, "m")], ["airports"])


def test_a_missing_column_is_the_tables_trouble() -> None:
    with pytest.raises(TableUnavailable) as caught:
        run("SELECT $a IN (SELECT gone FROM airports)", {"a": 1}, {"airports": AIRPORTS})
    assert caught.value.table == "airports"
    assert "gone" in caught.value.internal
    assert "gone" not in caught.value.public


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) > 0 FROM read_csv($path)",
        "SELECT count(*) > 0 FROM read_text($path)",
        "SELECT count(*) > 0 FROM glob($path)",
        "SELECT getenv($path) IS NOT NULL",
    ],
)
def test_a_rule_reaches_no_file_and_no_environment(sql: str, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    try:
        outcome = run(sql, {"path": str(tmp_path / "secret.csv")})
    except SetupError:
        return
    assert not outcome.holds
    assert outcome.error


def test_python_variables_are_no_tables() -> None:
    local_rows = pa.table({"x": [1]})
    assert local_rows.num_rows == 1
    with pytest.raises(SetupError):
        prepare_rules([SqlRule("SELECT count(*) > 0 FROM local_rows", "m")], [])


def test_a_rule_that_never_ends_is_stopped_and_the_session_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sql = (
        "SELECT count(*) > 1 FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = $n"
    )
    rule = prepare_rules([SqlRule(sql, "m")], ())[sql]
    runner = RuleRunner(timeout_ms=100)
    database = RuleDatabase({})

    async def twice() -> RuleOutcome:
        with pytest.raises(InfraError) as caught:
            await runner.run([(rule, database)], {"n": 3})
        assert caught.value.code == "timeout"
        quick = prepare_rules([SqlRule("SELECT true", "m")], ())["SELECT true"]
        monkeypatch.setattr(runner, "_timeout_ms", 60_000)  # a busy machine needs more than 100
        return (await runner.run([(quick, database)], {}))[0]

    try:
        assert asyncio.run(twice()).holds
    finally:
        runner.close()


def test_a_session_that_is_cancelled_stops_its_query() -> None:
    sql = (
        "SELECT count(*) > 1 FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = $n"
    )
    rule = prepare_rules([SqlRule(sql, "m")], ())[sql]
    quick = prepare_rules([SqlRule("SELECT true", "m")], ())["SELECT true"]
    runner = RuleRunner()
    database = RuleDatabase({})

    async def cancelled() -> RuleOutcome:
        """Both threads are taken by queries that are then cancelled; a third must still run."""
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(runner.run([(rule, database)], {"n": 3}), 0.2)
        return (await asyncio.wait_for(runner.run([(quick, database)], {}), WAIT_S))[0]

    try:
        assert asyncio.run(cancelled()).holds
    finally:
        runner.close()
