"""What the headers of a request say of the client that sent it, for the row's metadata."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from lakehouse.core.metadata import CLIENT_MEMBER, RETRY_MEMBER

_READ: Final = (
    "x-stainless-lang",
    "x-stainless-package-version",
    "user-agent",
    "x-stainless-retry-count",
)
_LANGUAGES: Final = {"js": "node"}
_PRODUCT: Final = re.compile(r"([\w.@-]+(?:/[A-Za-z][\w.-]*)*)/(\d+(?:\.\d+)?)")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)?")
_TEXT_CHARS_MAX: Final = 100
_HEADER_CHARS_MAX: Final = 1_000  # read of one; so the memory of known clients is bounded
_CLIENTS_MAX: Final = 64  # remembered


def client_facts(headers: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Return the members of metadata: `client`, such as `openai-python 3.57`, and `client_retry`.

    OpenAI's own packages say their language and version; others are known by their user agent.
    `client_retry` counts the repetitions of a request, and is left out for a first one.
    """
    found = [headers.get(name) for name in _READ]
    return _facts(*[values[0][:_HEADER_CHARS_MAX] if values else "" for values in found])


@lru_cache(maxsize=_CLIENTS_MAX)
def _facts(*read: str) -> tuple[tuple[str, str], ...]:
    language, version, agent, retry = (text.strip() if text.isprintable() else "" for text in read)
    client = _official(language, version) or _product(agent)
    facts = ((CLIENT_MEMBER, client),) if client else ()
    if retry.isascii() and retry.isdigit() and len(retry) < 4 and int(retry) > 0:
        facts = (*facts, (RETRY_MEMBER, retry))
    return facts


def _official(language: str, package: str) -> str:
    version = _VERSION.match(package)
    if not language or version is None:
        return ""
    return f"openai-{_LANGUAGES.get(language, language)[:_TEXT_CHARS_MAX]} {version[0]}"


def _product(agent: str) -> str:
    product = _PRODUCT.match(agent)
    found = f"{product[1]} {product[2]}" if product is not None else agent.partition(" ")[0]
    return found[:_TEXT_CHARS_MAX]
