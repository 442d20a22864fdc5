"""A provider at an endpoint of either dialect, for tests that hold for both."""

from typing import Any

from lakehouse.providers.access import OPEN, Access
from lakehouse.providers.ollama import OllamaProvider, OllamaSettings
from lakehouse.providers.openai import OpenAiProvider, OpenAiSettings
from lakehouse.transport.client import HttpClient


def provider_at(
    dialect: str, base_url: str, http: HttpClient, *, access: Access = OPEN, **settings: Any
) -> OpenAiProvider | OllamaProvider:
    """Make one for the model `m`."""
    if dialect == "openai":
        api = OpenAiSettings(model="m", base_url=base_url, **settings)
        return OpenAiProvider(api, http, access=access)
    server = OllamaSettings(model="m", base_url=base_url, **settings)
    return OllamaProvider(server, http, access=access)
