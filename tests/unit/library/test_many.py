"""Many calls at a time: order, a bounded window, and how each item and the whole can end."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import lakehouse
from support.many_calls import SCHEMA, SayingRunner, async_lake, waiting_lake
from support.waiting import wait_until

AHEAD = 8  # items that are ahead of the outcome, for each that may run


def gathered(client: str, runner: SayingRunner, prompts: Any, **options: Any) -> list[Any]:
    """Give all outcomes, by one of the two clients; an error of the whole is the last of them."""
    found: list[Any] = []

    async def by_async() -> None:
        async with async_lake(runner) as lake:
            async for outcome in lake.create_many(SCHEMA, prompts, **options):
                found.append(outcome)  # noqa: PERF401  those before an error too

    try:
        if client == "async":
            asyncio.run(by_async())
        else:
            with waiting_lake(runner) as lake:
                found.extend(lake.create_many(SCHEMA, prompts, **options))
    except Exception as error:  # noqa: BLE001  whatever ends the whole
        found.append(error)
    return found


both = pytest.mark.parametrize("client", ["async", "waiting"])


@both
def test_outcomes_come_in_order_and_so_many_run_at_once(client):
    runner = SayingRunner()
    full = asyncio.Event()

    def held(_: str) -> asyncio.Event:
        if runner.running == 7:
            full.set()
        return full

    runner.held = held

    found = gathered(client, runner, (f"p {n}" for n in range(500)), concurrency=7)

    assert [one.index for one in found] == list(range(500))
    assert [one.unwrap() for one in found] == [{"said": f"p {n}"} for n in range(500)]
    assert all(one.ok and one.session.verdict == "accepted" for one in found)
    assert runner.peak == 7


@both
def test_an_item_that_fails_does_not_end_the_others(client):
    prompts = [
        "exhausted",
        "p",
        5,
        "outage",
        {"role": "user"},
        "refused",
        [{"role": "user"}],
        None,
        "q",
    ]

    found = gathered(client, SayingRunner(), prompts, concurrency=2)

    assert [type(one.error) for one in found] == [
        lakehouse.Exhausted,
        type(None),
        lakehouse.Refused,
        lakehouse.InfraError,
        lakehouse.Refused,
        lakehouse.Refused,
        lakehouse.Refused,
        lakehouse.Refused,
        type(None),
    ]
    assert [one.session is None for one in found] == [
        *(False, False, True, False, True, True, True, True, False)
    ]
    assert [one.ok for one in found] == [one.error is None for one in found]
    assert "The prompt is 5" in str(found[2].error)
    assert found[0].error.session_id == found[0].session.session_id
    with pytest.raises(lakehouse.InfraError, match=r"connect: No way\. Wait\."):
        found[3].unwrap()


@both
def test_what_no_item_could_pass_ends_the_whole_after_the_outcomes_before_it(client):
    runner = SayingRunner()
    never = asyncio.Event()
    runner.held = lambda prompt: never if prompt == "held" else None

    *found, error = gathered(client, runner, ["a", "b", "setup", "held"], concurrency=4)

    assert [one.index for one in found] == [0, 1]
    assert isinstance(error, lakehouse.SetupError)
    assert "The rule cannot be used." in str(error)
    assert runner.cancelled == ["held"]
    assert runner.running == 0


@both
def test_an_iterable_that_fails_ends_the_whole_after_all_outcomes(client):
    def failing() -> Iterator[str]:
        yield from ("a", "outage", "c")
        raise LookupError("the file is gone")

    *found, error = gathered(client, SayingRunner(), failing(), concurrency=2)

    assert [one.ok for one in found] == [True, False, True]
    assert isinstance(error, LookupError)
    assert str(error) == "the file is gone"


@both
def test_a_slow_item_holds_back_a_bounded_number_of_others(client):
    """All others of the window end; nothing beyond it is pulled; then everything comes."""
    runner = SayingRunner()
    gate = asyncio.Event()
    runner.held = lambda prompt: gate if prompt == "p 0" else None
    pulled = itertools.count()
    last = 0

    def prompts() -> Iterator[str]:
        nonlocal last
        for last in pulled:
            yield f"p {last}"

    window = 3 * AHEAD
    if client == "async":

        async def main() -> list[int]:
            async with async_lake(runner) as lake:
                outcomes = lake.create_many(SCHEMA, prompts(), concurrency=3)
                first = asyncio.ensure_future(anext(outcomes))
                while len(runner.ended) < window - 1:
                    await asyncio.sleep(0)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert (last, len(runner.ended), first.done()) == (window - 1, window - 1, False)
                gate.set()
                found = [(await first).index]
                async for outcome in outcomes:
                    found.append(outcome.index)
                    if outcome.index == 100:
                        break
                await outcomes.aclose()
                return found

        found = asyncio.run(main())
    else:
        found = []
        with waiting_lake(runner) as lake:
            outcomes = lake.create_many(SCHEMA, prompts(), concurrency=3)
            seen: list[tuple[int, int]] = []

            def let_go() -> None:
                wait_until(lambda: len(runner.ended) == window - 1, "the others")
                seen.append((last, len(runner.ended)))
                lake._running()[0].run(setting())

            async def setting() -> None:
                gate.set()

            thread = threading.Thread(target=let_go)
            thread.start()
            for outcome in outcomes:
                found.append(outcome.index)
                if outcome.index == 100:
                    break
            thread.join()
            outcomes.close()
        assert seen == [(window - 1, window - 1)]

    assert found == list(range(101))
    assert last <= 100 + window + 1
    assert runner.running == 0


@both
def test_closing_early_cancels_what_runs(client):
    runner = SayingRunner()
    never = asyncio.Event()
    runner.held = lambda prompt: None if prompt == "p 0" else never
    prompts = (f"p {n}" for n in itertools.count())

    async def by_async() -> None:
        async with async_lake(runner) as lake:
            outcomes = lake.create_many(SCHEMA, prompts, concurrency=5)
            async with contextlib.aclosing(outcomes):
                assert (await anext(outcomes)).unwrap() == {"said": "p 0"}
                while runner.running < 5:
                    await asyncio.sleep(0)
            assert (runner.running, len(runner.cancelled)) == (0, 5)

    if client == "async":
        asyncio.run(by_async())
    else:
        with waiting_lake(runner) as lake:
            outcomes = lake.create_many(SCHEMA, prompts, concurrency=5)
            assert next(outcomes).unwrap() == {"said": "p 0"}
            # It takes one prompt for an outcome, and more while the next one is not there.
            wait_until(lambda: runner.running, "a session")
            ran = runner.running
            outcomes.close()
            assert (runner.running, len(runner.cancelled)) == (0, ran)


def test_cancelling_the_task_that_reads_cancels_what_runs():
    runner = SayingRunner()
    never = asyncio.Event()
    runner.held = lambda _: never

    async def main() -> None:
        async with async_lake(runner) as lake:

            async def read() -> None:
                async for _ in lake.create_many(SCHEMA, map(str, itertools.count())):
                    raise AssertionError("nothing can end")

            reader = asyncio.create_task(read())
            while runner.running < 16:
                await asyncio.sleep(0)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert (runner.running, len(runner.cancelled)) == (0, 16)

    asyncio.run(main())


def test_outcomes_do_not_wait_for_a_slow_async_iterable():
    async def main() -> None:
        more = asyncio.Event()

        async def prompts() -> AsyncIterator[str]:
            yield "first"
            await more.wait()
            yield "second"

        async with async_lake(SayingRunner()) as lake:
            outcomes = lake.create_many(SCHEMA, prompts())
            assert (await anext(outcomes)).unwrap() == {"said": "first"}
            more.set()
            assert [one.index async for one in outcomes] == [1]

    asyncio.run(main())


def test_the_waiting_client_takes_prompts_in_its_callers_thread_one_ahead_of_a_slow_source():
    """What belongs to one thread (a cursor of SQLite) goes, and an outcome waits for one prompt."""
    runner = SayingRunner()
    taken: list[threading.Thread] = []

    def prompts() -> Iterator[str]:
        for number in range(10):
            wait_until(lambda: len(runner.ended) == number, "the end of all before")  # noqa: B023
            taken.append(threading.current_thread())
            yield f"p {number}"

    with waiting_lake(runner) as lake:
        for outcome in lake.create_many(SCHEMA, prompts()):
            assert len(taken) <= outcome.index + 3
    assert set(taken) == {threading.current_thread()}
    assert len(taken) == 10


def test_a_client_that_was_closed_meanwhile_is_an_error_and_nothing_hangs():
    runner = SayingRunner()
    never = asyncio.Event()
    runner.held = lambda prompt: None if prompt == "0" else never
    lake = waiting_lake(runner)
    outcomes = lake.create_many(SCHEMA, map(str, range(100)))
    assert next(outcomes).ok

    lake.close()

    with pytest.raises(lakehouse.SetupError, match="This client is closed"):
        list(outcomes)


@both
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"concurrency": 0}, "`concurrency` is 0; allowed is 1 to 1,024"),
        ({"concurrency": 1025}, "`concurrency` is 1025; allowed is 1 to 1,024"),
        ({"concurrency": True}, "`concurrency` is True; allowed is 1 to 1,024"),
        ({"concurrency": "8"}, "`concurrency` is '8'; allowed is 1 to 1,024"),
        ({"progress": 5}, "`progress` is 5; it must be"),
        ({"resume": 5}, "`resume` is 5; it must be the path of a file"),
        ({"resume": ""}, "`resume` is ''; it must be the path of a file"),
        ({"messages": []}, "`messages` cannot be set"),
        ({"session_id": "0" * 32}, "`session_id` cannot be set"),
        ({"max_retries": 99}, "`max_retries` is 99"),
        ({"concurency": 3}, r"Unknown argument 'concurency' \(did you mean 'concurrency'\?\)"),
        ({"response_model": dict}, "Give the type of the answer once"),
        ({"prompts": "one text"}, r"`prompts` is 'one text'.*Write one prompt as \[prompt\]"),
        ({"prompts": {"role": "user"}}, "`prompts` is {'role': 'user'}"),
        ({"prompts": None}, "`prompts` is None"),
        ({"prompts": 5}, "`prompts` is 5"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_before_anything_runs(client, given, named):
    runner = SayingRunner()
    prompts = given.get("prompts", ["a"])
    options = {name: value for name, value in given.items() if name != "prompts"}

    with waiting_lake(runner) as waiting:
        lake: Any = waiting if client == "waiting" else async_lake(runner)
        with pytest.raises(lakehouse.Refused, match=f"invalid_request: {named}"):
            lake.create_many(SCHEMA, prompts, **options)  # without reading an outcome
    assert not runner.asked


def test_an_async_iterable_needs_an_async_client():
    async def prompts() -> AsyncIterator[str]:
        yield "a"

    with (
        waiting_lake(SayingRunner()) as lake,
        pytest.raises(lakehouse.Refused, match=r"async iterable.*open_async"),
    ):
        lake.create_many(SCHEMA, prompts())  # type: ignore[call-overload]  # what is refused


def test_instructors_name_of_the_type_goes_too():
    with waiting_lake(SayingRunner()) as lake:
        found = list(lake.create_many(response_model=dict[str, str], prompts=["a"]))

    assert found[0].unwrap() == {"said": "a"}
