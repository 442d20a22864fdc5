"""Runs a corpus on a Ray cluster, with Ray Data over the compacted table.

Workers run the same function as a local run and return the rows that they made. Only the process
that started the run writes them, so the log and the books look like those of any run. If a worker
dies, Ray gives its sessions to another one. Needs the extra `ray`.

A session is on the disk only after its worker's batch has come back. If the run is killed before,
its sessions leave no row, and the next start runs them again.
"""

import asyncio
import hashlib
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final

import msgspec
import pyarrow as pa

from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import LakehouseError
from lakehouse.core.ports import RecordSink
from lakehouse.core.row import Row, Started
from lakehouse.core.row_codec import decode_row, encode_fitting
from lakehouse.replay.books import Books
from lakehouse.replay.candidate import replay_row_id
from lakehouse.replay.corpus import rows_among
from lakehouse.replay.session import Ended, Replay, run_session
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.reading.compacted import (
    durable_version,
    read_identity,
    row_ids_compacted,
    table_uri,
)

BATCH_ROWS: Final = (
    32  # sessions that a worker runs and returns together, and that are lost with it
)
_COLUMNS: Final = ["row_id", "session_id", "line"]
_RESULT: Final = pa.schema([("row_id", pa.string()), ("row", pa.binary()), ("ended", pa.binary())])
# A node with one CPU must have room for a worker and its reader, or neither would ever finish.
_READER_CPUS: Final = 0.1
_WORKER_CPUS: Final = 0.8
_BLOCK_BYTES: Final = 128 << 10  # handed on at once: some tens of rows
_EVER: Final = "0001-01-01"


class CapturedRows:
    """A sink that keeps rows in memory by row id, until they are taken and written elsewhere."""

    def __init__(self) -> None:
        self._lines: dict[str, bytes] = {}

    def check_writable(self) -> None:
        """Accept everything: the process that writes the rows checks the disk."""

    def started(self, record: Started) -> None:
        """Keep nothing: an interrupted session runs again from the start."""

    async def append(self, row: Row) -> None:
        self._lines[row.row_id] = encode_fitting(row)

    def take(self, row_id: str) -> bytes | None:
        return self._lines.pop(row_id, None)


OpenReplay = Callable[[CapturedRows], AbstractAsyncContextManager[Replay]]
"""Opens a `Replay` in a worker that writes rows to the given sink. Must be picklable."""


class Share(msgspec.Struct, frozen=True):
    """What every worker needs to know of a run. `attempts` counts outages by row id."""

    run_id: str
    entries: Mapping[str, str]
    attempts: Mapping[str, int]
    hidden: frozenset[str]
    concurrency: int
    metadata: dict[str, str]


class ClusterEngine:
    """Runs sessions on the cluster that this process is connected to.

    Workers read sessions from the compacted table, local or remote; newer ones are sent to them.
    Memory in this process: 200 bytes per session, and the newer rows.
    """

    def __init__(self, open_replay: OpenReplay, *, sink: RecordSink, concurrency: int) -> None:
        """Use the connected cluster.

        Args:
            open_replay: Called in each worker.
            sink: Where this process writes the rows of the workers.
            concurrency: Sessions at once in each worker.
        """
        self._open_replay = open_replay
        self._sink = sink
        self._concurrency = concurrency

    async def round(self, entries: Mapping[str, str], books: Books) -> dict[str, str]:
        share = Share(
            run_id=books.plan.run_id,
            entries=dict(entries),
            attempts={row_id: books.attempts[row_id] for row_id in entries & books.attempts.keys()},
            hidden=forgotten_sessions(books.root),
            concurrency=self._concurrency,
            metadata=books.metadata,
        )
        dataset = await asyncio.to_thread(self._dataset, share, books)
        failed: dict[str, str] = {}
        seen: set[str] = set()
        async for batch in _batches(dataset):
            # If a worker dies after handing its batch on, Ray may run the batch again.
            results = [result for result in batch.to_pylist() if result["row_id"] not in seen]
            rows = [result["row"] for result in results if result["row"] is not None]
            await asyncio.gather(*(self._sink.append(decode_row(row)) for row in rows))
            for result in results:
                row_id = result["row_id"]
                seen.add(row_id)
                if books.settle(row_id, msgspec.json.decode(result["ended"], type=Ended)):
                    failed[row_id] = entries[row_id]
            await books.flush()
            if books.stop.is_set():
                return failed
        books.tally.gone += len(entries) - len(seen)
        return failed

    def _dataset(self, share: Share, books: Books) -> Any:
        """Build the pipeline: read rows, choose those of the run, run them in batches."""
        import ray  # noqa: PLC0415 - an extra
        from ray.data import ActorPoolStrategy, from_arrow, read_delta  # noqa: PLC0415 - likewise

        in_table: set[str] = row_ids_compacted(books.root, share.entries, _EVER)
        newer = [
            {"row_id": decode_row(line).row_id, "session_id": "", "line": line.decode("utf-8")}
            for line in rows_among(books.root, share.entries.keys() - in_table)
        ]
        schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
        whole = from_arrow(pa.Table.from_pylist(newer, schema))
        identity = read_identity(books.root)
        if in_table and identity is not None:
            uri = table_uri(books.root, identity)
            version = durable_version(uri)  # as every reader does; None is the newest
            table = read_delta(uri, version, columns=_COLUMNS, num_cpus=_READER_CPUS)
            whole = table.union(whole) if newer else table
        resources: Any = ray.cluster_resources  # not annotated
        told = ray.put(share)
        choose: Any = _chosen  # Ray's annotations know functions of a batch alone
        run: Any = _SessionWorker
        return whole.map_batches(
            choose, fn_args=(told,), batch_format="pyarrow", num_cpus=_READER_CPUS
        ).map_batches(
            run,
            fn_constructor_args=(self._open_replay,),
            fn_args=(told,),
            batch_format="pyarrow",
            batch_size=BATCH_ROWS,
            compute=ActorPoolStrategy(min_size=1, max_size=max(1, int(resources().get("CPU", 1)))),
            num_cpus=_WORKER_CPUS,
        )


