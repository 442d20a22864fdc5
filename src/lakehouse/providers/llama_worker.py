"""The child program of one `llama_cpp` engine: requests on stdin, answers on stdout.

A separate process, because the binding holds the interpreter lock while a model loads, llama.cpp
prints freely and aborts the process on internal errors, and only a process returns its memory.
Started by `llama_engine.py`, never by hand.

Lines of JSON. In: `{"number", "deadline_ms", "body"}`, the body in OpenAI's form; `{"stop": n}`
stops question n and all before it. Out: `{"ready": true}` or `{"failed": text}` once; then for
each question `{"began": true}` at its first token and one answer, `{"text", "thinking", "finish",
"usage", "error", "stopped"}`. The end of stdin ends the program at once.

Imports nothing of Lakehouse: its directory is not on the path of this program.
"""

import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

_SOCKET_DIRECTORY_MAX = 80  # of the 108 bytes that the path of a socket may have


class Worker:
    """One engine and its two pipes."""

    def __init__(self, inlet: BinaryIO, outlet: BinaryIO) -> None:
        self._inlet = inlet
        self._outlet = outlet
        self._questions: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._stopped_to = 0

    def run(self, model: str, context_tokens: int, threads: int) -> None:
        """Load and answer until stdin ends."""
        try:
            engine = _load(model, context_tokens, threads)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            self._say({"failed": f"{type(error).__name__}: {error}"})
            return
        threading.Thread(target=self._listen, daemon=True).start()
        self._say({"ready": True})
        while True:
            self._answer(engine, self._questions.get())

    def _listen(self) -> None:
        try:
            for line in self._inlet:
                message = json.loads(line)
                if "stop" in message:
                    self._stopped_to = max(self._stopped_to, message["stop"])
                else:
                    self._questions.put(message)
        finally:
            # Nobody is left to answer to; whatever the engine does right now may be cut off.
            os._exit(0)

    def _answer(self, engine: Any, question: dict[str, Any]) -> None:
        number = question["number"]
        end_s = time.monotonic() + question["deadline_ms"] / 1000
        text: list[str] = []
        thinking: list[str] = []
        answer: dict[str, Any] = {"finish": None, "usage": None, "error": None, "stopped": False}

        def take(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                answer["error"] = str(chunk["error"].get("message", chunk["error"]))
                return True
            answer["usage"] = chunk.get("usage") or answer["usage"]
            for choice in chunk.get("choices", ()):
                delta = choice["delta"]
                said, thought = delta.get("content") or "", delta.get("reasoning_content") or ""
                if (said or thought) and not (text or thinking):
                    self._say({"began": True})
                if said:
                    text.append(said)
                if thought:
                    thinking.append(thought)
                answer["finish"] = choice.get("finish_reason") or answer["finish"]
            # A stopped stream ends the generation: this is the only way to interrupt it.
            answer["stopped"] = number <= self._stopped_to or time.monotonic() > end_s
            return bool(answer["stopped"])

        try:
            engine.handle_chat_completions(question["body"], take)
        except (RuntimeError, ValueError) as error:
            answer["error"] = str(error)
        self._say({"text": "".join(text), "thinking": "".join(thinking), **answer})

    def _say(self, message: dict[str, Any]) -> None:
        self._outlet.write(json.dumps(message).encode() + b"\n")
        self._outlet.flush()


def _load(model: str, context_tokens: int, threads: int) -> Any:
    import xllamacpp  # noqa: PLC0415 - its absence is one of the failures that are told

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = context_tokens
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    params.warmup = params.fit_params = params.ui = False
    params.cache_ram_mib = 0  # else up to 8 GiB of old prompts are kept
    params.n_threads_http = 1
    # The engine always opens a server socket. This one has no port, and after this block no name
    # either, so nobody can reach it.
    parent = tempfile.gettempdir()
    short = len(parent) <= _SOCKET_DIRECTORY_MAX
    with tempfile.TemporaryDirectory(dir=parent if short else "/tmp") as private:  # noqa: S108  a socket path is short
        params.hostnames = [str(Path(private) / "engine.sock")]
        return xllamacpp.Server(params)


def main() -> None:
    """Keep the pipes to ourselves and silence everything else that might be printed."""
    # A service manager signals every process of the daemon. The daemon then still ends its
    # sessions with our answers; we end when it does.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outlet = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    model, context_tokens, threads = sys.argv[1:]
    Worker(sys.stdin.buffer, outlet).run(model, int(context_tokens), int(threads))


if __name__ == "__main__":
    main()
