"""How many calls show how far they are: a bar on a terminal, a line elsewhere, others' bars."""

import os
import pty
import subprocess
from typing import Any

import pytest

import lakehouse
from support.many_calls import SCHEMA, SayingRunner, ran_program, waiting_lake

PROMPTS = ["a", "exhausted", "outage", "refused", "b"]
SCRIPT = """
import asyncio, sys
from support.many_calls import SCHEMA, SayingRunner, async_lake
async def main():
    runner = SayingRunner()
    async with async_lake(runner) as lake:
        async for outcome in lake.create_many(SCHEMA, eval(sys.argv[1]), progress=True):
            print("outcome", outcome.index)
asyncio.run(main())
"""


class Bar:
    """The part of tqdm's bar that is used."""

    def __init__(self) -> None:
        self.n = 0

    def update(self, n: int = 1) -> None:
        self.n += n


def test_a_bar_like_tqdms_is_moved_by_each_outcome():
    bar = Bar()
    with waiting_lake(SayingRunner()) as lake:
        for outcome in lake.create_many(SCHEMA, PROMPTS, progress=bar):
            assert bar.n == outcome.index + 1
    assert bar.n == 5


def test_a_function_gets_each_outcome_in_order_where_the_outcomes_are_read():
    seen: list[Any] = []
    with waiting_lake(SayingRunner()) as lake:
        found = list(lake.create_many(SCHEMA, PROMPTS, progress=seen.append))
    assert seen == found
    assert [one.index for one in seen] == [0, 1, 2, 3, 4]


def test_a_function_that_fails_ends_the_whole():
    def fail(_: object) -> None:
        raise LookupError("no bar")

    with waiting_lake(SayingRunner()) as lake, pytest.raises(LookupError, match="no bar"):
        list(lake.create_many(SCHEMA, PROMPTS, progress=fail))


@pytest.mark.parametrize("prompts", [repr(PROMPTS), f"iter({PROMPTS!r})"])
def test_without_a_terminal_one_line_says_how_it_ended(prompts):
    done = ran_program(SCRIPT, prompts, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"outcome {n}" for n in range(5)]
    (line,) = done.stderr.splitlines()
    assert line.startswith("accepted 2, rejected 1, infra_error 1, refused 1 in ")


@pytest.mark.parametrize(
    ("prompts", "shown"), [(repr(PROMPTS), "5/5"), (f"iter({PROMPTS!r})", "5/?")]
)
def test_on_a_terminal_a_bar_counts_and_is_left_complete(prompts, shown):
    ours, theirs = pty.openpty()
    try:
        terminal = {"TERM": "xterm", "COLUMNS": "160"}
        done = ran_program(
            SCRIPT, prompts, environment=terminal, stdout=subprocess.PIPE, stderr=theirs
        )
        text = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "accepted 2, rejected 1, infra_error 1, refused 1" in text
    assert shown in text.replace(" ", "")
    assert done.stdout.decode().splitlines() == [f"outcome {n}" for n in range(5)]


def test_nothing_is_shown_unless_it_is_asked_for(capfd):
    with waiting_lake(SayingRunner()) as lake:
        list(lake.create_many(SCHEMA, PROMPTS))
        list(lake.create_many(SCHEMA, PROMPTS, progress=False))
    assert capfd.readouterr() == ("", "")


def test_rich_is_loaded_only_for_who_wants_to_see_something():
    script = (
        SCRIPT.replace("progress=True", "progress=False") + "\nassert 'rich' not in sys.modules"
    )
    ran_program(script, repr(PROMPTS), capture_output=True)


def test_public_names_are_there():
    assert lakehouse.Outcome(index=0, value=1).unwrap() == 1
    assert "resume" in lakehouse.ManyOptions.__annotations__
