"""The address of a page: its path, its filter and what else it shows, all of it in the URL.

Every link of a page is made here, so that no link loses the filter.
"""

from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.suggestion import did_you_mean
from lakehouse.ui.filters import FILTER_NAMES, METADATA_PREFIX, Criteria

BASE: Final = "/ui"
PAGES_LISTEN: Final = "127.0.0.1:4120"
"""Where the pages of a log without a stack are, unless another address is given."""
_QUERY_BYTES_MAX: Final = 16_384
_FIELDS_MAX: Final = 100
_METADATA_FIELD: Final = b"metadata="


class Address(msgspec.Struct, frozen=True):
    """A page's path below `BASE`, its filter as the URL has it, and the members of its own."""

    path: str
    criteria: Criteria = ()
    own: Criteria = ()

    def to(self, path: str, /, **changes: object) -> str:
        """Return the URL of another page with this filter, changed; None removes a member."""
        return _url(path, _changed(self.criteria, changes))

    def here(self, /, **changes: object) -> str:
        """Return this page's URL, changed, in its filter or in what is its own."""
        return _url(self.path, _changed((*self.criteria, *self.own), changes))

    def file(self, suffix: str, path: str | None = None, /, **changes: object) -> str:
        """Return the URL of what this page shows in another form, such as `json`."""
        both = _changed((*self.criteria, *self.own), changes)
        return _url((self.path if path is None else path) + "." + suffix, both)

    def plain(self, path: str, /, **members: object) -> str:
        """Return the URL of a page without this filter."""
        return _url(path, _changed((), members))

    def value(self, name: str) -> str | None:
        """Return a member's value as the URL has it."""
        return dict((*self.criteria, *self.own)).get(name)

    def with_filter(self, name: str, value: str) -> str:
        """Return this page's URL with one member of the filter more, from its first part on."""
        return self.here(**{name: value, "cursor": None})


def read_address(path: str, query: bytes, own: Collection[str], *, filters: bool) -> Address:
    """Read a page's address; members without a value are left out.

    Raises:
        Refusal: `invalid_request`: an unknown member, one given twice, or a query too long.
    """
    if len(query) > _QUERY_BYTES_MAX:
        raise Refusal("too_large", f"The address takes more than {_QUERY_BYTES_MAX} bytes.")
    try:
        pairs = parse_qsl(
            query.decode("ascii"), errors="strict", strict_parsing=False, max_num_fields=_FIELDS_MAX
        )
    except ValueError as error:  # bytes that are not UTF-8, or too many members
        raise Refusal("invalid_request", "The address cannot be read: it must be UTF-8.") from error
    pairs = [_named(*pair) if filters else pair for pair in pairs]
    known = (*(FILTER_NAMES if filters else ()), *own)
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise Refusal("invalid_request", f"`{name}` is given twice; it may be given once.")
        seen.add(name)
        if name not in known and not (filters and _is_metadata(name)):
            raise Refusal(
                "invalid_request",
                f"Unknown parameter {name[:64]!r}{did_you_mean(name, known)}; allowed are "
                f"{', '.join(sorted(known))}{' and metadata.NAME' if filters else ''}.",
            )
    return Address(
        path,
        tuple(pair for pair in pairs if pair[0] not in own),
        tuple(pair for pair in pairs if pair[0] in own),
    )


def is_of_form(query: bytes) -> bool:
    """Return whether a form made the query, which a link writes otherwise.

    It has fields that were left empty, or metadata as one field.
    """
    parts = query.split(b"&")
    return any(part.endswith(b"=") or part.startswith(_METADATA_FIELD) for part in parts)


def _named(name: str, value: str) -> tuple[str, str]:
    """Return metadata of a form, `metadata` with `NAME=VALUE`, as the member `metadata.NAME`.

    Raises:
        Refusal: `invalid_request`: it has no name or no value.
    """
    if name != "metadata":
        return name, value
    member, _, wanted = value.partition("=")
    if not member.strip() or not wanted.strip():
        raise Refusal(
            "invalid_request",
            f"`metadata` is {value[:64]!r}; it must be NAME=VALUE.",
            hint="Such as team=airports.",
        )
    return METADATA_PREFIX + member.strip(), wanted.strip()


def _is_metadata(name: str) -> bool:
    return name.startswith(METADATA_PREFIX) and len(name) > len(METADATA_PREFIX)


def _changed(members: Iterable[tuple[str, str]], changes: dict[str, object]) -> Criteria:
    kept = dict(members)
    for name, value in changes.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return tuple(kept.items())


def _url(path: str, members: Criteria) -> str:
    whole = BASE + quote(path, safe="/:.-_~")
    return f"{whole}?{urlencode(members, quote_via=quote)}" if members else whole
