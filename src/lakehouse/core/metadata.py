"""The members of a row's metadata that Lakehouse writes itself, beside those of the caller."""

from typing import Final

from lakehouse.core.row import IDEMPOTENCY_KEY

DOOR_MEMBER: Final = "door"
CLIENT_MEMBER: Final = "client"
USER_MEMBER: Final = "user"
RETRY_MEMBER: Final = "client_retry"
MODEL_MEMBER: Final = "openai_model"
FUNCTION_MEMBER: Final = "openai_function"
FORMAT_MEMBER: Final = "openai_format"

RESERVED_MEMBERS: Final = frozenset(
    {DOOR_MEMBER, RETRY_MEMBER, IDEMPOTENCY_KEY, MODEL_MEMBER, FUNCTION_MEMBER, FORMAT_MEMBER}
)
"""Those that a caller may not write. `client` and `user` are the caller's, where it writes them."""
OWN_MEMBERS: Final = RESERVED_MEMBERS | {CLIENT_MEMBER, USER_MEMBER}
"""All of them; the limit of members does not count them."""
