"""A request that carries a call of ours goes on with its conversation, at a bounded cost."""

import asyncio
import uuid
from pathlib import Path

import pytest

from lakehouse.core.ids import new_id
from lakehouse.openai_api import conversation_links
from lakehouse.openai_api.conversation_links import ConversationLinks
from lakehouse.sessionlog.reading.outcome import RunOutcome, outcome_of
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows that were looked for in the log, each time."""
    found: list[str] = []

    def looked_up(root: Path, row_id: str) -> RunOutcome:
        found.append(row_id)
        return outcome_of(root, row_id)

    monkeypatch.setattr(conversation_links, "outcome_of", looked_up)
    return found


def test_a_row_of_another_process_is_searched_once(tmp_path: Path, searched: list[str]):
    row = make_row(conversation_id="talk")
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    asyncio.run(writer.append(row))
    writer.close()
    links = ConversationLinks(tmp_path)

    for _ in range(2):
        assert asyncio.run(links.conversation([row.row_id, "ab" * 16])) == "talk"
    assert searched == [row.row_id]


def test_ids_that_a_caller_made_up_cost_a_few_searches(tmp_path: Path, searched: list[str]):
    """Those of another form, as other servers give, cost none."""
    (tmp_path / "active").mkdir()
    made_up = [new_id() for _ in range(1_000)]
    others = [uuid.uuid4().hex for _ in range(1_000)]

    assert asyncio.run(ConversationLinks(tmp_path).conversation([*others, *made_up])) is None
    assert searched == made_up[:-4:-1]
