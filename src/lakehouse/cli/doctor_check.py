"""One line of `lakehouse doctor`."""

from typing import Literal

import msgspec

State = Literal["ok", "warning", "problem", "skipped"]


class Check(msgspec.Struct, frozen=True):
    """The result of one check. `fix` says how to fix a warning or a problem, `why` what it costs.

    `skipped`: not checked, because another check failed.
    """

    name: str
    state: State
    detail: str
    fix: str = ""
    why: str = ""


def skipped(name: str, cause: str) -> Check:
    """Make the check of something that waits for another check's problem."""
    return Check(name, "skipped", f"needs {cause!r} to be fixed first")
