"""The head of one request: its target and its header fields, and whether they can be trusted."""

import urllib.parse
from typing import NamedTuple

from lakehouse.core.errors import Refusal


class Target(NamedTuple):
    """What a request asks for. `path` is percent-decoded, `raw_path` is not.

    `query` follows the `?`. `authority` is that of a target in absolute form; None for others.
    """

    path: str
    raw_path: str
    query: str
    authority: str | None


class RequestHead:
    """A head while it is read; the connection fills it.

    `url` is the target as it came. `headers`: lowercase name → values in order, decoded as Latin-1.
    `header_bytes` is the length of all names and values.
    """

    __slots__ = ("header_bytes", "headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, list[str]] = {}
        self.header_bytes = 0

    def check_framing(self, version: str) -> None:
        """Check that an older or more lenient parser would see the same message.

        Raises:
            Refusal: It might not.
        """
        if version not in {"1.0", "1.1"}:
            raise Refusal("invalid_request", f"HTTP/{version} is not supported; use HTTP/1.1.")
        codings = self.headers.get("transfer-encoding")
        if codings is None:
            return
        if version == "1.0" or [each.lower() for each in codings] != ["chunked"]:
            raise Refusal(
                "invalid_request",
                "Transfer-Encoding must be exactly `chunked`, and needs HTTP/1.1.",
            )

    def target(self, method: str) -> Target:
        """Split the target into the parts that routing needs.

        Raises:
            Refusal: It is not the path of a request, nor a URL.
        """
        text = self.url.decode("latin-1")
        path, _, query = text.partition("?")
        authority = None
        if not text.startswith("/"):
            authority, path, query = _other_target(method, text)
        if not text.isascii() or "#" in text:
            raise Refusal("invalid_request", "The request's target is not percent-encoded.")
        decoded = urllib.parse.unquote(path) if "%" in path else path
        return Target(decoded, path, query, authority)

    def without_upgrade(self, method: bytes, version: str) -> bytes:
        """Encode the head again, without its offer of another protocol."""
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [
            f"{name}: {value}".encode("latin-1")
            for name, values in self.headers.items()
            for value in values
            if name != "upgrade"
        ]
        return b"\r\n".join([*lines, b"", b""])


def _other_target(method: str, target: str) -> tuple[str | None, str, str]:
    """Parse a target in absolute form, or the `*` of OPTIONS; refuse any other.

    Returns:
        Its authority, path and query.
    """
    if target == "*" and method == "OPTIONS":
        return None, target, ""
    scheme, colon, rest = target.partition("://")
    if method == "CONNECT" or not colon or scheme.lower() not in {"http", "https"}:
        raise Refusal(
            "invalid_request", "The request's target must be a path, such as /v1/iterate."
        )
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    return authority, slash + path or "/", query
