"""A relay before a server that cuts connections when the server answers a session."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

_SESSION = b"POST /v1/iterate"


class CuttingRelay:
    """Relays to a port of this machine. `cuts_left` answers of sessions are dropped, not relayed.

    Each dropped answer closes its connection; `cuts` counts them. `sessions` counts the calls for
    one.
    """

    def __init__(self, port: int, *, cuts: int) -> None:
        self.cuts = self.sessions = 0
        self.cuts_left = cuts
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
            thread.join(10)
            self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(caller,), daemon=True).start()

    def _relay(self, caller: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            caller,
            socket.create_connection(("127.0.0.1", self._to)) as server,
            selectors.DefaultSelector() as waiting,
        ):
            waiting.register(caller, selectors.EVENT_READ, server)
            waiting.register(server, selectors.EVENT_READ, caller)
            in_session = False
            while True:
                for key, _ in waiting.select():
                    data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                    if not data:
                        return
                    if key.fileobj is caller and data.startswith(_SESSION):
                        in_session = True
                        self.sessions += 1
                    if key.fileobj is server and in_session and self.cuts_left:
                        self.cuts_left -= 1
                        self.cuts += 1
                        return
                    key.data.sendall(data)
