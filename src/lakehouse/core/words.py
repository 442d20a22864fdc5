"""Enumerations that grow: this version writes the words it knows, and reads those of later ones.

Finding codes, infra codes and finish reasons can grow; their `Literal` types are what this version
writes. Verdicts, outcomes and roles are closed, also for readers.
"""

from typing import Annotated, Final, TypeAlias

import msgspec

WORD_PATTERN: Final = "^[a-z_]{1,40}$"
"""What a word may look like, as the JSON Schemas say it."""

# `$` also holds before a line break at the end.
Word: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,40}\Z")]
"""A word as a reader takes it: shown, counted and written again as it stands."""
