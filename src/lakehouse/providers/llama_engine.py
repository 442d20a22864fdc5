"""One llama.cpp engine in its own process, as the threads of `llama_cpp` use it.

Every method but `stop` and `kill` blocks. It does not outlive its owner: the process ends with its
stdin, so also when the daemon is killed.
"""

import contextlib
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from lakehouse.core.chat import ChatRequest, Usage
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import MAX_TOKENS_DEFAULT

_WORKER: Final = Path(__file__).with_name("llama_worker.py")
_END_S: Final = 2.0  # for the process to end by itself after its stdin did


class EngineEnded(Exception):
    """The process ended or never started. The message says what is known."""


class EngineAnswer(msgspec.Struct, frozen=True):
    """The result of one request.

    `error` is the engine's rejection; `finish` is None if it was cut off.
    """

    text: str = ""
    thinking: str = ""
    finish: str | None = None
    usage: Usage | None = None
    error: str | None = None
    stopped: bool = False
    ready: bool = False
    failed: str | None = None
    began: bool = False


_ANSWER: Final = msgspec.json.Decoder(EngineAnswer)


def body_of(request: ChatRequest) -> bytes:
    """Build a request in OpenAI's format; only streams can stop."""
    body: dict[str, Any] = {
        "messages": request.messages,
        "max_tokens": MAX_TOKENS_DEFAULT,
        **request.sampling.members("max_tokens"),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.schema != NULL:
        named = {"name": "artifact", "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return msgspec.json.encode(body)


class LlamaEngine:
    """One process with one model. One request at a time; `stop` and `kill` from any thread."""

    def __init__(self, model: Path, *, context_tokens: int, threads: int) -> None:
        """Start the process, which begins to load."""
        # The program is ours; -P keeps its directory, which is no package root, off its path. A
        # session of its own keeps Ctrl-C from it: the daemon decides when it ends.
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-P", str(_WORKER), str(model), str(context_tokens), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._end = weakref.finalize(self, _end, self._process)
        # Protects the lines written to stdin from each other.
        self._writing = threading.Lock()
        self._number = 0

    @property
    def process_id(self) -> int:
        return self._process.pid

    def wait_loaded(self) -> None:
        """Wait until the model is loaded.

        Raises:
            EngineEnded: It could not be loaded.
        """
        answer = self._read()
        if not answer.ready:
            raise EngineEnded(answer.failed or "it did not report whether it loaded")

    def next_number(self) -> int:
        """Return the number of the next question, by which it can be stopped."""
        self._number += 1
        return self._number

    def ask(
        self, number: int, body: bytes, *, deadline_ms: int, on_began: Callable[[], None]
    ) -> EngineAnswer:
        """Send a request and wait for the answer, at the latest until shortly after the deadline.

        Args:
            number: From `next_number`.
            body: A streamed chat completion request in OpenAI's form.
            deadline_ms: After this time the engine stops at its next token.
            on_began: Called at the first token.

        Raises:
            EngineEnded: The process died.
        """
        # A line break in JSON is white space: inside a string it is escaped.
        line = b'{"number":%d,"deadline_ms":%d,"body":%b}\n' % (
            number,
            deadline_ms,
            body.replace(b"\n", b" "),
        )
        try:
            self._write(line)
        except (OSError, ValueError) as error:
            raise EngineEnded(self._ending()) from error
        while (answer := self._read()).began:
            on_began()
        return answer

    def stop(self, number: int) -> None:
        """Stop request `number` at its next token; no effect if it has ended."""
        # A process that is gone has stopped indeed, and who waits for its answer is told.
        with contextlib.suppress(OSError, ValueError):
            self._write(b'{"stop":%d}\n' % number)

    def kill(self) -> None:
        """Kill the process at once; its callers get an error."""
        self._process.kill()

    def close(self) -> None:
        """End the process and free what belongs to it; after 2 s it is killed."""
        self._end()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with self._writing:
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _read(self) -> EngineAnswer:
        assert self._process.stdout is not None
        try:
            return _ANSWER.decode(self._process.stdout.readline())
        except (ValueError, msgspec.DecodeError) as error:
            raise EngineEnded(self._ending()) from error

    def _ending(self) -> str:
        try:
            return f"its process ended with exit code {self._process.wait(_END_S)}"
        except subprocess.TimeoutExpired:
            return "its process stopped answering"


class Generation:
    """One running generation: started by a thread, stopped by the event loop."""

    def __init__(self, deadline_ms: float) -> None:
        self.began = False
        self.stopped = False
        self._end_s = time.monotonic() + deadline_ms / 1000
        self._question: tuple[LlamaEngine, int] | None = None

    def left_ms(self) -> int:
        """Milliseconds until the deadline; zero once it was stopped."""
        return 0 if self.stopped else max(0, int((self._end_s - time.monotonic()) * 1000))

    def ask(self, engine: LlamaEngine, request: ChatRequest) -> EngineAnswer:
        """Ask an engine and wait for the answer; `stopped` without time left. Raises likewise."""
        number = engine.next_number()
        self._question = (engine, number)
        left_ms = self.left_ms()
        if left_ms == 0:
            return EngineAnswer(stopped=True)
        return engine.ask(number, body_of(request), deadline_ms=left_ms, on_began=self.begin)

    def begin(self) -> None:
        """Note the first token."""
        self.began = True

    def stop(self) -> None:
        """Stop it at its next token, or before it is asked."""
        # In this order: the thread names its question first and looks at `stopped` then.
        self.stopped = True
        if self._question is not None:
            engine, number = self._question
            engine.stop(number)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and close its pipes; runs at `close`, else when the engine is dropped."""
    assert process.stdin is not None
    assert process.stdout is not None
    # What a dead process left unread is lost either way.
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
