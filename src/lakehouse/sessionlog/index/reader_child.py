"""The process that answers questions about a log: restricts itself, then answers one at a time.

It runs no SQL from outside. It ends when the pipe from its owner does.
"""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.exchange import AnyQuestion, Reply
from lakehouse.sessionlog.index.pipe import PipeEnded, receive, send
from lakehouse.sessionlog.index.tasks import EXIT_STALE, ReaderTask
from lakehouse.sessionlog.reading.compacted import open_local_compacted
from lakehouse.sessionlog.reading.restriction import limit, limit_memory, restrict

_NICE: Final = 10  # sessions come first
_TOO_LARGE: Final = ask.Failed(
    message="The answer needs more memory than a reader may use.",
    hint="Narrow the filter, in time say.",
)


def main() -> None:
    """Read a task, then answer questions until there are no more."""
    task = msgspec.json.decode(receive(0), type=ReaderTask)
    limit(resource.RLIMIT_CORE, 0)
    os.nice(_NICE)
    root = Path(task.root)
    try:
        spills = restrict(root, Path(task.spill_directory), also=[Path(task.place)])
        open_local_compacted(root)  # its library maps a good part of a gigabyte by itself
        # Only now: it starts threads, which the kernel's limits would not reach.
        from lakehouse.sessionlog.index.desk import Desk  # noqa: PLC0415 - it starts threads

        limit_memory(task.memory_bytes)
        desk = Desk(task, spills=spills, on_moved=_end)
    except LakehouseError as error:
        failed = ask.Failed(message=error.public, hint=error.hint)
        for _ in _questions():
            _reply(Reply(failed))
        return
    for number, question in enumerate(_questions()):
        try:
            _reply(Reply(desk.answer(question), desk.shelf.distrusts))
        except MemoryError:
            if number:
                _end()  # what earlier answers left may be at fault
            _reply(Reply(_TOO_LARGE))


def _questions() -> Iterator[ask.Question]:
    while True:
        try:
            yield msgspec.json.decode(receive(0), type=AnyQuestion)
        except PipeEnded:
            return


def _end() -> NoReturn:
    """End: what was given up cannot be had again: rights to read another table, and memory."""
    sys.exit(EXIT_STALE)


def _reply(reply: Reply) -> None:
    send(1, msgspec.json.encode(reply))


if __name__ == "__main__":
    main()
