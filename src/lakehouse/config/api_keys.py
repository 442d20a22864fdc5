"""Reads the API keys that the configuration names."""

from collections.abc import Mapping

from lakehouse.config.settings import Config
from lakehouse.gateway.auth import KeyRing


def key_ring(config: Config, environment: Mapping[str, str]) -> KeyRing | None:
    """Read the API keys from the environment and from their file; None if none are configured.

    Raises:
        SetupError: The variable or the file is missing or malformed, or both have a key of one
            name, or an administrator has no key.
    """
    gateway = config.gateway
    rings = []
    if gateway.api_keys_env is not None:
        text = environment.get(gateway.api_keys_env, "")
        rings.append(KeyRing.parse(text, variable=f"${gateway.api_keys_env}"))
    if gateway.api_keys_file is not None:
        rings.append(KeyRing.read(config.path(gateway.api_keys_file)))
    if not rings:
        return None
    ring = KeyRing.joined(rings)
    ring.check_names(gateway.admin_keys, f"{config.source}: gateway.admin_keys")
    return ring
