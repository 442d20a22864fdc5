"""What is asked of the words that a log has, and the answers: names for forms, digests of kinds."""

from typing import Final

import msgspec

from lakehouse.sessionlog.index.questions import Question, ReaderAnswer
from lakehouse.sessionlog.reading.counts import Stats

NAMES_MAX: Final = 200
"""Of each list of names."""


class AskNames(Question, frozen=True, kw_only=True):
    """The names that sessions have: what a form offers to filter by."""


class AskKinds(Question, frozen=True, kw_only=True):
    """The digests of each kind, each with its rates and since when."""


class Name(msgspec.Struct, frozen=True):
    """A name, and how many sessions have it."""

    name: str
    sessions: int


class Names(ReaderAnswer, frozen=True, kw_only=True):
    """Names, the most frequent first. `more` are the lists that have over `NAMES_MAX`.

    `models` are aliases, `codes` and `paths` those of findings, with
    `*` for indices, `metadata` the names of members.
    """

    kinds: tuple[Name, ...]
    models: tuple[Name, ...]
    providers: tuple[Name, ...]
    daemons: tuple[Name, ...]
    doors: tuple[Name, ...]
    clients: tuple[Name, ...]
    api_keys: tuple[Name, ...]
    error_codes: tuple[Name, ...]
    kind_digests: tuple[Name, ...]
    codes: tuple[Name, ...]
    labels: tuple[Name, ...]
    metadata: tuple[Name, ...]
    paths: tuple[Name, ...]
    more: tuple[str, ...] = ()


class KindDigest(msgspec.Struct, frozen=True):
    """A kind as it was while it had this digest. `first` and `last`: times of its sessions."""

    kind: str
    digest: str
    first: str | None
    last: str | None
    rates: Stats


class KindDigests(ReaderAnswer, frozen=True, kw_only=True):
    """By kind, the digest that was used last first."""

    digests: tuple[KindDigest, ...]
    more: bool = False
