"""Looking up a name: one thread for each, and no other call waits for it."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from lakehouse.transport.client import (
    HttpClient,
)
from support.http_calls import Run, fault_of, fine, limited, post
from support.raw_server import RawServer
from support.waiting import WAIT_S


class SlowNames:
    """A loop whose resolver holds a thread for `slow.test` until `answer` is set, as a real one."""

    lookups = 0
    answer = threading.Event()

    async def getaddrinfo(self, host: Any, port: Any, **named: Any) -> Any:
        if host != "slow.test":
            return await super().getaddrinfo(host, port, **named)  # type: ignore[misc]
        SlowNames.lookups += 1
        assert await self.run_in_executor(None, SlowNames.answer.wait, 2 * WAIT_S)  # type: ignore[attr-defined]
        return await super().getaddrinfo("127.0.0.1", port, **named)  # type: ignore[misc]


class SlowAsyncioLoop(SlowNames, asyncio.SelectorEventLoop):
    pass


class SlowUvloop(SlowNames, uvloop.Loop):  # type: ignore[misc]  # its stubs differ from asyncio's
    pass


@pytest.fixture(params=[SlowAsyncioLoop, SlowUvloop])
def run_with_slow_names(request: pytest.FixtureRequest) -> Run:
    SlowNames.lookups = 0
    SlowNames.answer.clear()

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            try:
                runner.run(coroutine)
            finally:
                SlowNames.answer.set()  # the loop's end waits for its threads

    return run


def test_a_name_that_does_not_resolve_costs_one_thread_and_no_other_call(
    run_with_slow_names: Run,
) -> None:
    """However often it is tried; each try ends at its own limit, and other names resolve."""

    async def case() -> None:
        async with RawServer(fine) as server:
            client = HttpClient()
            slow = f"http://slow.test:{server.port}"
            for _ in range(2):
                tries = [fault_of(client, slow, limited(connect_ms=50)) for _ in range(40)]
                for fault in await asyncio.gather(*tries):
                    assert (fault.kind, fault.unsent) == ("timeout_connect", True)
            assert SlowNames.lookups == 1
            for host in ("localhost", "127.0.0.1"):
                assert (await post(client, f"http://{host}:{server.port}")).status == 200
            await client.close()

    run_with_slow_names(case())


def test_a_look_up_outlives_those_who_gave_up_and_serves_the_rest(
    run_with_slow_names: Run,
) -> None:
    """A cancelled call and one that timed out leave it to those who wait; ended, it is no more."""

    async def case() -> None:
        async with RawServer(fine) as server:
            client = HttpClient()
            slow = f"http://slow.test:{server.port}"
            given_up = asyncio.create_task(post(client, slow))
            assert (await fault_of(client, slow, limited(connect_ms=50))).kind == "timeout_connect"
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            patient = [asyncio.create_task(post(client, slow)) for _ in range(3)]
            await asyncio.sleep(0.02)
            SlowNames.answer.set()
            assert [reply.status for reply in await asyncio.gather(*patient)] == [200] * 3
            assert SlowNames.lookups == 1
            await client.close()
            assert (await post(client, slow)).status == 200
            assert SlowNames.lookups == 2
            await client.close()

    run_with_slow_names(case())
