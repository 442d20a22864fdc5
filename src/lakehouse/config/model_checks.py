"""What must hold between the settings of one model: which of them its provider knows, and values.

A setting that would be ignored is refused: it would look as if it were in force.
"""

import math
from collections.abc import Callable
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from lakehouse.config.texts import shown
from lakehouse.core.chat import Sampling
from lakehouse.core.errors import SetupError
from lakehouse.core.limits import SEED_MAX, TEMPERATURE_MAX, TOKENS_MAX
from lakehouse.providers.access import header_fault, variables_of
from lakehouse.providers.provider import ModelSettings, ProviderName
from lakehouse.transport.client import check_url
from lakehouse.transport.proxy import ProxyAddress
from lakehouse.validation.reasoning_marks import pair_fault

ErrorAt = Callable[[str, str], SetupError]

_BY_HTTP: Final = frozenset({"openai", "ollama"})
_KNOWN_TO: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(
        ("base_url", "api_key_env", "response_format", "extra_body", "headers", "query", "proxy",
         "ca_file"),
        _BY_HTTP,
    ),
    "max_tokens_field": frozenset({"openai"}),
    "keep_alive": frozenset({"ollama"}),
    "think": frozenset({"ollama"}),
    "context_tokens": frozenset({"llama_cpp", "ollama"}),
    "script": frozenset({"scripted"}),
}  # fmt: skip
_INSTEAD: Final = {
    "think": '; of an OpenAI-compatible endpoint write extra_body = { reasoning_effort = "low" }, '
    "or what its documentation names",
    "max_tokens_field": "; Ollama's own API has one name for it, num_predict",
    "context_tokens": "; of an OpenAI-compatible endpoint it is the server's own setting",
}
_OWN_MEMBERS: Final = {
    "openai": frozenset({"model", "messages", "stream", "response_format", "temperature", "top_p",
                         "max_tokens", "max_completion_tokens", "seed", "stop"}),
    "ollama": frozenset({"model", "messages", "stream", "format", "think", "keep_alive"}),
}  # fmt: skip
_OWN_OPTIONS: Final = frozenset({"num_ctx", "temperature", "top_p", "seed", "num_predict", "stop"})
_STOPS_MAX: Final = 16


def check_model(field: str, model: ModelSettings, error: ErrorAt) -> None:
    """Check the settings of one model.

    Raises:
        SetupError: Made by `error(field, message)` for the first thing that does not hold.
    """
    for name, providers in _KNOWN_TO.items():
        if getattr(model, name) not in (None, {}) and model.provider not in providers:
            known = " and ".join(repr(one) for one in get_args(ProviderName) if one in providers)
            raise error(
                f"{field}.{name}",
                f"provider {model.provider!r} takes none; only {known} does"
                f"{_INSTEAD.get(name, '')}",
            )
    if model.provider in _BY_HTTP:
        _check_url(f"{field}.base_url", model, error)
        _check_access(field, model, error)
        _check_extra_body(f"{field}.extra_body", model, error)
    if model.provider == "scripted" and model.script is None:
        raise error(f"{field}.script", "is missing; provider 'scripted' needs a file of answers")
    if model.slots is not None:
        check_range(f"{field}.slots", model.slots, 1, 10_000, error)
    for name in ("connect", "load", "first_byte", "idle"):
        value = getattr(model, f"{name}_timeout_ms")
        if value is not None:
            check_range(f"{field}.{name}_timeout_ms", value, 1, 3_600_000, error)
    if model.context_tokens is not None:
        check_range(f"{field}.context_tokens", model.context_tokens, 1, 1 << 24, error)
    for index, pair in enumerate(model.reasoning_marks):
        why = pair_fault(*pair)
        if why is not None:
            raise error(f"{field}.reasoning_marks", f"pair {index + 1}, {list(pair)!r}: {why}")
    check_sampling(field, model.sampling(), error)


