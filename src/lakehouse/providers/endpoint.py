"""One model's HTTP endpoint: its URL, key, limits and trace header, for any dialect."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from lakehouse.core.chat import Usage
from lakehouse.core.errors import SetupError
from lakehouse.core.limits import UPSTREAM_BODY_BYTES_MAX
from lakehouse.providers.access import Access, HttpSettings
from lakehouse.providers.http_fault import fault_of_status, fault_of_transport
from lakehouse.transport.client import (
    HeaderLines,
    HttpClient,
    HttpLimits,
    HttpReply,
    TransportFault,
    check_header,
    check_url,
)

STATE_MS: Final = 2_000  # the whole of one question about a model's state


class Endpoint:
    """Calls to one base URL; every failure becomes a `ProviderFault`.

    Raises:
        SetupError: The base URL or the key cannot be sent as they stand.
    """

    def __init__(
        self, settings: HttpSettings, http: HttpClient, base_url: str, access: Access
    ) -> None:
        self.model = settings.model
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._query = f"?{urlencode(access.query)}" if access.query else ""
        api_key = access.api_key
        self.secrets = access.secrets
        headers = {**access.headers, "content-type": "application/json"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        self._limits = HttpLimits(
            connect_ms=settings.connect_timeout_ms,
            first_byte_ms=settings.first_byte_timeout_ms,
            idle_ms=settings.idle_timeout_ms,
            total_ms=STATE_MS,
            body_bytes_max=UPSTREAM_BODY_BYTES_MAX,
        )
        try:
            check_url(self._base_url)
        except ValueError as error:
            raise SetupError(f"base_url of model {self.model!r}: {error}.") from error
        try:
            check_header("authorization", f"Bearer {api_key}")
        except ValueError as error:
            raise SetupError(
                f"The API key of model {self.model!r} contains a character that is not allowed "
                f"in a header, such as a line break."
            ) from error
        self._headers = HeaderLines(headers)

    async def post(
        self,
        path: str,
        body: object,
        *,
        trace: Mapping[str, str],
        deadline_ms: int,
        first_byte_ms: int | None = None,
    ) -> HttpReply:
        """Send one call and return its 2xx answer; `body` is encoded as JSON.

        `trace` are headers to send along; `first_byte_ms` is the model's own limit unless given.

        Raises:
            ProviderFault: Every other outcome.
        """
        limits = self._limits
        try:
            reply = await self._http.post(
                f"{self._base_url}{path}{self._query}",
                headers=trace,
                shared=self._headers,
                body=msgspec.json.encode(body),
                limits=replace(
                    limits,
                    total_ms=deadline_ms,
                    first_byte_ms=limits.first_byte_ms if first_byte_ms is None else first_byte_ms,
                ),
            )
        except TransportFault as fault:
            raise fault_of_transport(self.model, fault) from fault
        if not 200 <= reply.status < 300:
            raise fault_of_status(self.model, reply, secrets=self.secrets)
        return reply

    async def ask(self, path: str) -> HttpReply:
        """GET within 2 s, whatever the status.

        Raises:
            TransportFault: No answer.
        """
        return await self._http.get(
            f"{self._base_url}{path}{self._query}",
            headers={},
            shared=self._headers,
            limits=replace(self._limits, first_byte_ms=STATE_MS),
        )


def usage_of(prompt: Any, completion: Any) -> Usage:
    """Return reported token counts; None for anything that is not one."""
    return Usage(
        prompt if type(prompt) is int and prompt >= 0 else None,
        completion if type(completion) is int and completion >= 0 else None,
    )
