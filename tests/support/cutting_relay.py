"""A relay before a server that cuts the connections of sessions at a chosen place."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Literal

_SESSION = b"POST /v1/iterate"
_LOOK = b"GET /v1/sessions/"
_HEAD_BYTES = 12  # `HTTP/1.1 200`
_BODY_BYTES = 30  # of an answer that is far longer
_LOOK_S = 0.01

Place = Literal["request", "session", "answer", "head", "body", "attempt"]


class CuttingRelay:
    """Relays to a port of this machine, and cuts the first `cuts_left` sessions.

    `at`: half of the request arrived; the session runs, which `runs` says; nothing of the answer
    was relayed, or a part of its head, or of its body; the line of the first attempt was. `cuts`
    counts what was cut, `sessions` the calls for one, and `looks` those for its rows. `then` is
    called after each cut.
    """

    def __init__(
        self,
        port: int,
        *,
        at: Place,
        cuts: int = 1,
        runs: Callable[[], object] = lambda: False,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self.cuts = self.sessions = self.looks = 0
        self.cuts_left = cuts
        self._at = at
        self._runs = runs
        self._then = then
        self._to = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator["CuttingRelay"]:
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._socket.shutdown(socket.SHUT_RDWR)
            thread.join(60)
            self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(caller,), daemon=True).start()

    def _relay(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller:
            if self._ends_in_cut(caller):
                self.cuts_left -= 1
                self.cuts += 1
                caller.close()
                self._then()

    def _ends_in_cut(self, caller: socket.socket) -> bool:
        """Relay until one side closes, or a session is to be cut."""
        with (
            socket.create_connection(("127.0.0.1", self._to)) as server,
            selectors.DefaultSelector() as waiting,
        ):
            waiting.register(caller, selectors.EVENT_READ, server)
            waiting.register(server, selectors.EVENT_READ, caller)
            in_session, answer = False, b""
            while True:
                for key, _ in waiting.select(_LOOK_S):
                    data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                    if not data:
                        return False
                    end = None
                    self.looks += key.fileobj is caller and data.startswith(_LOOK)
                    if key.fileobj is caller and data.startswith(_SESSION):
                        in_session = True
                        self.sessions += 1
                        end = len(data) // 2 if self._at == "request" else None
                    elif key.fileobj is server and in_session:
                        end = self._end(answer + data)
                        end = None if end is None else end - len(answer)
                        answer += data
                    if end is not None and self.cuts_left:
                        key.data.sendall(data[:end])
                        return True
                    key.data.sendall(data)
                if in_session and self.cuts_left and self._at == "session" and self._runs():
                    return True

    def _end(self, answer: bytes) -> int | None:
        """Return how many bytes of an answer are relayed, if it is to be cut there."""
        if self._at == "answer":
            return 0
        if self._at == "head":
            return _HEAD_BYTES if len(answer) >= _HEAD_BYTES else None
        if self._at == "attempt":
            line = answer.find(b'{"attempt"')
            return answer.find(b"\n", line) + 1 or None if line >= 0 else None
        head, found, body = answer.partition(b"\r\n\r\n")
        cut = self._at == "body" and found and len(body) > _BODY_BYTES
        return len(head) + len(found) + _BODY_BYTES if cut else None