def check_sampling(field: str, sampling: Sampling, error: ErrorAt) -> None:
    """Check the sampling of a model or a kind; raises likewise."""
    _check_number(f"{field}.temperature", sampling.temperature, TEMPERATURE_MAX, error)
    _check_number(f"{field}.top_p", sampling.top_p, 1.0, error)
    for name, low, high in (("max_tokens", 1, TOKENS_MAX), ("seed", 0, SEED_MAX)):
        value = getattr(sampling, name)
        if value is not None:
            check_range(f"{field}.{name}", value, low, high, error)
    stop = sampling.stop
    if stop is not None and not (0 < len(stop) <= _STOPS_MAX and all(stop)):
        raise error(
            f"{field}.stop", f"is {list(stop)!r}; allowed are 1 to {_STOPS_MAX} texts, none empty"
        )


def check_range(field: str, value: int, low: int, high: int, error: ErrorAt) -> None:
    """Check that a number lies within its bounds; raises likewise."""
    if not low <= value <= high:
        raise error(field, f"is {shown(value)}; allowed is {low} to {high}")


def _check_number(field: str, value: float | None, high: float, error: ErrorAt) -> None:
    if value is not None and not (math.isfinite(value) and 0 <= value <= high):
        raise error(field, f"is {value}; allowed is 0 to {high:g}")


def _check_url(field: str, model: ModelSettings, error: ErrorAt) -> None:
    url = model.base_url
    if url is None:
        raise error(field, f"is missing; provider {model.provider!r} needs it")
    if not url.startswith(("http://", "https://")):
        raise error(field, f"is {url!r}; it must begin with http:// or https://")
    try:
        check_url(url)
    except ValueError as fault:
        raise error(field, f"is {fault}") from fault
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise error(field, "must not hold a `?` or `#`; write `query = { … }` beside it")
    if model.provider != "openai":
        return
    if not parts.path:
        raise error(
            field,
            f"is {url!r}, which has no path; write the API's whole address, such as {url}/v1 "
            f"(or {url}/ where it really is at the root)",
        )
    path = parts.path.rstrip("/")
    for ending in ("/chat/completions", "/completions", "/models"):
        if path.endswith(ending):
            raise error(field, f"is {url!r}; leave {ending} out, it is added to each call")


def _check_access(field: str, model: ModelSettings, error: ErrorAt) -> None:
    for name, value in model.headers.items():
        fault = header_fault(name, value, with_key=model.api_key_env is not None)
        if fault is not None:
            raise error(f"{field}.headers.{name}", fault)
    if model.proxy is not None and not variables_of(model.proxy):
        try:
            address = ProxyAddress.parse(model.proxy)
        except ValueError as fault:
            raise error(f"{field}.proxy", str(fault)) from fault
        if address.authorization is not None:
            raise error(
                f"{field}.proxy",
                "holds a password; name a variable that holds the whole address instead: "
                'proxy = "$MODEL_PROXY"',
            )


def _check_extra_body(field: str, model: ModelSettings, error: ErrorAt) -> None:
    for name, value in model.extra_body.items():
        if name in _OWN_MEMBERS[model.provider]:
            raise error(f"{field}.{name}", _own(name))
        if model.provider == "ollama" and name == "options":
            _check_options(f"{field}.options", value, error)


def _check_options(field: str, value: Any, error: ErrorAt) -> None:
    if not isinstance(value, dict):
        raise error(field, f"is {value!r}; it must be a table")
    for name in value:
        if name in _OWN_OPTIONS:
            raise error(f"{field}.{name}", _own(name))


def _own(name: str) -> str:
    setting = {
        "max_completion_tokens": 'max_tokens and max_tokens_field = "max_completion_tokens"',
        "num_predict": "max_tokens",
        "num_ctx": "context_tokens",
        "format": "response_format",
    }.get(name, name)
    if name in {"messages", "stream"}:
        return "is set by Lakehouse for each call; leave it out"
    return f"is a setting of its own; write {setting} under the model"
