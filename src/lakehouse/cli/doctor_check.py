"""One line of `lakehouse doctor`."""

from typing import Literal

import msgspec

State = Literal["ok", "warning", "problem", "skipped"]


class Check(msgspec.Struct, frozen=True):
    """One thing looked at. `fix` says what to do about a warning or a problem.

    `skipped` could not be looked at, because of a problem that has a check of its own.
    """

    name: str
    state: State
    detail: str
    fix: str = ""


def skipped(name: str, cause: str) -> Check:
    """Make the check of something that waits for another check's problem."""
    return Check(name, "skipped", f"needs {cause!r} to be fixed first")
