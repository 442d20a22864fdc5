"""The log of attacks: many, valid by our own codec, and each in every place."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.core.json_text import pointer
from lakehouse.core.row_codec import decode_feedback, decode_replay_run, decode_row
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.layout import FEEDBACK, REPLAY_RUNS
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.shared_file import whole_lines
from support.hostile_log import write_hostile_log
from support.hostile_texts import SESSION_IDS, TEXTS, twin

START = datetime(2026, 1, 2, tzinfo=UTC)
# Members that the contract bounds to ids, words, numbers and times.
BOUNDED = {
    *("schema", "session_id", "trace_id", "row_id", "timestamp", "settings.constrain", "verdict"),
    *("config_digest", "kind_digest", "messages.role", "error.code", "attempts.outcome"),
    *("attempts.findings.code", "attempts.repairs.code", "attempts.finish_reason"),
    *("attempts.span_id", "attempts.narrowed.mode", "attempts.narrowed.digest"),
}
# Members whose own members a model or a caller names.
OPEN = {"metadata", "tables", "artifact", "inline_schema", "got", "expected", "nearest"}


def test_there_are_many_attacks_and_a_harmless_text_for_each():
    twins = {twin(text) for text in TEXTS}

    assert len(TEXTS) >= 400
    assert len(twins) == len(TEXTS)
    assert all(text.replace("\n", "").replace(" ", "").isalpha() for text in twins)
    assert all(twin(text).count("\n") == text.count("\n") for text in TEXTS if len(text) > 400)


def test_each_attack_stands_in_every_place_of_valid_rows(tmp_path: Path):
    log = write_hostile_log(tmp_path, START)
    rows = [decode_row(line) for line in read_rows(tmp_path)]
    runs = [decode_replay_run(line) for line in whole_lines(tmp_path / REPLAY_RUNS)]
    feedback = [decode_feedback(line) for line in whole_lines(tmp_path / FEEDBACK)]

    assert verify(tmp_path).bad == ()
    assert sorted(row.row_id for row in rows) == sorted(row.row_id for row in log.rows)
    assert len(rows) == 3 * len(TEXTS) + len(SESSION_IDS)
    assert len(runs) == len(feedback) == len(TEXTS)
    for number, text in enumerate(TEXTS):
        judged, failed = log.rows[3 * number], log.rows[3 * number + 1]
        without = {
            place
            for place, texts in places(json.loads(msgspec.json.encode([judged, failed]))).items()
            if not any(text in one or one in {pointer(text), text[:60]} for one in texts)
        }
        # A text can stand in a time, a digest or a verdict by accident.
        assert without == BOUNDED or (without < BOUNDED and len(text) < 12), text


def test_a_log_of_twins_differs_in_its_texts_alone(tmp_path: Path):
    hostile = write_hostile_log(tmp_path / "hostile", START)
    harmless = write_hostile_log(tmp_path / "harmless", START, twin)

    for one, other in zip(hostile.rows, harmless.rows, strict=True):
        assert (one.session_id, one.timestamp) == (other.session_id, other.timestamp)
    assert "pwn" not in str(harmless.rows)
    assert len({row.kind for row in harmless.rows}) == len({row.kind for row in hostile.rows})


def places(value: Any, at: str = "") -> dict[str, list[str]]:
    """Give the texts by the place of their member; names of a caller's own members are texts."""
    found: dict[str, list[str]] = {}
    match value:
        case dict() if at.rpartition(".")[2] in OPEN:
            inner = [*((at, name) for name in value), *((at, one) for one in value.values())]
        case dict():
            inner = [(f"{at}.{name}".lstrip("."), one) for name, one in value.items()]
        case list():
            inner = [(at, one) for one in value]
        case str():
            return {at: [value]}
        case _:
            return {}
    for place, one in inner:
        for where, texts in places(one, place).items():
            found.setdefault(where, []).extend(texts)
    return found
