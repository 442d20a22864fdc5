"""One answer to a caller of HTTP/1.0, such as nginx with its defaults."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class UntilCloseCycle(RequestResponseCycle):
    """Ends a body without a length with the connection: HTTP/1.0 knows no chunks.

    uvicorn itself would send chunks, whose sizes such a caller takes for content.
    """

    _until_close = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._until_close = all(name != b"content-length" for name, _ in message["headers"])
            if self._until_close:
                self.chunked_encoding = False
        elif self._until_close:
            self.expected_content_length = len(message["body"])
        await super().send(message)
