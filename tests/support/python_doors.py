"""The four Python clients behind one face, so that one suite can hold them to one contract.

Two run the stack in this process, two speak to a `lakehouse up` of the same configuration.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

import lakehouse
from lakehouse.sessionlog.reading.reader import read_lines
from support.python_client import rows_in
from support.stack import running_stack
from support.waiting import wait_until

F = TypeVar("F", bound=Callable[..., Any])

DOORS: Final = ("open", "open_async", "connect", "connect_async")


class Place(msgspec.Struct, frozen=True):
    """A directory with a configuration and a log, and the gateway that runs there, if any."""

    directory: Path
    url: str | None


class Door:
    """One client. Each method waits for the client's own and returns what it returns."""

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.remote = name.startswith("connect")
        self.place = place
        self._waits = not name.endswith("_async")
        self._runner = asyncio.Runner()
        where = place.url if self.remote else place.directory / "lakehouse.toml"
        self.lake: Any = getattr(lakehouse, name)(where)

    def create(self, *args: Any, **options: Any) -> Any:
        return self.wait(lambda lake: lake.create(*args, **options))

    def create_with_session(self, *args: Any, **options: Any) -> Any:
        return self.wait(lambda lake: lake.create_with_session(*args, **options))

    def iterate(self, **fields: Any) -> Any:
        return self.wait(lambda lake: lake.iterate(**fields))

    def check(self, type_: Any) -> Callable[[F], F]:
        decorate: Callable[[F], F] = self.lake.check(type_)
        return decorate

    def stream(self, *args: Any, **options: Any) -> list[Any]:
        """Return all that a stream yields."""
        return self._all_of(self.lake.stream(*args, **options))

    def create_many(self, *args: Any, **options: Any) -> list[Any]:
        """Return all outcomes."""
        return self._all_of(self.lake.create_many(*args, **options))

    def _all_of(self, items: Any) -> list[Any]:
        if self._waits:
            return list(items)

        async def collected() -> list[Any]:
            return [item async for item in items]

        return self._runner.run(collected())

    def first_of_stream(self, *args: Any, **options: Any) -> Any:
        """Return the first thing that a stream yields, and close the stream."""
        items = self.lake.stream(*args, **options)
        if self._waits:
            with contextlib.closing(items):
                return next(items)

        async def first() -> Any:
            async with contextlib.aclosing(items):
                return await anext(items)

        return self._runner.run(first())

    def wait(self, ask: Callable[[Any], Any]) -> Any:
        """Make one call of the client itself."""
        if self._waits:
            return ask(self.lake)

        async def asked() -> Any:
            return await ask(self.lake)

        return self._runner.run(asked())

    def at_once(self, asks: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Make many calls at once: each in a thread, or each in a task."""
        if self._waits:
            together = threading.Barrier(len(asks))

            def one(ask: Callable[[Any], Any]) -> Any:
                together.wait(60)
                return ask(self.lake)

            with ThreadPoolExecutor(len(asks)) as pool:
                return list(pool.map(one, asks))

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(ask(self.lake) for ask in asks))

        return self._runner.run(all_of_them())

    def cancelled(self, ask: Callable[[Any], Any], begun: Callable[[], object]) -> None:
        """Make a call of a client with asyncio, and cancel it when it has begun."""

        async def main() -> None:
            call = asyncio.ensure_future(ask(self.lake))
            await asyncio.to_thread(wait_until, begun, "the session's start")
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
                raise AssertionError("the call was not cancelled")

        self._runner.run(main())

    def row(self, row_id: str) -> dict[str, Any]:
        """Return a row of the log."""
        (found,) = [row for row in self.rows() if row["row_id"] == row_id]
        return found

    def rows(self, **members: Any) -> list[dict[str, Any]]:
        """Return the rows of the log whose members are these."""
        rows = rows_in(self.place.directory)
        return [row for row in rows if all(row[name] == members[name] for name in members)]

    def begun(self, session_id: str) -> bool:
        """Return whether a session has begun."""
        lines = read_lines(self.place.directory / "log")
        return any(
            line.kind == "started" and session_id.encode() in line.line.data for line in lines
        )

    def close(self) -> None:
        self.wait(lambda lake: lake.close())
        self._runner.close()


@contextlib.contextmanager
def places(
    base: Path, config: str, script: Mapping[str, Any], tables: Mapping[str, str]
) -> Iterator[Callable[[str], Place]]:
    """Run a gateway, and prepare a directory for each client in this process."""

    def prepared(name: str) -> Path:
        directory = base / name
        directory.mkdir()
        (directory / "script.json").write_text(json.dumps(script))
        for table, text in tables.items():
            (directory / table).write_text(text)
        (directory / "lakehouse.toml").write_text(config)
        return directory

    served = prepared("gateway")
    local = {name: Place(prepared(name), None) for name in DOORS if name.startswith("open")}
    with running_stack(served, config, apart=False) as stack:
        yield lambda name: local.get(name) or Place(served, stack["gateway"].url)
