"""API keys. Only digests are stored; a key is shown only once, at its creation."""

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
        self._entries = dict(entries)

    @classmethod
    def parse(cls, text: str, *, variable: str) -> "KeyRing":
        """Parse the comma-separated list of entries of an environment variable.

        Raises:
            SetupError: An entry is malformed; the message has its position, not its value.
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
            name for name, digest in self._entries.items() if hmac.compare_digest(given, digest)
        ]
        if scheme.lower() != "bearer" or not names:
            raise Refusal(
                "unauthorized",
                "A valid API key is needed.",
                hint="Send `Authorization: Bearer KEY`; `lakehouse keys new` makes keys.",
            )
        return names[0]