@contextmanager
def connected() -> Iterator[None]:
    """Connect to the cluster at `$RAY_ADDRESS`, or start one that ends with this context.

    Ray listens on all interfaces, so both need a token; that of a started cluster is random and
    stays in this process.

    Raises:
        LakehouseError: There is no cluster at that address, or it rejects the token.
    """
    address = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors come as exceptions
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray  # noqa: PLC0415 - an extra, which reads these variables when it is imported
    from ray.data import DataContext  # noqa: PLC0415 - likewise

    own: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        ray.init(address=address or "local", **quiet, **({} if address else own))
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise LakehouseError(
            f"The Ray cluster at {address or 'this machine'} cannot be used: {error}",
            hint="Set RAY_ADDRESS to its address, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.",
        ) from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK_BYTES
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def _chosen(batch: pa.Table, told: Any) -> pa.Table:
    """Keep the rows of the run that are unchanged and not forgotten."""
    share = _share(told)
    kept = [
        share.entries.get(row_id) is not None
        and session_id not in share.hidden
        and hashlib.sha256(line.encode("utf-8")).hexdigest() == share.entries[row_id]
        for row_id, session_id, line in zip(
            *(batch.column(name).to_pylist() for name in _COLUMNS), strict=True
        )
    ]
    return batch.filter(pa.array(kept, pa.bool_())).select(["row_id", "line"])


def _share(told: Any) -> Share:
    """Fetch the share; Ray may have resolved it already."""
    import ray  # noqa: PLC0415 - an extra

    found: Share = ray.get(told) if isinstance(told, ray.ObjectRef) else told
    return found


class _SessionWorker:
    """One worker of the cluster: takes batches of rows, returns the rows and ends of replays."""

    def __init__(self, open_replay: OpenReplay) -> None:
        self._rows = CapturedRows()
        self._loop = asyncio.new_event_loop()
        self._open = open_replay(self._rows)  # never closed: Ray ends the process
        self._replay = self._loop.run_until_complete(self._open.__aenter__())
        self._share: Share | None = None

    def __call__(self, batch: pa.Table, told: Any) -> pa.Table:
        """Run a batch of sessions."""
        share = self._share = self._share or _share(told)
        lines = [line.encode("utf-8") for line in batch.column("line").to_pylist()]
        ends = self._loop.run_until_complete(self._run(lines, share))
        return pa.Table.from_pylist(ends, _RESULT)

    async def _run(self, lines: list[bytes], share: Share) -> list[dict[str, object]]:
        limit = asyncio.Semaphore(share.concurrency)

        async def one(line: bytes) -> dict[str, object]:
            async with limit:
                return await self._end(decode_row(line), share)

        return list(await asyncio.gather(*map(one, lines)))

    async def _end(self, row: Row, share: Share) -> dict[str, object]:
        own_id = replay_row_id(share.run_id, row.row_id, share.attempts.get(row.row_id, 0))
        ended = await run_session(
            self._replay, share.run_id, row, own_id, clock=SystemClock(), metadata=share.metadata
        )
        return {
            "row_id": row.row_id,
            "row": self._rows.take(own_id),
            "ended": msgspec.json.encode(ended),
        }


async def _batches(dataset: Any) -> AsyncIterator[pa.Table]:
    """Yield results as they arrive, without blocking the event loop."""
    results = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    while True:
        batch = await asyncio.to_thread(next, results, None)
        if batch is None:
            return
        yield batch
