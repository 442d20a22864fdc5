"""Many calls that go on from a file: what is given from it, what runs again, what is refused."""

import asyncio
import contextlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

import lakehouse
from lakehouse.library.resume_file import ResumeFile
from support.many_calls import SCHEMA, SayingRunner, async_lake, ran_program, waiting_lake

FAILING = ["a", "exhausted b", "outage c", "refused d", "e"]


class Said(msgspec.Struct):
    """A type whose code judges: `FORBIDDEN` decides."""

    said: str

    def __post_init__(self) -> None:
        if self.said in FORBIDDEN:
            raise ValueError("it is forbidden")


FORBIDDEN: set[str] = set()


def ran(
    runner: SayingRunner, path: Path, prompts: list[Any], type_: Any = SCHEMA, **options: Any
) -> list[Any]:
    """Run to the end, or to the error of the whole."""
    with waiting_lake(runner) as lake:
        return list(lake.create_many(type_, prompts, resume=path, concurrency=2, **options))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_was_judged_comes_from_the_file_and_the_rest_runs_again(tmp_path):
    path = tmp_path / "of" / "many.jsonl"
    first, second = SayingRunner(), SayingRunner()
    second.failing = False

    before = ran(first, path, FAILING)
    after = ran(second, path, [*FAILING, "f"])

    assert [one.ok for one in before] == [True, False, False, False, True]
    assert second.asked == {"outage c": 1, "refused d": 1, "f": 1}
    assert [one.index for one in after] == list(range(6))
    assert [one.ok for one in after] == [True, False, True, True, True, True]
    assert after[0].value == before[0].value == {"said": "a"}
    assert isinstance(after[1].error, lakehouse.Exhausted)
    assert str(after[1].error) == str(before[1].error)
    for index in (0, 1, 4):
        old, new = before[index].session, after[index].session
        assert msgspec.json.encode(new.reply) == msgspec.json.encode(old.reply)


def test_an_async_client_goes_on_too(tmp_path):
    path = tmp_path / "many.jsonl"
    runner = SayingRunner()

    async def main() -> list[bool]:
        async with async_lake(runner) as lake:
            return [one.ok async for one in lake.create_many(SCHEMA, FAILING, resume=str(path))]

    assert asyncio.run(main()) == asyncio.run(main())
    assert runner.asked == {"a": 1, "exhausted b": 1, "outage c": 2, "refused d": 2, "e": 1}


def test_each_line_says_what_was_asked_and_how_it_ended(tmp_path):
    path = tmp_path / "many.jsonl"

    outcomes = ran(SayingRunner(), path, [*FAILING, 5])

    lines = {line["index"]: line for line in lines_of(path)}
    assert [lines[index]["verdict"] for index in range(6)] == [
        "accepted",
        "max_iter_exhausted",
        "infra_error",
        "refused",
        "accepted",
        "refused",
    ]
    assert lines[0]["artifact"] == {"said": "a"}
    assert lines[0]["row_id"] == outcomes[0].session.row_id
    assert lines[2]["error"]["code"] == "connect"
    assert lines[3]["error"]["code"] == "unknown_model"
    assert len({lines[index]["request_sha256"] for index in range(6)}) == 6
    assert lines[5]["request_sha256"] is None
    assert path.read_bytes().startswith(b'{"index":')


def test_an_outcome_is_in_the_file_before_it_is_given(tmp_path):
    path = tmp_path / "many.jsonl"
    with waiting_lake(SayingRunner()) as lake:
        for outcome in lake.create_many(SCHEMA, map(str, range(50)), resume=path):
            assert outcome.index in {line["index"] for line in lines_of(path)}


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": ["a", "changed", "outage c"]},
        {"prompts": ["a", "exhausted b", "changed"]},
        {"system": "Be brief."},
        {"max_retries": 1},
        {"metadata": {"by": "me"}},
        {"type_": {**SCHEMA, "required": []}},
        {"kind_digest": "sha256:2"},
    ],
)
def test_an_item_that_changed_is_an_error_and_nothing_is_mixed(tmp_path, change):
    path = tmp_path / "many.jsonl"
    ran(SayingRunner(), path, ["a", "exhausted b", "outage c"], kind="k")
    kept = path.read_bytes()
    runner = SayingRunner()
    runner.kind_digest = change.get("kind_digest", runner.kind_digest)
    given = {"prompts": ["a", "exhausted b", "outage c"], **change}
    given.pop("kind_digest", None)
    index = next(
        (
            number
            for number, (old, new) in enumerate(
                zip(["a", "exhausted b", "outage c"], given["prompts"], strict=True)
            )
            if old != new
        ),
        0,
    )

    with pytest.raises(
        lakehouse.SetupError, match=rf"many\.jsonl: item {index} is not the same.*Name another file"
    ):
        ran(runner, path, given.pop("prompts"), given.pop("type_", SCHEMA), kind="k", **given)

    assert path.read_bytes().startswith(kept)
    assert "changed" not in runner.asked


def test_another_version_of_lakehouse_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "many.jsonl"
    ran(SayingRunner(), path, ["a"])
    monkeypatch.setattr("lakehouse.library.request._CLIENT", "lakehouse-python/99")
    runner = SayingRunner()

    assert ran(runner, path, ["a"])[0].ok
    assert not runner.asked


def test_answers_of_the_file_are_read_through_the_type_again(tmp_path):
    path = tmp_path / "many.jsonl"
    ran(SayingRunner(), path, ["a", "b"], Said)
    FORBIDDEN.add("b")
    runner = SayingRunner()
    try:
        found = ran(runner, path, ["a", "b"], Said)
    finally:
        FORBIDDEN.clear()

    assert found[0].value == Said("a")
    assert isinstance(found[1].error, lakehouse.Exhausted)  # the runner's second answer: as before
    assert runner.asked == {"b": 1}


