"""The benchmark of grounded decoding: its notices are sound, its counts right, and it goes on."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from lakehouse.config.load import config_of_values
from lakehouse.core.ports import ValidateRequest
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.stack import Stack

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from quality.bench_candidates import Results, Stopped, check_answers, measure
from quality.cases import ARMS, BASELINE, Case, CaseSet, load_notices, notices, sentences
from quality.scores import Judged, Outcome, judged, report, tables

NOTICES = load_notices()
EVENTS = ("cancelled", "closed", "delayed", "diverted")


def scripted(directory: Path, *steps: object, **matches: list[object]) -> dict[str, Any]:
    (directory / "script.json").write_text(json.dumps({"steps": steps, "matches": matches}))
    return {"provider": "scripted", "model": "tiny", "script": "script.json"}


def test_the_notices_are_as_many_as_the_benchmark_says() -> None:
    """25 of the demo, five more, and 24 of which a third has no right answer; none twice."""
    sets = [notice.set for notice in NOTICES]
    assert [sets.count(name) for name in ("demo", "replaced", "new")] == [25, 5, 24]
    assert sum(n.answer is None for n in NOTICES if n.set == "new") == 8
    assert all(n.answer is not None for n in NOTICES if n.set == "replaced")
    assert len({n.id for n in NOTICES}) == len({n.text for n in NOTICES}) == len(NOTICES)
    assert all(n.passes is None or n.answer is None for n in NOTICES)


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.id)
def test_an_answer_stands_in_its_notice(notice: Any) -> None:
    for answer in (notice.answer, notice.passes):
        if answer is not None:
            assert list(answer) == ["quote", "airport", "city", "event"]
            assert all(answer[member] in notice.text for member in ("quote", "airport", "city"))


def test_the_kinds_own_checks_accept_every_answer_and_known_hole_and_nothing_else(
    tmp_path: Path,
) -> None:
    """With the real table. `Nothing else`: every airport in the text, every quote, every event."""
    table = pq.read_table(
        Path(sys.modules["lakehouse"].__path__[0]) / "demo" / "airports.parquet",
        columns=["iata", "city"],
    ).to_pylist()
    cases = notices(tmp_path)
    sections = cases.sections([], scripted(tmp_path))
    attempts = 0

    async def judge() -> None:
        nonlocal attempts
        stack = Stack(
            config_of_values(sections, base=tmp_path), os.environ, "replay", sink=MemoryLog()
        )

        async def accepted(text: str, answer: dict[str, Any]) -> bool:
            request = ValidateRequest(kind=BASELINE, output=json.dumps(answer), source=text)
            return (await stack.validator.validate(request)).verdict == "accepted"

        await stack.start()
        try:
            await check_answers(stack, cases)
            for notice in NOTICES:
                if notice.answer is not None:
                    continue
                if notice.passes is not None:
                    assert await accepted(notice.text, notice.passes), notice.id
                    continue
                for answer in possible(notice.text, table):
                    attempts += 1
                    assert not await accepted(notice.text, answer), answer
        finally:
            await stack.close()

    asyncio.run(judge())
    assert attempts > 0


def possible(text: str, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All answers for a text that the table and the schema of the quote leave."""
    quotes = [
        text[start : end + 1]
        for start, first in enumerate(text)
        for end, last in enumerate(text)
        if first.isupper() and last == "." and 12 <= end + 1 - start <= 120
    ]
    return [
        {"quote": quote, "airport": row["iata"], "city": row["city"], "event": event}
        for row in table
        if row["iata"] and row["city"] and row["iata"] in text and row["city"] in text
        for quote in quotes
        for event in EVENTS
    ]


def test_an_answer_that_the_checks_reject_stops_the_benchmark(tmp_path: Path) -> None:
    cases = notices(tmp_path)
    wrong = msgspec.structs.replace(
        cases.cases[0], answer={**(cases.cases[0].answer or {}), "airport": "ZRH"}
    )
    cases = msgspec.structs.replace(cases, cases=(wrong,))
    results = Results(tmp_path / "out.jsonl", "tiny")
    with pytest.raises(Stopped, match=r"The known answer of lhr-deicing is rejected: .*ZRH"):
        asyncio.run(measure(cases, ["schema"], scripted(tmp_path, "{}"), tmp_path, results))
    assert results.known == {}


def few(directory: Path) -> tuple[CaseSet, dict[str, Any]]:
    """Four notices, and a model that answers: right, a wrong event, an answer to none, nothing."""
    ids = {"lhr-deicing", "den-snow", "wrong-city", "cph-strike"}
    cases = notices(directory)
    cases = msgspec.structs.replace(cases, cases=tuple(c for c in cases.cases if c.id in ids))
    by_id = {case.id: case for case in cases.cases}
    lhr, den = by_id["lhr-deicing"].answer, by_id["den-snow"].answer
    muc = {
        "quote": by_id["wrong-city"].text,
        "airport": "MUC",
        "city": "Vienna",
        "event": "cancelled",
    }
    assert lhr is not None
    assert den is not None
    model = scripted(
        directory,
        LHR=[json.dumps(lhr)],
        DEN=[json.dumps({**den, "event": "delayed"})],
        MUC=[json.dumps(muc)],
        CPH=["no"],
    )
    return cases, model


