"""Sessions whose checks fail by themselves: an infra error, and never the model's fault."""

import asyncio
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config.catalog import catalog
from lakehouse.config.load import load_config
from lakehouse.config.rules import table_files
from lakehouse.core.context import call_context
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.engine.task import Catalog
from lakehouse.grounding.tables import TableFiles
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.validatord.service import ValidatorService
from support.sessions import ListedChat

CONFIG = """
[models.small]
provider = "scripted"
model = "m"
script = "script.json"
[tables.limits]
path = "limits.parquet"
[kinds.order]
schema = "order.json"
[[kinds.order.rules]]
sql = "SELECT list_sum([x.count for x in $lines]) <= (SELECT max(most) FROM limits)"
message = "the order is too large"
[[kinds.order.rules]]
sql = "SELECT $day::DATE >= DATE '2026-01-01' OR $day IS NULL"
message = "the day must be of this year"
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "day": {"type": "string"},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"count": {"type": "integer"}}},
        },
    },
}
GOOD = '{"lines":[{"count":2},{"count":3}]}'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "lakehouse.toml").write_text(CONFIG)
    (tmp_path / "order.json").write_text(json.dumps(SCHEMA))
    pq.write_table(pa.table({"most": [10]}), tmp_path / "limits.parquet")
    return tmp_path


class Stack:
    """Sessions of the project's kind over its tables, with a log in memory."""

    def __init__(self, project: Path) -> None:
        config = load_config(project / "lakehouse.toml", {})
        self.known: Catalog = catalog(config)
        self.tables: TableFiles = table_files(self.known.kinds, self.known.schemas, config)
        self.log = MemoryLog()

    async def ask(self, *answers: str) -> SessionReply:
        service = ValidatorService(
            self.known, chat=ListedChat(*answers), tables=self.tables, sink=self.log
        )
        request = IterateRequest(kind="order", prompt="x", max_iterations=len(answers))
        return await service.iterate(request, call_context((), ()))


def test_a_rule_over_nested_values_judges_and_tells_what_the_values_did(project: Path) -> None:
    stack = Stack(project)
    try:
        assert asyncio.run(stack.ask(GOOD)).verdict == "accepted"
        large = asyncio.run(stack.ask('{"lines":[{"count":9},{"count":2}]}'))
        assert [one.message for one in large.findings] == ["the order is too large"]
        odd = asyncio.run(stack.ask('{"lines":[{"count":1}],"day":"soon"}'))
        [finding] = odd.findings
        assert (finding.code, finding.path) == ("rule", "/day")
        assert finding.message.startswith("the day must be of this year")
        assert "'soon'" in finding.message or '"soon"' in finding.message
    finally:
        stack.tables.close()


@pytest.mark.parametrize("column", [["ten", "a lot"], [[1], [2]]])
def test_a_table_that_breaks_a_rule_ends_the_session_as_rule_broken(
    project: Path, column: list[object]
) -> None:
    """Not retryable, no attempt spent, the text in reply and row; and it heals with the table."""
    stack = Stack(project)

    async def run() -> tuple[SessionReply, SessionReply, SessionReply]:
        before = await stack.ask(GOOD)
        pq.write_table(pa.table({"most": column}), project / "limits.parquet")
        broken = await stack.ask(GOOD)
        pq.write_table(pa.table({"most": [10, 11]}), project / "limits.parquet")
        return before, broken, await stack.ask(GOOD)

    try:
        before, broken, after = asyncio.run(run())
    finally:
        stack.tables.close()
    assert (before.verdict, after.verdict) == ("accepted", "accepted")
    assert (broken.verdict, broken.iterations) == ("infra_error", 0)
    assert broken.error is not None
    assert (broken.error.code, broken.error.retryable) == ("rule_broken", False)
    assert "list_sum" in broken.error.message
    row = stack.log.rows[1]
    assert row.error is not None
    assert row.error.code == "rule_broken"
    assert "list_sum" in row.error.message
