"""Turns a page of the application into a file: without forms and scripts, with links to files.

What cannot work in a file goes: forms, scripts, what is marked `data-online`, and links in the
navigation that lead to no file. Any other link that leads nowhere becomes its text.
"""

from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from typing import Final

import msgspec

Resolve = Callable[[str, str], str | None]
"""Takes a link's URL and its `rel`; returns the relative link, None if there is no file."""

_ONLINE: Final = frozenset({"form", "script", "button", "select", "textarea"})
_ONLINE_CLASSES: Final = frozenset({"keys-help", "offer"})
_ONLINE_ATTRIBUTES: Final = ("hx-", "data-live", "data-again", "data-key", "data-row")
_VOID: Final = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta"})
# Also what an older browser, or one that is set up for scripts in files, must not do.
_POLICY: Final = (
    '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'; '
    "object-src 'none'; base-uri 'none'; form-action 'none'\">"
)


class Link(msgspec.Struct, frozen=True):
    """A link of a page, as the page has it."""

    url: str
    rel: str


def links_of(page: str) -> list[Link]:
    """Return the links of a page, in order."""
    found: list[Link] = []

    def note(url: str, rel: str) -> None:
        found.append(Link(url, rel))

    as_file(page, note, "")
    return found


def as_file(page: str, resolve: Resolve, notice: str) -> str:
    """Return a page as a file has it; `notice` is HTML that stands before its content."""
    writer = _Writer(resolve, notice)
    writer.feed(page)
    writer.close()
    return "".join(writer.parts)


class _Writer(HTMLParser):
    """Copies tags and texts as they are, but for those that a file cannot have."""

    def __init__(self, resolve: Resolve, notice: str) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._resolve = resolve
        self._notice = notice
        self._dropped: tuple[str, int] | None = None  # a tag that is left out, and how often open
        self._navigation = 0
        self._ends: list[str] = []  # what ends the open links

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped is not None:
            name, depth = self._dropped
            if tag == name:
                self._dropped = name, depth + 1
            return
        given = {name: value or "" for name, value in attrs}
        if self._is_online(tag, given):
            if tag not in _VOID:
                self._dropped = tag, 1
            return
        if tag == "nav":
            self._navigation += 1
        if tag == "a" and "href" in given:
            self._link(given)
            return
        for name in ("href", "src"):
            if name in given:
                given[name] = self._resolve(given[name], given.get("rel", "")) or ""
        self.parts.append(_tag(tag, given))
        if tag == "head":
            self.parts.append(_POLICY)
        elif tag == "main":
            self.parts.append(self._notice)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped is not None:
            name, depth = self._dropped
            if tag == name:
                self._dropped = (name, depth - 1) if depth > 1 else None
            return
        if tag == "nav":
            self._navigation -= 1
        if tag == "a" and self._ends:
            self.parts.append(self._ends.pop())
        elif tag not in _VOID:
            self.parts.append(f"</{tag}>")

    def _is_online(self, tag: str, given: dict[str, str]) -> bool:
        return (
            tag in _ONLINE
            or tag == "input"
            or "data-online" in given
            or (tag == "meta" and given.get("http-equiv", "").lower() == "refresh")
            or not _ONLINE_CLASSES.isdisjoint(given.get("class", "").split())
        )

    def _link(self, given: dict[str, str]) -> None:
        goal = self._resolve(given["href"], given.get("rel", ""))
        if goal is not None:
            self._ends.append("</a>")
            self.parts.append(_tag("a", {**given, "href": goal}))
        elif self._navigation or "aria-label" in given:
            self._dropped = "a", 1
        else:
            self._ends.append("</span>")
            kept = {"class": given["class"]} if "class" in given else {}
            self.parts.append(_tag("span", kept))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def _copy(self, text: str) -> None:
        if self._dropped is None:
            self.parts.append(text)

    def handle_data(self, data: str) -> None:
        self._copy(data)

    def handle_entityref(self, name: str) -> None:
        self._copy(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._copy(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self._copy(f"<!{decl}>")


def _tag(tag: str, given: dict[str, str]) -> str:
    kept = "".join(
        f' {name}="{escape(value)}"'
        for name, value in given.items()
        if not name.startswith(_ONLINE_ATTRIBUTES)
    )
    return f"<{tag}{kept}>"