def test_outcomes_are_counted_by_arm(tmp_path: Path) -> None:
    """Without grounding the airport that is not Vienna's is accepted; with it, it is not."""
    cases, model = few(tmp_path)
    arms = ["schema", "grounding", "decode"]
    results = Results(tmp_path / "out.jsonl", "tiny")
    found = report(cases, asyncio.run(measure(cases, arms, model, tmp_path, results)))

    counts = {
        arm: [
            row[name]["count"]
            for name in ("accepted", "grounded_right", "all_right", "wrongly_accepted")
        ]
        for arm, row in found["arms"].items()
    }
    assert counts == {"schema": [3, 2, 1, 1], "grounding": [2, 2, 1, 0], "decode": [2, 2, 1, 0]}
    assert found["arms"]["schema"]["calls_per_accepted"] == pytest.approx(4 / 3, abs=0.001)
    assert found["arms"]["grounding"]["calls_per_accepted"] == (1 + 1 + 3 + 3) / 2
    assert found["accepted_without_an_answer"] == {
        "schema": ["wrong-city"],
        "grounding": [],
        "decode": [],
    }
    assert found["accepted_because_of_narrowing"] == {"decode": []}
    assert found["against_grounding"]["schema"]["accepted"][0] == 0.25
    assert results.known["decode", "den-snow"].wrong == {"event": "delayed"}
    assert results.known["decode", "den-snow"].offered == {
        "/airport": "decode 1",
        "/city": "decode 1",
    }
    assert found["arms"]["decode"]["texts_offered"]["decode"] >= 3
    assert found["arms"]["grounding"]["texts_offered"] == {"hint": 0, "decode": 0}
    assert any("`schema` accepted 1 of them: wrong-city." in line for line in tables(cases, found))


def test_only_the_last_arm_offers_sentences(tmp_path: Path) -> None:
    """The demo's kind says so at its rule, which would win over what the other arms say."""
    cases, model = few(tmp_path)
    arms = ["grounding", "hint", "decode", "sentences"]
    results = Results(tmp_path / "out.jsonl", "tiny")
    asyncio.run(measure(cases, arms, model, tmp_path, results))
    offered = {arm: set(results.known[arm, "den-snow"].offered) for arm in arms}
    assert offered == {
        "grounding": set(),
        "hint": {"/airport", "/city"},
        "decode": {"/airport", "/city"},
        "sentences": {"/airport", "/city", "/quote"},
    }


def test_what_only_narrowing_lets_through_is_listed(tmp_path: Path) -> None:
    cases, _ = few(tmp_path)
    case = next(case for case in cases.cases if case.answer is None)

    def ended(arm: str, *, accepted: bool) -> Judged:
        outcome = Outcome(
            arm=arm, id=case.id, kind="", accepted=accepted, calls=1, tokens=1, duration_ms=1
        )
        return judged(case, outcome, cases.grounded)

    found = report(
        cases,
        {
            "grounding": [ended("grounding", accepted=False)],
            "decode": [ended("decode", accepted=True)],
        },
    )
    assert found["accepted_because_of_narrowing"] == {"decode": ["wrong-city"]}
    assert found["arms"]["decode"]["wrongly_accepted"]["count"] == 1


def test_a_stopped_run_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    cases, model = few(tmp_path)
    path = tmp_path / "out.jsonl"
    first = msgspec.structs.replace(cases, cases=cases.cases[:2])
    asyncio.run(measure(first, ["schema"], model, tmp_path, Results(path, "tiny")))
    assert len(path.read_text().splitlines()) == 1 + 2

    rows = asyncio.run(measure(cases, ["schema"], model, tmp_path, Results(path, "tiny")))
    assert len(path.read_text().splitlines()) == 1 + 4
    broken = scripted(tmp_path, {"error": "upstream_malformed"})
    again = asyncio.run(measure(cases, ["schema"], broken, tmp_path, Results(path, "tiny")))
    assert again == rows
    with pytest.raises(Stopped, match="grounding, "):  # and this one is asked, and fails
        asyncio.run(measure(cases, ["grounding"], broken, tmp_path, Results(path, "tiny")))
    with pytest.raises(SystemExit, match="Give another --output"):
        Results(path, "another")


def test_sentences_are_chosen_by_the_seed_and_those_for_tuning_are_others(tmp_path: Path) -> None:
    """An answer that its sentence does not hold is told apart; a text with two answers is out."""
    entry = {"name": "The Anchor", "near": "Old Mill", "eatType": "pub", "area": "harbour"}
    lines = [{"text": f"The Anchor, {n} km from old mill.", "gold": entry} for n in range(300)]
    lines += [{"text": f"The Anchor, number {n}.", "gold": entry} for n in range(20)]
    lines += [{"text": "Two.", "gold": entry}, {"text": "Two.", "gold": {"name": "The Crane"}}]
    (tmp_path / "e2e_dev.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "e2e_places.csv").write_text("name,near\nThe Anchor,Old Mill\n")
    into = tmp_path / "into"
    into.mkdir()

    def chosen(*, tuning: bool) -> tuple[Case, ...]:
        return sentences(tmp_path, into, texts=500, tuning=tuning).cases

    measured, tuned = chosen(tuning=False), chosen(tuning=True)
    assert (len(measured), len(tuned)) == (120, 200)
    assert chosen(tuning=False) == measured
    assert {case.text for case in measured} & {case.text for case in tuned} == set()
    every = (*measured, *tuned)
    assert sum(case.unsaid for case in every) == 20
    assert "Two." not in {case.text for case in every}
    assert measured[0].answer == {
        **dict.fromkeys(("food", "priceRange", "rating", "familyFriendly")),
        "name": "The Anchor",
        "near": "Old Mill",
        "area": "harbour",
    }
    cases = sentences(tmp_path, into, texts=5, tuning=False)
    assert cases.arms(list(ARMS)) == [arm for arm in ARMS if arm != "sentences"]
