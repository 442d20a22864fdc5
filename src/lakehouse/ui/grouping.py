"""What a page is grouped by, as its address says it, and the sessions of one group."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from lakehouse.core.errors import Refusal
from lakehouse.core.metadata import KEY_MEMBER
from lakehouse.core.suggestion import did_you_mean
from lakehouse.ui.filters import METADATA_PREFIX
from lakehouse.ui.page import PageRequest

BY: Final = "by"
_MEMBERS: Final = {"api_key": METADATA_PREFIX + KEY_MEMBER}
_WORDS: Final = {
    "api_key": "API key",
    "kind": "kind",
    "kind_digest": "digest of the kind",
}

_Name = TypeVar("_Name", bound=str)


def groups_of(
    request: PageRequest, allowed: Sequence[_Name], default: tuple[_Name, ...]
) -> tuple[_Name, ...]:
    """Return what the address groups by: names with commas between them.

    Raises:
        Refusal: `invalid_request`.
    """
    asked = request.own(BY)
    if asked is None:
        return default
    known = {str(name): name for name in allowed}
    names = asked.split(",")
    for name in names:
        if name not in known:
            near = did_you_mean(name, allowed)
            message = f"`{BY}` has {name[:64]!r}{near}; allowed: {', '.join(allowed)}."
            raise Refusal("invalid_request", message, hint="Commas stand between several.")
    return tuple(known[name] for name in dict.fromkeys(names))


def toggled(by: Sequence[str], name: str) -> str | None:
    """Return `by` with a name more, or without it; None if none would be left."""
    names = [one for one in by if one != name] if name in by else [*by, name]
    return ",".join(names) or None


def members_of(group: Mapping[str, str | None]) -> dict[str, str] | None:
    """Return the filter that finds a group's sessions, None if a part of it has no value.

    The filter of the whole answer's path, which is empty, is left out.
    """
    if any(value is None for value in group.values()):
        return None
    return {_MEMBERS.get(name, name): value for name, value in group.items() if value}


def word(name: str) -> str:
    """Name a dimension for a person."""
    return _WORDS.get(name, name)
