"""Enumerations that grow: this version writes the words it knows, and reads those of later ones.

Finding codes, infra codes and finish reasons can grow; their `Literal` types are what this version
writes. Verdicts, outcomes and roles are closed, also for readers.
"""

from typing import Annotated, Final, TypeAlias

import msgspec

WORD_PATTERN: Final = "^[a-z_]{1,40}$"
"""The pattern of a word, as in the JSON Schemas."""

# `$` also holds before a line break at the end.
Word: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,40}\Z")]
"""A word as a reader accepts it: shown, counted and written again unchanged."""
