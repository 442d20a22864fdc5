"""The members of a row's metadata that Lakehouse writes itself, beside those of the caller."""

from collections.abc import Mapping
from typing import Final

from lakehouse.core.row import IDEMPOTENCY_KEY

DOOR_MEMBER: Final = "door"
CLIENT_MEMBER: Final = "client"
KEY_MEMBER: Final = "api_key"
USER_MEMBER: Final = "user"
RETRY_MEMBER: Final = "client_retry"
MODEL_MEMBER: Final = "openai_model"
FUNCTION_MEMBER: Final = "openai_function"
FORMAT_MEMBER: Final = "openai_format"
TYPE_MEMBER: Final = "python_type"
SOURCE_MEMBER: Final = "python_source"
CHECKS_MEMBER: Final = "python_checks"
AFTER_MEMBER: Final = "python_after"
CALL_MEMBER: Final = "python_call"

RESERVED_MEMBERS: Final = frozenset(
    {
        *(DOOR_MEMBER, KEY_MEMBER, RETRY_MEMBER, IDEMPOTENCY_KEY),
        *(MODEL_MEMBER, FUNCTION_MEMBER, FORMAT_MEMBER),
    }
)
"""Those that a caller may not write. `client` and `user` are the caller's, where it writes them."""
PYTHON_MEMBERS: Final = frozenset(
    {TYPE_MEMBER, SOURCE_MEMBER, CHECKS_MEMBER, AFTER_MEMBER, CALL_MEMBER}
)
"""Those that clients in Python write, here or elsewhere: the type of the answer, the digest of its
code, what else of Python checked it, the row whose answer that rejected, and, where the caller
gave the session id, an id of the call. With `AFTER_MEMBER`, the last user turn is the findings
(`user_texts`)."""
OWN_MEMBERS: Final = RESERVED_MEMBERS | PYTHON_MEMBERS | {CLIENT_MEMBER, USER_MEMBER}
"""All of them; the limit of members does not count them."""


def key_member(caller: str) -> dict[str, str]:
    """Return what a public door adds: the name of the caller's API key, if the daemon has keys."""
    return {KEY_MEMBER: caller} if caller else {}


def reserved_fault(metadata: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the place of a member that a caller may not write, and a sentence; None if all may."""
    taken = RESERVED_MEMBERS & metadata.keys()
    if not taken:
        return None
    place = f"metadata.{min(taken)}"
    return place, f"`{place}` cannot be set: Lakehouse itself writes it into the row."
