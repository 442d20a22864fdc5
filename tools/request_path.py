"""What one request passes through: our files, changes from file to file, and Python calls.

    python tools/request_path.py            # the figures, then every call in order
    python tools/request_path.py --figures  # the figures alone

One `POST /v1/iterate` through `lakehouse up` in this process: a first shot of a scripted model
under a schema with one grounding rule, metrics on, over a real socket. After twenty that warm the
caches it takes the shortest of 400, since others meet what happens once a second, or a machine
that is busy. Only calls of functions of ours count, on every thread of the process; `changes`
counts how often a call is in another file than the call before it on its thread.
"""

import asyncio
import itertools
import json
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import lakehouse
from lakehouse.config.load import load_config
from lakehouse.daemon import Daemon
from lakehouse.transport.daemon import serve
from lakehouse.transport.listening import listen_on

SOURCE = str(Path(lakehouse.__file__).parent) + "/"
WARM = 20
TRACED = 400
CONFIG = """
[log]
path = "log"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.cities]
path = "cities.csv"
[kinds.city]
schema = "city.schema.json"
[[kinds.city.grounding]]
path = "/city"
column = "cities.name"
"""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BODY = json.dumps({"kind": "city", "prompt": "Name the city: Oslo."}).encode()
REQUEST = (
    b"POST /v1/iterate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class Seen(NamedTuple):
    """One call of a function of ours."""

    thread: int
    file: str
    function: str


class RequestPath(NamedTuple):
    """The calls of one request, in order."""

    calls: list[Seen]

    @property
    def files(self) -> int:
        """How many files of ours the request enters."""
        return len({call.file for call in self.calls})

    @property
    def changes(self) -> int:
        """How often a call is in another file than the one before it."""
        threads: dict[int, list[str]] = {}
        for call in self.calls:
            threads.setdefault(call.thread, []).append(call.file)
        return sum(
            one != other for files in threads.values() for one, other in itertools.pairwise(files)
        )

    def figures(self) -> str:
        """Say all three on one line."""
        return f"{self.files} files, {self.changes} changes, {len(self.calls)} calls"


def write_project(directory: Path) -> None:
    (directory / "lakehouse.toml").write_text(CONFIG)
    (directory / "city.schema.json").write_text(json.dumps(SCHEMA))
    (directory / "cities.csv").write_text("name\nOslo\nBergen\n")
    (directory / "script.json").write_text('["{\\"city\\": \\"Oslo\\"}"]')


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send the request and read its reply, headers and body."""
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
    return head + await reader.readexactly(int(fields[b"content-length"]))


class Profile:
    """Notes the calls of functions of ours while it is on, on every thread started after it."""

    def __init__(self) -> None:
        self.on = False
        self.calls: list[Seen] = []
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)

    def close(self) -> None:
        """Stop profiling; threads that run go on with theirs, which notes nothing any more."""
        threading.setprofile(None)
        sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if self.on and event == "call" and code.co_filename.startswith(SOURCE):
            file = code.co_filename.removeprefix(SOURCE)
            self.calls.append(Seen(threading.get_ident(), file, code.co_qualname))


async def traced_request(directory: Path, profile: Profile) -> RequestPath:
    """Serve the project and trace the request after those that warm it."""
    daemon = Daemon(load_config(directory / "lakehouse.toml", {}), {}, "up")
    listener = listen_on("127.0.0.1", 0)
    port = listener.getsockname()[1]
    up = asyncio.Event()
    await daemon.start()
    serving = asyncio.create_task(
        serve(
            daemon.answer,
            listener,
            drain=daemon.drain,
            drain_ms=5_000,
            on_ready=up.set,
        )
    )
    try:
        await up.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(WARM):
            await ask(reader, writer)
        found = []
        for _ in range(TRACED):
            profile.calls = []
            profile.on = True
            reply = await ask(reader, writer)
            await asyncio.sleep(0)  # what is done right after the reply belongs to the request
            profile.on = False
            assert b'"accepted_iteration":0' in reply, reply
            assert b'"grounded":true' in reply, reply
            found.append(RequestPath(profile.calls))
        writer.close()
        return min(found, key=lambda path: (path.files, len(path.calls)))
    finally:
        profile.on = False
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await daemon.close()


def measure() -> RequestPath:
    """Trace one warm request in a project of its own."""
    profile = Profile()
    try:
        with tempfile.TemporaryDirectory() as directory:
            write_project(Path(directory))
            return asyncio.run(traced_request(Path(directory), profile))
    finally:
        profile.close()


def main() -> None:
    path = measure()
    print(path.figures())
    if "--figures" not in sys.argv:
        main_thread = threading.get_ident()
        for number, call in enumerate(path.calls, 1):
            thread = " " if call.thread == main_thread else "*"  # the log's own thread
            print(f"{number:4} {thread} {call.file:36} {call.function}")


if __name__ == "__main__":
    main()
