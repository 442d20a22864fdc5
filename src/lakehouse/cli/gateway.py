"""The command line's caller of a running gateway."""

from collections.abc import Mapping
from typing import Final

from lakehouse.core.errors import SetupError
from lakehouse.library.gateway_caller import CallerWords, GatewayCaller

_WORDS: Final = CallerWords(
    url="--url",
    needs_key="Set --api-key-env to the name of the environment variable that contains it.",
)


def gateway_caller(
    url: str, api_key_env: str | None, environment: Mapping[str, str]
) -> GatewayCaller:
    """Return a caller with the key that a variable of the environment holds.

    Raises:
        SetupError: The URL or the key cannot be used as they stand.
    """
    if api_key_env is None:
        return GatewayCaller(url, None, _WORDS)
    key = environment.get(api_key_env)
    if not key:
        raise SetupError(f"${api_key_env} is named by --api-key-env, but is not set.")
    return GatewayCaller(url, key, _WORDS, key_name=f"${api_key_env}")
