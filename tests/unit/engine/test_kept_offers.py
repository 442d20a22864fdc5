"""How offers are made beside the loop: kept, in a thread for long texts, and never fatal."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from lakehouse.core.kind import GroundingRule
from support.offers import CODE, EVENT, PAIR, TEXT, Session


def test_a_failure_of_an_offer_ends_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("broken on purpose")

    monkeypatch.setattr("lakehouse.engine.offers.rule_offer", broken)
    with caplog.at_level(logging.ERROR):
        session = Session(tmp_path, "PHL is closed.", CODE)
    assert session.free()
    assert "broken on purpose" in caplog.text


@pytest.mark.parametrize(
    ("words", "note", "beside"), [(5_000, 0, True), (5, 9_000, True), (5, 0, False)]
)
def test_a_long_text_or_a_large_schema_takes_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: int, note: int, beside: bool
) -> None:
    handed: list[object] = []
    real = asyncio.to_thread

    async def noticed(work: Any, *arguments: Any) -> Any:
        handed.append(getattr(work, "__name__", work))
        return await real(work, *arguments)

    monkeypatch.setattr("lakehouse.engine.offers.asyncio.to_thread", noticed)
    members = {**EVENT, "note": TEXT | {"description": "n" * note}}
    session = Session(tmp_path, "x " * words + "PHL is closed.", CODE, members=members)
    assert session.writable(airport="PHL")
    assert not session.writable(airport="JFK")
    assert ("_made" in handed) is beside


def test_an_offer_is_kept_for_texts_that_name_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept holds values of the table alone, and depends on all that decides an offer."""
    monkeypatch.setattr("lakehouse.engine.offers._KEPT_MAX", 4)
    kept: dict[object, Any] = {}
    first = Session(tmp_path, "PHL is closed.", CODE, kept=kept)
    again = Session(tmp_path, "Snow, so PHL has shut.", CODE, kept=kept)
    assert first.chat.requests[0].offer is again.chat.requests[0].offer is not None
    assert len(kept) == 1
    others = [
        Session(tmp_path, "PHL is closed.", CODE, kept=kept, candidates="hint"),
        Session(tmp_path, "PHL is closed.", CODE, kept=kept, limits=None),
        Session(tmp_path, "JFK is closed.", CODE, kept=kept),
        Session(tmp_path, "PHL is closed.", PAIR, kept=kept, kind={"digest": "another"}),
    ]
    assert len({id(one.chat.requests[0].offer) for one in (first, *others)}) == 5
    assert len(kept) == 4


def test_no_offer_is_kept_that_the_text_itself_decides(tmp_path: Path) -> None:
    quote = GroundingRule(path="/airport", match="quote")
    kept: dict[object, Any] = {}
    assert Session(tmp_path, "PHL is closed.", CODE, quote, kept=kept).decodes()
    assert not kept
