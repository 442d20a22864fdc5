"""The providers there are: the one table that names them, and the model where nobody names one."""

from collections.abc import Mapping
from typing import Final

from lakehouse.providers.llama_cpp import LlamaCppSettings
from lakehouse.providers.ollama import OllamaSettings
from lakehouse.providers.openai import OpenAiSettings
from lakehouse.providers.provider import ModelSettings, name_of
from lakehouse.providers.scripted import ScriptedSettings
from lakehouse.providers.weights import SMOLLM2

PROVIDERS: Final[Mapping[str, type[ModelSettings]]] = {
    name_of(settings): settings
    for settings in (
        LlamaCppSettings,
        OllamaSettings,
        OpenAiSettings,
        ScriptedSettings,
    )
}
"""Settings types by what `provider` says in the configuration."""

DEFAULT_MODELS: Final[Mapping[str, ModelSettings]] = {"small": LlamaCppSettings(model=SMOLLM2)}
