"""The four ways to a client: in this process or over HTTP, waiting or with asyncio."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.core.errors import SetupError
from lakehouse.core.wording import shown
from lakehouse.library.async_lake import AsyncLake
from lakehouse.library.checks import CheckRegistry
from lakehouse.library.errors import told
from lakehouse.library.hooks import Hooks
from lakehouse.library.in_process import InProcess
from lakehouse.library.lake import Lake
from lakehouse.library.over_http import OverHttp, check_address
from lakehouse.library.runner import SessionRunner

if TYPE_CHECKING:
    from lakehouse.config.settings import Config

Settings = str | os.PathLike[str] | Mapping[str, Any] | None
"""A configuration file, its sections as a dict, or None."""


def open(config: Settings = None) -> Lake:  # noqa: A001  read as `lakehouse.open`
    """Open a stack in this process: no server, no port. Rows go to the configured log.

    >>> with lakehouse.open("lakehouse.toml") as lake:
    ...     lake.create(Event, "BCN Barcelona: VY3901 delayed 25 minutes.")
    Event(airport='BCN', minutes=25)

    Args:
        config: A file, or its sections as a dict, whose relative paths start at the working
            directory. None: as for the commands, `$LAKEHOUSE_CONFIG`, else `lakehouse.toml` in the
            working directory, else the built-in defaults.

    Raises:
        SetupError: The configuration cannot be used; names the file, the field, what is allowed.
    """
    return Lake(_local(config))


def open_async(config: Settings = None) -> AsyncLake:
    """Open a stack in this process, for asyncio. Use it with `async with`. See `open`.

    >>> async def main() -> Event:
    ...     async with lakehouse.open_async("lakehouse.toml") as lake:
    ...         return await lake.create(Event, "BCN Barcelona: VY3901 delayed 25 minutes.")
    >>> asyncio.run(main())
    Event(airport='BCN', minutes=25)
    """
    return AsyncLake(_local(config)(), CheckRegistry(), Hooks())


def _local(config: Settings) -> Callable[[], SessionRunner]:
    with told():
        settings = config_of(config)
    return lambda: InProcess(settings)


def config_of(config: Settings) -> "Config":
    """Return the configuration that `open` uses.

    Raises:
        SetupError: It cannot be used.
    """
    # Only where it is used: a remote client needs no configuration.
    from lakehouse.config.load import config_of_values, load_config  # noqa: PLC0415  as said

    if isinstance(config, Mapping):
        return config_of_values(config)
    if config is None:
        return load_config(None, os.environ)
    if isinstance(config, str | os.PathLike):
        return load_config(Path(config), os.environ)
    raise SetupError(
        f"The configuration is {shown(config)}; it must be a path, a dict of sections, or None.",
        hint='For example lakehouse.open("lakehouse.toml").',
    )


def connect(url: str, *, api_key: str | None = None) -> Lake:
    """Connect to a running gateway, such as `http://127.0.0.1:4110`.

    >>> with lakehouse.connect("http://127.0.0.1:4110") as lake:
    ...     lake.create(Event, "BCN Barcelona: VY3901 delayed 25 minutes.")
    Event(airport='BCN', minutes=25)

    Args:
        url: The gateway's address; `/v1` at its end is left out.
        api_key: One of its keys, if it wants one.

    Raises:
        SetupError: The address or the key cannot be used. It is not called yet.
    """
    return Lake(_remote(url, api_key))


def connect_async(url: str, *, api_key: str | None = None) -> AsyncLake:
    """Connect to a running gateway, for asyncio. Use it with `async with`. See `connect`.

    >>> async def main() -> Event:
    ...     async with lakehouse.connect_async("http://127.0.0.1:4110") as lake:
    ...         return await lake.create(Event, "BCN Barcelona: VY3901 delayed 25 minutes.")
    >>> asyncio.run(main())
    Event(airport='BCN', minutes=25)
    """
    return AsyncLake(_remote(url, api_key)(), CheckRegistry(), Hooks())


def _remote(url: str, api_key: str | None) -> Callable[[], SessionRunner]:
    with told():
        check_address(url, api_key)
    return lambda: OverHttp(url, api_key)
