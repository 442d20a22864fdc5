"""Counts in sentences: `1 kind`, `2 kinds`."""


def counted(count: int, noun: str) -> str:
    """Give a count with its noun, in the plural where it is not one; thousands are separated."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
