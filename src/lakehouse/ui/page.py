"""A page as a value: where it is, what it asks, and the template that shows it.

Its model is also the `.json` beside it: a page shows nothing that its model lacks.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Final

import msgspec

from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.ui.address import Address

WAIT: Final = "wait"
"""A member of the address of a page that does something: it waits for the reader's word.

A link from elsewhere gets it, where the browser has to come back with its cookie.
"""


class PageRequest(msgspec.Struct, frozen=True):
    """One request for a page. `where` is its filter; `path` are the named parts of its path.

    `asked_here`: a page of ours sent it, or no browser did; it is no link from elsewhere, and no
    address that was typed or pasted. `gone` tells whether nobody waits for the answer any more.
    """

    address: Address
    where: LogFilter
    path: Mapping[str, str]
    asked_here: bool
    gone: Callable[[], Awaitable[bool]]

    def own(self, name: str) -> str | None:
        """Return a member of the page's own, None if the address has none."""
        return dict(self.address.own).get(name)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page at `path`, below `BASE`; `{name}` in it is one part.

    Args:
        entry: Which entry of the navigation it belongs to.
        path: Empty for the start page.
        title: Of the window, before the product's name.
        template: A file of `templates`; its value `page` is the model.
        model: Answers a request, with a `Shown` if its status is not 200; raises a `Refusal`,
            `InfraError` or `ReadFailed`, which is shown.
        own: Members of the address that are this page's own, beside the filter.
        filters: Whether it takes the filter of sessions.
    """

    entry: str
    path: str
    title: str
    template: str
    model: Callable[[PageRequest], Awaitable[msgspec.Struct]]
    own: tuple[str, ...] = ()
    filters: bool = True


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a filter gives, at `path` below `BASE`.

    `pieces` may raise what a page's model raises, but only before its first piece.
    """

    path: str
    media_type: str
    file_name: str
    pieces: Callable[[PageRequest], AsyncGenerator[bytes]]
    own: tuple[str, ...] = ()


class FormRequest(PageRequest, frozen=True):
    """A form that was sent: `fields`, each once, and who sent it (empty without keys)."""

    fields: Mapping[str, str]
    caller: str


class Shown(msgspec.Struct, frozen=True):
    """A page with the status of its answer."""

    page: msgspec.Struct
    status: int = 200


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What a form is sent to, at `path` below `BASE`; its address has the filter, as a page's.

    `take` returns the URL to go to, or what to show with `template`, as `Page` does.
    """

    entry: str
    path: str
    title: str
    template: str
    take: Callable[[FormRequest], Awaitable[str | Shown]]
    own: tuple[str, ...] = ()


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """What one module adds to the pages."""

    pages: tuple[Page, ...] = ()
    downloads: tuple[Download, ...] = ()
    forms: tuple[Form, ...] = ()
