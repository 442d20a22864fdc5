"""What a page consists of, and what hides in its texts: to tell whether a text became more."""

import unicodedata
from collections import Counter
from typing import Final

from playwright.sync_api import Page

# Texts of others may change how many words, lines and marks a page has. Never these.
ACTIVE: Final = frozenset(
    [
        *("script", "style", "link", "meta", "base", "template", "iframe", "frame", "object"),
        *("embed", "portal", "form", "input", "button", "select", "textarea", "img", "image"),
        *("picture", "video", "audio", "source", "track", "svg", "use", "math", "a"),
    ]
)
_ELEMENTS: Final = """page => [...page.querySelectorAll("*")].map(one =>
    [one.localName, ...[...one.attributes].map(attribute => attribute.name).sort()].join(" "))"""
_FETCHED: Final = """async path => {
    const answer = await fetch(path);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return [answer.status, (%s)(page)];
}"""
_SHOWN: Final = """() => {
    const shown = [document.title];
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
    while (walker.nextNode())
        // What a person edits keeps its characters.
        if (!walker.currentNode.parentElement.closest("textarea"))
            shown.push(walker.currentNode.data);
    for (const one of document.querySelectorAll("*"))
        for (const name of ["title", "alt", "placeholder", "aria-label", "label"])
            if (one.hasAttribute(name)) shown.push(one.getAttribute(name));
    return shown.join("\\n");
}"""
# Drawn as nothing, though Unicode does not call them format characters.
_BLANK: Final = frozenset((0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0))
_BLANK_SELECTORS: Final = (range(0x180B, 0x1810), range(0xE0100, 0xE01F0))
_JOINERS: Final = frozenset("\u200c\u200d")
_SELECTORS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))


def elements(page: Page) -> Counter[str]:
    """Count the page's elements, by name and the names of their attributes."""
    return Counter(page.evaluate(f"({_ELEMENTS})(document)"))


def fetched(page: Page, path: str) -> tuple[int, Counter[str]]:
    """Fetch another page from this one, parse it as the browser does, and count its elements."""
    status, found = page.evaluate(_FETCHED % _ELEMENTS, path)
    return status, Counter(found)


def made_by_texts(page: Counter[str], harmless: Counter[str]) -> list[str]:
    """Name what a page has and the same page over harmless texts has not."""
    new = [f"new: {one}" for one in page if one not in harmless]
    names = {one.split()[0] for one in (*page, *harmless)} & ACTIVE
    counts = [(name, _count(page, name), _count(harmless, name)) for name in sorted(names)]
    return new + [f"{here} {name}, not {there}" for name, here, there in counts if here != there]


def hidden_characters(page: Page) -> list[str]:
    """Name the characters in the page's texts that no reader sees, or that turn a text around."""
    text = page.evaluate(_SHOWN)
    return sorted({f"U+{ord(one):04X}" for at, one in enumerate(text) if _hides(text, at)})


def _count(elements: Counter[str], name: str) -> int:
    return sum(number for one, number in elements.items() if one.split()[0] == name)


def _hides(text: str, at: int) -> bool:
    one = text[at]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if one in "\t\n":
        return False
    if one in _SELECTORS:  # a form of the character before
        return not _is_letter(before)
    if one in _JOINERS:  # between two characters of a script or an emoji
        return not (_is_letter(before) or before in _SELECTORS) or not _is_letter(after)
    return unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or _is_blank(ord(one))


def _is_blank(code: int) -> bool:
    return code in _BLANK or any(code in codes for codes in _BLANK_SELECTORS)


def _is_letter(one: str) -> bool:
    """Whether it can take part in a joined form: not of Latin, and drawn itself."""
    return one >= "\u0300" and one not in _JOINERS and one not in _SELECTORS
