"""Names and texts as SQL writes them, for what cannot be bound as a value."""

from collections.abc import Iterable


def quoted_name(name: str) -> str:
    """Quote the name of a column or table."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Quote a text."""
    return "'" + text.replace("'", "''") + "'"


def quoted_texts(texts: Iterable[str]) -> str:
    """Quote texts, with commas between them."""
    return ", ".join(map(quoted_text, texts))