def test_checks_judge_again_only_where_their_code_changed(tmp_path):
    path = tmp_path / "many.jsonl"
    judged: list[str] = []

    def lenient(found: Said) -> None:
        judged.append(found.said)

    def strict(found: Said) -> None:
        judged.append(found.said)
        if found.said == "b":
            raise lakehouse.Reject("/said", "it is b")

    def run(check: Any) -> tuple[list[bool], SayingRunner]:
        runner = SayingRunner()
        with waiting_lake(runner) as lake:
            lake.check(Said)(check)
            outcomes = lake.create_many(Said, ["a", "b", "exhausted c"], resume=path, concurrency=1)
            return [one.ok for one in outcomes], runner

    assert run(lenient)[0] == [True, True, False]
    assert judged == ["a", "b"]
    again, runner = run(lenient)
    assert (again, dict(runner.asked), judged) == ([True, True, False], {}, ["a", "b"])
    changed, runner = run(strict)
    assert changed == [True, False, False]
    assert runner.asked == {"b": 1, "exhausted c": 1}
    assert judged == ["a", "b", "a", "b", "b"]  # both of the file, and the new answer


def test_a_torn_last_line_is_cut_off_and_its_item_runs_again(tmp_path):
    path = tmp_path / "many.jsonl"
    ran(SayingRunner(), path, ["a", "b", "c"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    runner = SayingRunner()

    found = ran(runner, path, ["a", "b", "c"])

    assert [one.value for one in found] == [{"said": said} for said in "abc"]
    assert sum(runner.asked.values()) == 1
    assert len(lines_of(path)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "notes of mine\n",
        "notes of mine",
        '{"index":0,"input_sha256":"00","session_id":"s","row_id":"r","artifact":{}}\n',
        '{"index":0}\n',
        '{"index":0}',
        '{"index":-1,"request_sha256":null,"code_sha256":null,"verdict":"refused"}\n',
        '{"index":9000,"request_sha256":null,"code_sha256":null,"verdict":"refused"}\n',
        "\n",
    ],
)
def test_a_file_of_somebody_else_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "many.jsonl"
    path.write_text(text)
    runner = SayingRunner()

    with pytest.raises(lakehouse.SetupError, match=r"line 1: not a result of `create_many`"):
        ran(runner, path, ["a"])

    assert path.read_text() == text
    assert not runner.asked


def test_a_directory_and_a_place_that_is_missing_are_named(tmp_path):
    with pytest.raises(lakehouse.SetupError, match="not a regular file"):
        ran(SayingRunner(), tmp_path, ["a"])
    (tmp_path / "file").write_text("")
    with pytest.raises(lakehouse.SetupError, match="cannot be written"):
        ran(SayingRunner(), tmp_path / "file" / "many.jsonl", ["a"])


def test_two_runs_do_not_share_a_file(tmp_path):
    path = tmp_path / "many.jsonl"
    with waiting_lake(SayingRunner()) as lake:
        first = lake.create_many(SCHEMA, ["a", "b"], resume=path)
        assert next(first).ok
        with pytest.raises(lakehouse.SetupError, match="another run is writing to it"):
            next(lake.create_many(SCHEMA, ["a", "b"], resume=path))
        first.close()
        assert [one.ok for one in lake.create_many(SCHEMA, ["a", "b"], resume=path)] == [True] * 2


def test_closing_early_keeps_what_has_ended(tmp_path):
    path = tmp_path / "many.jsonl"
    runner = SayingRunner()

    async def some() -> None:
        async with async_lake(runner) as lake:
            outcomes = lake.create_many(SCHEMA, map(str, range(1000)), resume=path, concurrency=2)
            async with contextlib.aclosing(outcomes):
                async for outcome in outcomes:
                    if outcome.index == 20:
                        break

    asyncio.run(some())
    asked = sum(runner.asked.values())
    assert 21 <= asked < 100
    assert len(ran(runner, path, list(map(str, range(1000))))) == 1000
    assert sum(runner.asked.values()) <= 1000 + 2  # those that ran when it was closed


FULL = """
import resource, sys
from lakehouse.library.resume_file import ResumeFile
from support.many_calls import SCHEMA, SayingRunner, waiting_lake
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
with waiting_lake(SayingRunner()) as lake:
    try:
        for outcome in lake.create_many(SCHEMA, map(str, range(1000)), resume=sys.argv[1]):
            print(outcome.index)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_file_that_takes_no_more_ends_the_whole_and_is_gone_on_with(tmp_path):
    path = tmp_path / "many.jsonl"

    done = ran_program(FULL, str(path), capture_output=True, text=True)

    *given, error = done.stdout.splitlines()
    assert 1 < len(given) < 20
    assert error.startswith(f"LakehouseError {path}: cannot be written: ")
    assert "it continues where it stopped" in error
    assert not path.read_bytes().endswith(b"\n")
    runner = SayingRunner()
    assert len(ran(runner, path, list(map(str, range(1000))))) == 1000
    assert sum(runner.asked.values()) <= 1000 - len(given)


def test_a_hundred_thousand_numbers_take_eight_bytes_each(tmp_path):
    path = tmp_path / "many.jsonl"
    line = '{"index":%d,"request_sha256":null,"code_sha256":null,"verdict":"refused"}\n'
    path.write_text("".join(line % index for index in range(100_000)))
    tracemalloc.start()
    try:
        file = ResumeFile(path)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    file.close()
    assert taken < 1_500_000
