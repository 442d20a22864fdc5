"""The HTTP clients of models: one shared client, and separate ones for own proxies or certificates.

A model with its own proxy or certificate authorities needs a separate client; all others share the
one configured by the environment.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path

from lakehouse.core.errors import SetupError
from lakehouse.transport.client import HttpClient
from lakehouse.transport.proxy import Proxies


class ModelClients:
    """Makes clients, and closes them all."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._clients: dict[tuple[str | None, Path | None], HttpClient] = {}

    def client(self, field: str, *, proxy: str | None, ca_file: Path | None) -> HttpClient:
        """Return the client of a model; `field` names it in messages.

        Raises:
            SetupError: The proxy or the file of authorities cannot be used.
        """
        key = proxy, ca_file
        if key not in self._clients:
            self._clients[key] = HttpClient(
                tls=None if ca_file is None else _trusting(ca_file, f"{field}.ca_file"),
                proxies=self._proxies(field, proxy),
            )
        return self._clients[key]

    async def close(self) -> None:
        """Close every client; calls under way end as `connect`."""
        for client in self._clients.values():
            await client.close()

    def _proxies(self, field: str, proxy: str | None) -> Proxies:
        try:
            if proxy is not None:
                return Proxies.fixed(proxy)
            return Proxies.of_environment(self._environment)
        except ValueError as fault:
            place = f"{field}.proxy" if proxy is not None else f"{field}: the environment's"
            raise SetupError(
                f"{place} {fault}.",
                hint="Correct it, or list the hosts to reach without a proxy in NO_PROXY."
                if proxy is None
                else "Write http://host:port, or a variable that contains it.",
            ) from fault


def _trusting(ca_file: Path, field: str) -> ssl.SSLContext:
    """Trust the system's authorities and those of a file."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        cause = "it contains no PEM certificate" if isinstance(error, ssl.SSLError) else None
        raise SetupError(
            f"{field}: {ca_file}: {cause or error.strerror}.",
            hint="The path is relative to the configuration file; it contains one or more CA "
            "certificates, each between BEGIN and END CERTIFICATE.",
        ) from error
    return context
