"""One model's HTTP endpoint: its address, key, limits and trace header, for any dialect."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.limits import UPSTREAM_BODY_BYTES_MAX
from lakehouse.providers.access import Access
from lakehouse.providers.http_fault import fault_of_status, fault_of_transport
from lakehouse.providers.provider import ModelSettings
from lakehouse.transport.client import (
    HttpClient,
    HttpLimits,
    HttpReply,
    TransportFault,
    check_header,
    check_url,
)

STATE_MS: Final = 2_000  # the whole of one question about a model's state


class Endpoint:
    """Calls to one base URL; every failure leaves as a `ProviderFault`.

    Raises:
        SetupError: The base URL or the key cannot be sent as they stand.
    """

    def __init__(
        self, settings: ModelSettings, http: HttpClient, base_url: str, access: Access
    ) -> None:
        self.model = settings.model
        self._settings = settings
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._query = f"?{urlencode(access.query)}" if access.query else ""
        api_key = access.api_key
        self.secrets = access.secrets
        self._headers = {**access.headers, "content-type": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        try:
            check_url(self._base_url)
        except ValueError as error:
            raise SetupError(f"base_url of model {self.model!r}: {error}.") from error
        try:
            check_header("authorization", f"Bearer {api_key}")
        except ValueError as error:
            raise SetupError(
                f"The API key of model {self.model!r} holds a character that no header may hold, "
                "such as a line break."
            ) from error

    async def post(
        self, path: str, body: object, *, trace: Mapping[str, str], deadline_ms: int
    ) -> HttpReply:
        """Send one model call and give its 2xx answer; `body` is encoded as JSON.

        `trace` are headers to send along.

        Raises:
            ProviderFault: Every other outcome.
        """
        limits = self._limits(self._settings.first_byte_ms(), deadline_ms)
        return await self._post(path, body, {**self._headers, **trace}, limits)

    async def load(self, path: str, body: object) -> HttpReply:
        """Send a call that may take as long as a load (`load_timeout_ms`) to answer.

        Raises:
            ProviderFault: Every outcome but a 2xx answer; `timeout` where the time ran out.
        """
        limits = self._limits(self._settings.load_timeout_ms, self._settings.load_timeout_ms)
        return await self._post(path, body, self._headers, limits)

    async def ask(self, path: str) -> HttpReply:
        """GET within 2 s, whatever the status.

        Raises:
            TransportFault: No answer.
        """
        limits = self._limits(STATE_MS, STATE_MS)
        return await self._http.get(
            self._base_url + path + self._query, headers=self._headers, limits=limits
        )

    async def _post(
        self, path: str, body: object, headers: dict[str, str], limits: HttpLimits
    ) -> HttpReply:
        try:
            reply = await self._http.post(
                self._base_url + path + self._query,
                headers=headers,
                body=msgspec.json.encode(body),
                limits=limits,
            )
        except TransportFault as fault:
            raise fault_of_transport(self.model, fault) from fault
        if not 200 <= reply.status < 300:
            raise fault_of_status(self.model, reply, secrets=self.secrets)
        return reply

    def _limits(self, first_byte_ms: int, total_ms: int) -> HttpLimits:
        return HttpLimits(
            connect_ms=self._settings.connect_timeout_ms,
            first_byte_ms=first_byte_ms,
            idle_ms=self._settings.idle_timeout_ms,
            total_ms=total_ms,
            body_bytes_max=UPSTREAM_BODY_BYTES_MAX,
        )


def token_count(value: Any) -> int | None:
    """Take a token count as reported; None for anything that is not one."""
    return value if type(value) is int and value >= 0 else None
