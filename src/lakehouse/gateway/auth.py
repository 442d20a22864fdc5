"""API keys. Only digests are stored; a key is shown only once, at its creation."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.errors import Refusal, SetupError
from lakehouse.core.suggestion import did_you_mean

_ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")
_KEY_PREFIX: Final = "lh_"


class NewKey(msgspec.Struct, frozen=True):
    """A new key: `secret` is for the caller, `entry` for the daemon's environment."""

    secret: str
    entry: str


def new_key(name: str) -> NewKey:
    """Create a key of 256 random bits for `name`.

    Raises:
        SetupError: The name is not 1 to 64 of letters, digits, `.`, `_`, `-`.
    """
    secret = _KEY_PREFIX + secrets.token_urlsafe(32)
    entry = f"{name}:{hashlib.sha256(secret.encode()).hexdigest()}"
    if _ENTRY.fullmatch(entry) is None:
        raise SetupError(
            f"Key name {name!r} is not allowed: use 1 to 64 of letters, digits, '.', '_' and '-'."
        )
    return NewKey(secret, entry)


class KeyRing:
    """The accepted keys, as `name:sha256-hex` entries. High-entropy keys need no slow hash."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.entries = dict(entries)

    @classmethod
    def parse(cls, text: str, *, variable: str) -> "KeyRing":
        """Parse the comma-separated list of entries of an environment variable.

        Raises:
            SetupError: An entry is malformed; the message has its position, not its value.
        """
        return cls(_entries(text.split(","), variable, "entry"))

    @classmethod
    def read(cls, path: Path) -> "KeyRing":
        """Read a file with one entry a line; blank lines and those that begin with `#` are none.

        Raises:
            SetupError: It cannot be read; or a line is malformed, whose number the message has.
        """
        try:
            lines = path.read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                f"{path}: the API keys cannot be read: "
                f"{getattr(error, 'strerror', None) or 'not UTF-8'}.",
                hint="Correct api_keys_file under [gateway], or the file's permissions.",
            ) from error
        return cls(_entries(["" if line.startswith("#") else line for line in lines], path, "line"))

    @classmethod
    def joined(cls, rings: Sequence["KeyRing"]) -> "KeyRing":
        """Accept the keys of several.

        Raises:
            SetupError: Two of them have a key of the same name.
        """
        entries: dict[str, str] = {}
        for ring in rings:
            if twice := sorted(entries.keys() & ring.entries.keys()):
                raise SetupError(
                    f"The API key {twice[0]!r} is in the variable and in the file.",
                    hint="Take one of them out.",
                )
            entries |= ring.entries
        return cls(entries)

    def check_names(self, names: Iterable[str], field: str) -> None:
        """Check that each name is that of a key.

        Raises:
            SetupError: One is not; `field` is where it stands.
        """
        for name in names:
            if name not in self.entries:
                raise SetupError(
                    f"{field}: no API key is named {name!r}{did_you_mean(name, self.entries)}.",
                    hint="Name a key of api_keys_env or api_keys_file.",
                )

    def authorize(self, headers: Mapping[str, Sequence[str]]) -> str:
        """Accept a request with a known bearer key, and return the name of the key.

        Every entry is compared, each in constant time, so that the timing reveals nothing.

        Raises:
            Refusal: `unauthorized`, the same for a missing and a wrong key.
        """
        values = headers.get("authorization", ())
        scheme, _, secret = (values[0] if len(values) == 1 else "").partition(" ")
        given = hashlib.sha256(secret.strip().encode("latin-1")).hexdigest()
        names = [
            name for name, digest in self.entries.items() if hmac.compare_digest(given, digest)
        ]
        if scheme.lower() != "bearer" or not names:
            raise Refusal(
                "unauthorized",
                "A valid API key is needed.",
                hint="Send `Authorization: Bearer KEY`; `lakehouse keys new` makes keys.",
            )
        return names[0]


def _entries(texts: Iterable[str], source: object, unit: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for number, text in enumerate(map(str.strip, texts), start=1):
        if not text:
            continue
        match = _ENTRY.fullmatch(text)
        if match is None:
            raise SetupError(
                f"{source}: {unit} {number} is not of the form name:sha256-hex.",
                hint="`lakehouse keys new NAME` prints an entry.",
            )
        entries[match[1]] = match[2]
    if not entries:
        raise SetupError(
            f"{source} is set as the source of API keys, but contains none.",
            hint="`lakehouse keys new NAME` prints an entry.",
        )
    return entries
