"""Reads fixtures with their expected answers, and the lists of known failures.

A fixture without an expected answer is an error: two runtimes with the same bug would pass.
"""

import base64
import binascii
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from lakehouse.core.errors import SetupError

Suite = Literal["session_log", "validator"]
Level = Literal["required", "extended"]

SUITES: Final[tuple[Suite, ...]] = get_args(Suite)
LEVELS: Final[tuple[Level, ...]] = get_args(Level)


class Fixture(msgspec.Struct, frozen=True):
    """One input and its expected answer. `expected` None: it must be rejected (`errored`)."""

    name: str
    suite: Suite
    level: Level
    about: str
    data: bytes
    expected: bytes | None

    @property
    def label(self) -> str:
        """Return the fixture's name, as used in lists of known failures."""
        return f"{self.suite}/{self.level}/{self.name}"


class KnownFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A known failure: the peer, the fixture (its label), and the reason."""

    peer: str
    fixture: str
    reason: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    suite: Suite
    about: str
    why: str
    input: str | None = None
    input_base64: str | None = None
    expected: str | None = None
    outcome: Literal["errored"] | None = None


def shipped_fixtures() -> Path:
    """Return the directory of the fixtures: in the package, or in the source tree beside it."""
    packaged = Path(str(files("lakehouse.parity"))) / "fixtures"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "spec" / "v1" / "parity"


def load_fixtures(root: Path, *, suites: tuple[Suite, ...] = SUITES) -> list[Fixture]:
    """Read every fixture below `root`, by suite, level and name.

    Raises:
        SetupError: A file is not a fixture or has no answer, or there are no fixtures.
    """
    found = [
        _read(path, suite, level)
        for suite in suites
        for level in LEVELS
        for path in sorted((root / suite / level).glob("*.json"))
    ]
    if not found:
        raise SetupError(
            f"No parity fixture was found under {root}.",
            hint="--fixtures names a directory with session_log/required/*.json and the like.",
        )
    return found


def load_known_failures(path: Path | None) -> tuple[KnownFailure, ...]:
    """Read a list of known failures; none without a file.

    Raises:
        SetupError: It cannot be read, or an entry has no reason.
    """
    if path is None:
        return ()
    try:
        known = msgspec.json.decode(path.read_bytes(), type=tuple[KnownFailure, ...])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SetupError(
            f"{path}: {error}.", hint='It is a list of {"peer", "fixture", "reason"}.'
        ) from error
    for entry in known:
        if not entry.reason.strip():
            raise SetupError(f"{path}: {entry.fixture} of {entry.peer} is known without a reason.")
    return known


def _read(path: Path, suite: Suite, level: Level) -> Fixture:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
        if file.input_base64 is not None:
            data = base64.b64decode(file.input_base64, validate=True)
        else:
            data = (file.input or "").encode("utf-8")
    except (OSError, msgspec.MsgspecError, UnicodeError, binascii.Error) as error:
        raise SetupError(f"{path}: {error}.") from error
    if (file.name, file.suite) != (path.stem, suite):
        raise SetupError(f"{path}: it calls itself {file.suite}/{file.name}.")
    if not data or (file.input is None) == (file.input_base64 is None):
        raise SetupError(f"{path}: it needs one of `input` and `input_base64`, and not empty.")
    if (file.expected is None) == (file.outcome is None):
        raise SetupError(f"{path}: it needs one of `expected` and `outcome`.")
    expected = None if file.expected is None else file.expected.encode("utf-8")
    return Fixture(file.name, suite, level, file.about, data, expected)
