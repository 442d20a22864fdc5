"""A caller that reads a streamed answer as far as it likes, and leaves as it likes."""

import re
import socket
import ssl
import struct
from typing import NamedTuple, Self

_TIMEOUT_S = 60.0
_SMALL_BYTES = 2_048
_LENGTH = re.compile(
    rb"\A(?:[^\r]+\r\n)*content-length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n", re.IGNORECASE
)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Streamed(NamedTuple):
    """A streamed answer as it arrived; `whole`: its last chunk is there, too."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


class RawStream:
    """One connection and one request. `narrow`: little is received before it is read.

    With `tls` the server is `localhost`.

    It ends with `rest`, with `leave`, or with a `with` block: a test that fails before would else
    leave its socket to the garbage collector, whose warning would fail another test.
    """

    def __init__(
        self,
        port: int,
        request: bytes,
        *,
        narrow: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._socket = socket.socket()
        if narrow:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BYTES)
        self._socket.settimeout(_TIMEOUT_S)
        self.received = b""
        try:
            self._socket.connect(("127.0.0.1", port))
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
            self._socket.sendall(request)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def more(self, count: int = 65_536) -> bytes:
        """Receive some bytes; none at the end of the connection, however it ended."""
        try:
            piece = self._socket.recv(count)
        except ConnectionResetError:
            piece = b""
        self.received += piece
        return piece

    def until(self, mark: bytes) -> None:
        """Receive until these bytes have arrived.

        Raises:
            AssertionError: The connection ended before.
        """
        while mark not in self.received:
            assert self.more(), f"the connection ended before {mark!r}: {self.received[-2_000:]!r}"

    def to(self, count: int) -> None:
        """Receive exactly that many bytes in all, or up to the body's end."""
        while len(self.received) < count and not self._ended:
            if not self.more(count - len(self.received)):
                break

    def rest(self) -> Streamed:
        """Receive up to the connection's end or the body's, and leave.

        Raises:
            EOFError: The connection ended before the answer's head.
        """
        try:
            while not self._ended and self.more():
                pass
        finally:
            self.leave()
        return streamed(self.received)

    @property
    def _ended(self) -> bool:
        length = _LENGTH.search(self.received)
        if length is None:
            return self.received.endswith(_LAST_CHUNK)
        return len(self.received) >= length.end() + int(length[1])

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection, or reset it."""
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


def streamed(received: bytes) -> Streamed:
    """Read an answer in chunks, or one with a length."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        raise EOFError("no head")
    first, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.split(": ", 1) for field in fields)
    headers = {name.lower(): value for name, value in pairs}
    status = int(first.split(" ")[1])
    if "content-length" in headers:
        return Streamed(status, headers, rest, len(rest) == int(headers["content-length"]))
    body, whole = b"", False
    while rest and not whole:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        whole, rest = length == 0, rest[length + 2 :]
    return Streamed(status, headers, body, whole)


def chunk_ends(received: bytes) -> list[int]:
    """Where each chunk of a whole answer ends, in bytes of the connection; first the head."""
    ends = [received.index(b"\r\n\r\n") + 4]
    while ends[-1] < len(received):
        size, _, _ = received[ends[-1] :].partition(b"\r\n")
        ends.append(ends[-1] + len(size) + 2 + int(size, 16) + 2)
    return ends
