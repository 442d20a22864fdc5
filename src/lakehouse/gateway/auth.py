"""API keys. Only digests are stored; a key is shown once, when it is created."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lakehouse.core.errors import Refusal, SetupError

_ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")
_KEY_PREFIX: Final = "lh_"


class NewKey(msgspec.Struct, frozen=True):
    """A fresh key: `secret` goes to the caller, `entry` into the daemon's environment."""

    secret: str
    entry: str


def new_key(name: str) -> NewKey:
    """Make a key of 256 random bits for `name`.

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
    """The keys that may ask, as `name:sha256-hex` entries. High-entropy keys need no slow hash."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = dict(entries)

    @classmethod
    def parse(cls, text: str, *, variable: str) -> "KeyRing":
        """Read a comma-separated list of entries, as it stands in an environment variable.

        Raises:
            SetupError: An entry has another form; its place is named, its value is not shown.
        """
        entries: dict[str, str] = {}
        for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise SetupError(
                    f"{variable}: entry {number} is not of the form name:sha256-hex.",
                    hint="`lakehouse keys new NAME` prints an entry.",
                )
            entries[match[1]] = match[2]
        if not entries:
            raise SetupError(
                f"{variable} is set as the source of API keys, but contains none.",
                hint="`lakehouse keys new NAME` prints an entry.",
            )
        return cls(entries)

    def authorize(self, headers: Mapping[str, Sequence[str]]) -> None:
        """Let a request with a known bearer key through.

        Every entry is compared, each in constant time, so that a refusal tells nothing.

        Raises:
            Refusal: `unauthorized`, the same for no key and a wrong one.
        """
        values = headers.get("authorization", ())
        scheme, _, secret = (values[0] if len(values) == 1 else "").partition(" ")
        given = hashlib.sha256(secret.strip().encode("latin-1")).hexdigest()
        known = [hmac.compare_digest(given, digest) for digest in self._entries.values()]
        if scheme.lower() != "bearer" or not any(known):
            raise Refusal(
                "unauthorized",
                "A valid API key is needed.",
                hint="Send `Authorization: Bearer KEY`; `lakehouse keys new` makes keys.",
            )
