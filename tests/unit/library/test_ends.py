"""Streams and clients that end out of turn: behind the client, in its own thread, as garbage."""

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import lakehouse
from lakehouse.library.loop_thread import LoopThread
from support.python_client import GOOD, PROMPT, SCHEMA, configured, rows_in
from support.waiting import wait_until


def running() -> int:
    return sum(thread.name == "lakehouse-loop" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("open_items", "begin"),
    [
        (lambda lake: lake.stream(SCHEMA, PROMPT), False),
        (lambda lake: lake.stream(SCHEMA, PROMPT), True),
        (lambda lake: lake.create_many(SCHEMA, [PROMPT]), False),
    ],
    ids=["stream", "begun stream", "many"],
)
def test_what_is_read_behind_its_client_is_told(
    tmp_path, caplog, open_items: Callable[[lakehouse.Lake], Any], begin: bool
):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lakehouse.open(configured(tmp_path, ["no JSON", GOOD])) as lake:
            items = open_items(lake)
            if begin:
                next(items)
        try:
            with pytest.raises(lakehouse.SetupError, match="This client is closed"):
                list(items)
        finally:
            items.close()
            del items
            gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_stream_closed_after_its_session_failed_leaves_no_warning(tmp_path, caplog):
    async def main() -> None:
        ended = asyncio.Event()
        async with lakehouse.open_async(configured(tmp_path, ["no JSON"])) as lake:
            lake.on("session", lambda _: ended.set())
            stream = lake.stream(SCHEMA, PROMPT, max_retries=0)
            await anext(stream)
            await ended.wait()
            await asyncio.sleep(0)
            await stream.aclose()
            del stream
            gc.collect()

    asyncio.run(main())
    assert [row["verdict"] for row in rows_in(tmp_path)] == ["max_iter_exhausted"]
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_hook_may_close_its_client(tmp_path):
    before = running()
    lake = lakehouse.open(configured(tmp_path))
    lake.on("session", lambda _: lake.close())
    assert lake.create(SCHEMA, PROMPT)["airport"] == "BCN"
    wait_until(lambda: running() == before, "the end of the client")
    with pytest.raises(lakehouse.SetupError, match="This client is closed"):
        lake.create(SCHEMA, PROMPT)
    assert len(rows_in(tmp_path)) == 1


def test_a_client_collected_in_its_own_thread_ends(tmp_path):
    before = running()
    lake = lakehouse.open(configured(tmp_path))
    lake.itself = lake  # type: ignore[attr-defined]  # garbage that only the collector finds
    loop = lake._inner.parts[0]  # type: ignore[index]

    async def collect() -> None:
        gc.collect()

    gc.disable()
    try:
        del lake
        loop.run(collect())
    finally:
        gc.enable()
    del loop
    wait_until(lambda: running() == before, "the end of the client")


def test_nothing_starts_behind_the_end_of_a_loop():
    loop = LoopThread()
    ending, release = threading.Event(), threading.Event()

    async def lingers() -> None:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            ending.set()
            await asyncio.to_thread(release.wait)

    loop.submit(lingers())
    loop.run(asyncio.sleep(0))
    stop = threading.Thread(target=loop.stop)
    stop.start()
    assert ending.wait(60)
    with pytest.raises(lakehouse.SetupError, match="This client is closed"):
        loop.submit(asyncio.sleep(0))
    release.set()
    stop.join(60)
    assert not stop.is_alive()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_programs_reaches_its_caller_and_the_loop_goes_on(error: BaseException):
    loop = LoopThread()

    async def leave() -> None:
        raise error

    async def stay() -> str:
        await asyncio.sleep(0)
        return "here"

    with pytest.raises(type(error)):
        loop.submit(leave()).result(60)
    assert loop.submit(stay()).result(60) == "here"
    loop.stop()


@pytest.mark.parametrize("event", ["attempt", "session"])
def test_a_hook_that_exits_loses_no_row(tmp_path, caplog, event):
    def leave(_: object) -> None:
        raise SystemExit(3)

    with lakehouse.open(configured(tmp_path)) as lake:
        lake.on(event, leave)
        assert lake.create(SCHEMA, PROMPT)["airport"] == "BCN"
    assert len(rows_in(tmp_path)) == 1
    assert f"a hook of '{event}' failed" in caplog.text
