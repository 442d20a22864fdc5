"""Which row is the answer of a call whose connection was lost."""

import asyncio
import contextlib
from collections.abc import Sequence
from types import SimpleNamespace

import msgspec
import pytest

from lakehouse.core.context import session_context
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.metadata import CALL_MEMBER, PYTHON_MEMBERS
from lakehouse.core.row import Row
from lakehouse.core.row_codec import encode_line
from lakehouse.core.session import IterateRequest
from lakehouse.library import row_search
from lakehouse.library.row_search import RowSearch
from support.rows import make_row
from support.steady_loop import run_steadily

REQUEST = IterateRequest(kind="flight", prompt="VY3901", deadline_ms=200, metadata={"run": "7"})


def loop_s() -> float:
    """Give the time of the running loop, which begins at 0; a search may begin before the loop."""
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop().time()
    return 0.0


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_search, "time", SimpleNamespace(monotonic=loop_s))
    monkeypatch.setattr(row_search, "LOAD_BUDGET_MS_DEFAULT", 0)
    monkeypatch.setattr(row_search, "GRACE_MS", 100)


class Log:
    """Answers each look with the next of `answers`, and then with the last one again."""

    def __init__(self, *answers: Sequence[bytes] | Exception) -> None:
        self.looks: list[str] = []
        self._answers = answers

    async def __call__(self, session_id: str) -> list[msgspec.Raw]:
        answer = self._answers[min(len(self.looks), len(self._answers) - 1)]
        self.looks.append(session_id)
        if isinstance(answer, Exception):
            raise answer
        return list(map(msgspec.Raw, answer))


def found(search: RowSearch, log: Log) -> Row | None:
    async def main() -> Row | None:
        return await search.row(log, asyncio.Event())

    return run_steadily(main())


def line(**members: object) -> bytes:
    return encode_line(make_row(**members))


def test_a_session_id_that_was_made_for_the_call_is_enough() -> None:
    context = session_context()
    search, log = RowSearch(REQUEST, context), Log([line(row_id="a" * 32)])

    row = found(search, log)

    assert search.request == REQUEST
    assert log.looks == [context.session_id]
    assert row is not None
    assert row.row_id == "a" * 32


def test_a_session_id_of_the_caller_needs_a_mark() -> None:
    search = RowSearch(REQUEST, session_context("mine-1"))
    other = RowSearch(REQUEST, session_context("mine-1"))
    marks = [one.request.metadata[CALL_MEMBER] for one in (search, other)]
    rows = [line(row_id=str(n) * 32, metadata={CALL_MEMBER: mark}) for n, mark in enumerate(marks)]
    rows += [line(row_id="b" * 32, metadata={}), b'{"metadata": 7}']

    row = found(search, Log(rows))

    assert marks[0] != marks[1]
    assert CALL_MEMBER in PYTHON_MEMBERS
    assert search.request.metadata == {"run": "7", CALL_MEMBER: marks[0]}
    assert row is not None
    assert row.row_id == "0" * 32


def test_rows_of_other_calls_are_no_answer() -> None:
    search, log = RowSearch(REQUEST, session_context("mine-1")), Log([line(metadata={})])

    assert found(search, log) is None
    assert len(log.looks) >= 2  # it went on until the time was over


def test_two_rows_are_no_answer() -> None:
    search = RowSearch(REQUEST, session_context())
    log = Log([line(row_id="a" * 32), line(row_id="b" * 32)])

    assert found(search, log) is None
    assert len(log.looks) == 1  # more looks would not tell them apart


def test_looks_that_fail_are_repeated() -> None:
    """A gateway restarts, or a proxy stands for it meanwhile."""
    gone, refused = InfraError("connect", "no"), Refusal("unauthorized", "not yet")
    patient = msgspec.structs.replace(REQUEST, deadline_ms=60_000)
    search, log = RowSearch(patient, session_context()), Log(gone, refused, [], [line()])

    assert found(search, log) is not None
    assert len(log.looks) == 4


def test_a_row_that_cannot_be_read_is_no_answer() -> None:
    search, log = RowSearch(REQUEST, session_context()), Log([b'{"schema":"session.iterate.v9"}'])

    assert found(search, log) is None
    assert len(log.looks) == 1


def test_a_call_whose_time_is_over_is_looked_for_once_more() -> None:
    """It was lost when its liveness ended, after the deadline."""
    search = RowSearch(msgspec.structs.replace(REQUEST, deadline_ms=1), session_context())
    log = Log([], [line()])

    async def main() -> Row | None:
        await asyncio.sleep(0.15)  # its time and its grace
        return await search.row(log, asyncio.Event())

    assert run_steadily(main()) is not None
    assert len(log.looks) == 2


def test_a_closed_client_looks_no_more() -> None:
    search, log = RowSearch(REQUEST, session_context()), Log([])

    async def main() -> Row | None:
        closed = asyncio.Event()
        asyncio.get_running_loop().call_soon(closed.set)
        return await search.row(log, closed)

    assert run_steadily(main()) is None
    assert len(log.looks) == 1


@pytest.mark.parametrize("turns", [0, 1, 2])  # of the loop, after the client was closed
def test_a_search_that_is_cancelled_as_its_client_is_closed_has_ended_or_is_cancelled(
    turns: int,
) -> None:
    """`asyncio.wait_for` of Python 3.11 would lose that, and the caller of the call would go on."""

    async def main() -> None:
        closed, looked = asyncio.Event(), asyncio.Event()

        async def look(_: str) -> list[msgspec.Raw]:
            looked.set()
            return []

        search = asyncio.create_task(RowSearch(REQUEST, session_context()).row(look, closed))
        await looked.wait()
        await asyncio.sleep(0)  # it waits for its next look
        closed.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        has_ended = search.done()
        search.cancel()
        await asyncio.wait({search})
        assert search.cancelled() is not has_ended
        assert has_ended or turns < 2

    run_steadily(main())
