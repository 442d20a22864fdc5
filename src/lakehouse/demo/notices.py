"""The demo's operations notices, written for it, each with the answer a person checked."""

from importlib.resources import files
from typing import Literal

import msgspec


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a careful reader extracts; `quote` is the sentence that reports the event."""

    quote: str
    airport: str
    city: str
    event: Literal["cancelled", "closed", "delayed", "diverted"]


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notice. `answer` is null where there is no right one: no event, or no such airport.

    `note` says what makes the notice hard.
    """

    id: str
    text: str
    answer: Answer | None
    note: str


def load_notices() -> tuple[Notice, ...]:
    """Read the notices that ship with the package, in their order."""
    data = files("lakehouse.demo").joinpath("notices.json").read_bytes()
    return msgspec.json.decode(data, type=tuple[Notice, ...])
