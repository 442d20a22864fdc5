"""What the headers of a request say of the client that sent it, for the row's metadata."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from lakehouse.core.metadata import CLIENT_MEMBER, RETRY_MEMBER

_LANGUAGES: Final = {"js": "node"}
_PRODUCT: Final = re.compile(r"([\w.@-]+(?:/[A-Za-z][\w.-]*)*)/(\d+(?:\.\d+)?)")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)?")
_TEXT_CHARS_MAX: Final = 100


def client_facts(headers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the members of metadata: `client`, such as `openai-python 3.57`, and `client_retry`.

    OpenAI's own packages say their language and version; others are known by their user agent.
    `client_retry` counts the repetitions of a request, and is left out for a first one.
    """
    facts: dict[str, str] = {}
    client = _official(headers) or _product(_first(headers, "user-agent"))
    if client:
        facts[CLIENT_MEMBER] = client
    retry = _first(headers, "x-stainless-retry-count")
    if retry.isascii() and retry.isdigit() and len(retry) < 4 and int(retry) > 0:
        facts[RETRY_MEMBER] = retry
    return facts


def _official(headers: Mapping[str, Sequence[str]]) -> str:
    language = _first(headers, "x-stainless-lang")
    version = _VERSION.match(_first(headers, "x-stainless-package-version"))
    if not language or version is None:
        return ""
    return f"openai-{_LANGUAGES.get(language, language)[:_TEXT_CHARS_MAX]} {version[0]}"


def _product(agent: str) -> str:
    product = _PRODUCT.match(agent)
    found = f"{product[1]} {product[2]}" if product is not None else agent.partition(" ")[0]
    return found[:_TEXT_CHARS_MAX]


def _first(headers: Mapping[str, Sequence[str]], name: str) -> str:
    text = next(iter(headers.get(name, ())), "").strip()
    return text if text.isprintable() else ""
