"""Where a client works: scripts, running loops, threads, forked workers; and how it ends."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lakehouse
from support.forking import fork
from support.python_client import GOOD, PROMPT, SCHEMA, configured, rows_in, started_in
from support.waiting import wait_until

SLOW = [{"text": GOOD, "delay_ms": 60_000}]


def test_an_import_loads_no_server_no_database_and_no_model():
    code = (
        "import sys; before = set(sys.modules); import lakehouse; "
        "names = {m.partition('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(names - set(sys.stdlib_module_names)), len(sys.modules) - len(before) < 40)"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "['lakehouse'] True"


def test_every_public_name_is_there_and_unknown_ones_are_not():
    for name in lakehouse.__all__:
        assert getattr(lakehouse, name) is not None
    assert set(lakehouse.__all__) <= set(dir(lakehouse))
    with pytest.raises(AttributeError, match="opne"):
        _ = lakehouse.opne  # type: ignore[attr-defined]


def test_a_client_over_http_needs_no_stack():
    code = (
        "import sys, lakehouse; lakehouse.connect_async('http://127.0.0.1:1'); "
        "print([m for m in ('duckdb', 'pyarrow', 'lakehouse.transport.server', 'lakehouse.stack', "
        "'pydantic') if m in sys.modules])"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "[]"


def test_the_waiting_client_works_inside_a_running_loop(tmp_path):
    async def in_a_notebook() -> object:
        with lakehouse.open(configured(tmp_path)) as lake:
            return lake.create(SCHEMA, PROMPT)

    assert asyncio.run(in_a_notebook()) == {"airport": "BCN", "city": "Barcelona"}


def test_an_async_client_is_entered_awaited_or_just_used(tmp_path):
    async def main() -> list[object]:
        async with lakehouse.open_async(configured(tmp_path)) as entered:
            first = await entered.create(SCHEMA, PROMPT)
        awaited = await lakehouse.open_async(configured(tmp_path))
        used = lakehouse.open_async(configured(tmp_path))
        rest = [await client.create(SCHEMA, PROMPT) for client in (awaited, used)]
        await asyncio.gather(awaited.close(), used.close())
        return [first, *rest]

    assert asyncio.run(main()) == [{"airport": "BCN", "city": "Barcelona"}] * 3
    assert len(rows_in(tmp_path)) == 3


def test_an_async_client_of_another_loop_is_told(tmp_path):
    lake = lakehouse.open_async(configured(tmp_path))

    async def use() -> None:
        await lake.create(SCHEMA, PROMPT)

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(use())
        with pytest.raises(lakehouse.SetupError, match="another event loop"):
            asyncio.run(use())
        loop.run_until_complete(lake.close())


def test_a_client_that_cannot_start_says_why_each_time(tmp_path):
    path = configured(tmp_path, more="[kinds.a]\nschema = 'none.json'\n")
    with pytest.raises(lakehouse.SetupError, match=r"none\.json"):
        lakehouse.open(path)

    async def main() -> None:
        lake = lakehouse.open_async(path)
        for _ in range(2):
            with pytest.raises(lakehouse.SetupError, match=r"none\.json"):
                await lake.create(SCHEMA, PROMPT)
        await lake.close()

    asyncio.run(main())


def test_a_closed_client_says_so(tmp_path):
    lake = lakehouse.open(configured(tmp_path))
    lake.close()
    lake.close()

    with pytest.raises(lakehouse.SetupError, match="closed"):
        lake.create(SCHEMA, PROMPT)


@pytest.mark.parametrize("client", ["lakehouse.open()", "lake"])
def test_a_script_that_does_not_close_ends_and_leaves_a_whole_log(tmp_path, client):
    """Whether nothing holds the client any more, or the module does to the end."""
    configured(tmp_path)
    code = (
        "import lakehouse\n"
        f"{'lake = lakehouse.open()' if client == 'lake' else ''}\n"
        f"print({client}.create({SCHEMA!r}, 'x')['airport'])"
    )

    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "BCN\n", "")
    assert len(rows_in(tmp_path)) == 1


def test_threads_share_a_client(tmp_path):
    with lakehouse.open(configured(tmp_path)) as lake, ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda _: lake.create(SCHEMA, PROMPT)["airport"], range(640)))

    assert found == ["BCN"] * 640
    assert len({row["session_id"] for row in rows_in(tmp_path)}) == 640


def test_tasks_share_a_client(tmp_path):
    async def main() -> list[object]:
        async with lakehouse.open_async(configured(tmp_path)) as lake:
            return list(await asyncio.gather(*(lake.create(SCHEMA, PROMPT) for _ in range(64))))

    assert len(asyncio.run(main())) == 64
    assert len(rows_in(tmp_path)) == 64


def test_a_forked_child_has_a_writer_of_its_own(tmp_path):
    with lakehouse.open(configured(tmp_path)) as lake:
        lake.create(SCHEMA, "of the parent")
        child = fork()
        if child == 0:
            code = 1
            try:
                lake.create(SCHEMA, "of the child")
                lake.close()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert status == 0
        lake.create(SCHEMA, "of the parent, later")

    segments = {path.name for path in (tmp_path / "log").rglob("*.jsonl")}
    assert len(segments) >= 2, segments
    assert sorted(row["prompt"] for row in rows_in(tmp_path)) == [
        "of the child",
        "of the parent",
        "of the parent, later",
    ]


LAKE: lakehouse.Lake


def _work(number: int) -> str:
    return str(LAKE.create(SCHEMA, f"item {number}")["airport"])


def test_a_pool_of_forked_workers_loses_no_row(tmp_path):
    global LAKE
    with lakehouse.open(configured(tmp_path)) as LAKE:
        LAKE.create(SCHEMA, "before the fork")
        with multiprocessing.get_context("fork").Pool(4) as pool:
            found = pool.map(_work, range(100), chunksize=1)

    assert found == ["BCN"] * 100
    prompts = [row["prompt"] for row in rows_in(tmp_path)]
    assert sorted(prompts) == sorted(["before the fork", *(f"item {n}" for n in range(100))])


def test_a_cancelled_call_ends_its_session_as_shutdown(tmp_path):
    async def main() -> None:
        async with lakehouse.open_async(configured(tmp_path, SLOW)) as lake:
            call = asyncio.create_task(lake.create(SCHEMA, PROMPT))
            await asyncio.to_thread(wait_until, lambda: started_in(tmp_path), "the session's start")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            (row,) = rows_in(tmp_path)
            assert row["error"]["code"] == "shutdown"
            assert row["error"]["message"] == "The caller cancelled the session."

    asyncio.run(main())


def test_a_timeout_of_the_caller_ends_the_session(tmp_path):
    async def main() -> None:
        async with lakehouse.open_async(configured(tmp_path, SLOW)) as lake:
            with pytest.raises(TimeoutError):
                await create_until_started(lake)

    async def create_until_started(lake: lakehouse.AsyncLake) -> None:
        async with asyncio.timeout(None) as limit:
            call = asyncio.create_task(pass_with_the_start(limit))
            await lake.create(SCHEMA, PROMPT)
        await call

    async def pass_with_the_start(limit: asyncio.Timeout) -> None:
        await asyncio.to_thread(wait_until, lambda: started_in(tmp_path), "the session's start")
        limit.reschedule(asyncio.get_running_loop().time())

    asyncio.run(main())
    assert [row["error"]["code"] for row in rows_in(tmp_path)] == ["shutdown"]


@pytest.mark.parametrize("interrupts_the_wait", [True, False])
def test_ctrl_c_ends_the_running_session_and_the_client_goes_on(tmp_path, interrupts_the_wait):
    """Also a signal that another thread takes: as one that comes before the wait, it ends none."""

    def interrupt() -> None:
        wait_until(lambda: started_in(tmp_path), "the session's start")
        if interrupts_the_wait:
            os.kill(os.getpid(), signal.SIGINT)
        else:
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with lakehouse.open(configured(tmp_path, SLOW)) as lake:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            lake.create(SCHEMA, PROMPT)
        thread.join()
        (row,) = rows_in(tmp_path)
        assert row["error"]["code"] == "shutdown"
        assert lake.models()[0].name == "small"


def test_closing_ends_what_runs(tmp_path):
    async def main() -> BaseException | None:
        lake = await lakehouse.open_async(configured(tmp_path, SLOW))
        call = asyncio.create_task(lake.create(SCHEMA, PROMPT))
        await asyncio.to_thread(wait_until, lambda: started_in(tmp_path), "the session's start")
        await lake.close()
        return (await asyncio.gather(call, return_exceptions=True))[0]

    error = asyncio.run(main())
    assert isinstance(error, lakehouse.InfraError)
    assert error.code == "shutdown"
    assert [row["error"]["code"] for row in rows_in(tmp_path)] == ["shutdown"]


def test_hooks_see_attempts_and_sessions_and_cannot_hurt(tmp_path, caplog):
    path = configured(tmp_path, ["no JSON", GOOD])
    seen: list[str] = []

    def fail(_: object) -> None:
        raise RuntimeError("a fault of a hook")

    with lakehouse.open(path) as lake:
        lake.on("attempt", fail)
        lake.on("attempt", lambda attempt: seen.append(attempt.outcome))
        lake.on("session", lambda session: seen.append(session.verdict))
        lake.create(SCHEMA, PROMPT)

    assert seen == ["rejected", "accepted", "accepted"]
    assert "a fault of a hook" in caplog.text


def test_a_hook_that_waits_for_its_own_client_is_told(tmp_path, caplog):
    with lakehouse.open(configured(tmp_path)) as lake:
        lake.on("session", lambda _: lake.models())
        lake.create(SCHEMA, PROMPT)

    assert "would wait for ever" in caplog.text


@pytest.mark.parametrize(
    ("event", "hook", "told"),
    [("atempt", print, "did you mean 'attempt'"), ("session", 5, "no plain function")],
)
def test_a_hook_that_cannot_work_is_refused(tmp_path: Path, event, hook, told):
    with (
        lakehouse.open(configured(tmp_path)) as lake,
        pytest.raises(lakehouse.SetupError, match=told),
    ):
        lake.on(event, hook)
