"""The providers there are: the one table that names them, and the models where nobody names one."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final, cast

from lakehouse.providers.provider import ModelSettings

# A provider is the module of its name, and here the type of its settings.
_TYPES: Final = {
    "llama_cpp": "LlamaCppSettings",
    "ollama": "OllamaSettings",
    "openai": "OpenAiSettings",
    "scripted": "ScriptedSettings",
}


class _Providers(Mapping[str, type[ModelSettings]]):
    """Settings types by what `provider` says; a module is loaded when its provider is looked up."""

    def __getitem__(self, name: str) -> type[ModelSettings]:
        settings = _TYPES[name]
        module = import_module(f"lakehouse.providers.{name}")
        return cast("type[ModelSettings]", getattr(module, settings))

    def __iter__(self) -> Iterator[str]:
        return iter(_TYPES)

    def __len__(self) -> int:
        return len(_TYPES)


PROVIDERS: Final[Mapping[str, type[ModelSettings]]] = _Providers()


def default_models() -> Mapping[str, ModelSettings]:
    """Return the models of a configuration that names none."""
    from lakehouse.providers.llama_cpp import LlamaCppSettings  # noqa: PLC0415  only where needed
    from lakehouse.providers.weights import SMOLLM2  # noqa: PLC0415  likewise

    return {"small": LlamaCppSettings(model=SMOLLM2)}
