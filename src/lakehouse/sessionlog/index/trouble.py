"""Why an index cannot be built: what a page may say of it, without a path.

The builder's process tells its owner by an exit code; its words are for the operator.
"""

import errno
from typing import Final, Literal, get_args

import msgspec

from lakehouse.core.errors import LakehouseError

TroubleCode = Literal["no_space", "not_allowed", "place_taken", "log_unreadable", "failed"]
_CODES: Final[tuple[TroubleCode, ...]] = get_args(TroubleCode)
_EXIT_FIRST: Final = 80


class IndexTrouble(msgspec.Struct, frozen=True):
    """What the trouble is, and what to do."""

    code: TroubleCode
    message: str
    hint: str


_TOLD: Final[dict[TroubleCode, tuple[str, str]]] = {
    "no_space": ("Its disk has no space left", "Free some space there."),
    "not_allowed": (
        "The server may not write it",
        "Give the server's user the right to write the directory `index` of the log.",
    ),
    "place_taken": (
        "Something that is no directory is in its place",
        "Move the file `index` out of the log.",
    ),
    "log_unreadable": ("A part of the log cannot be read", "`lakehouse log verify` shows which."),
    "failed": ("Its process failed", "The output of the server says why."),
}
_BY_ERRNO: Final[dict[int, TroubleCode]] = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EACCES: "not_allowed",
    errno.EPERM: "not_allowed",
    errno.EROFS: "not_allowed",
    errno.EEXIST: "place_taken",
    errno.ENOTDIR: "place_taken",
}


def trouble_code(error: OSError | LakehouseError) -> TroubleCode:
    """Return what kind of trouble an error of the builder is."""
    if isinstance(error, LakehouseError) or error.errno is None:  # Arrow's, of a torn file
        return "log_unreadable"
    return _BY_ERRNO.get(error.errno, "failed")


def trouble(code: TroubleCode) -> IndexTrouble:
    """Return what is said of it."""
    return IndexTrouble(code, *_TOLD[code])


def exit_code(code: TroubleCode) -> int:
    """Return the exit code of a builder with this trouble: 1, or what tells of its kind."""
    return 1 if code == "failed" else _EXIT_FIRST + _CODES.index(code)


def trouble_of_exit(code: int) -> IndexTrouble:
    """Return the trouble of a builder that ended with an exit code other than 0."""
    known = {exit_code(one): one for one in _CODES}
    return trouble(known.get(code, "failed"))
